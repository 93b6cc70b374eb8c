# SPDX-License-Identifier: MIT
# The GL program that is measured here, in guests and under vtest; it runs in another distribution release too, so
# nothing but its libraries. gpu_scene.c has what it shares with bench_gpu.
scenes-packages := egl glesv2
have-scenes := $(shell $(host-pkg-config) --exists $(scenes-packages) 2>/dev/null && echo yes)
scenes-program := $(if $(have-scenes),$(O)/linux/gles2_scenes $(O)/tests/bench/go_between)
$(O)/obj/tests/bench/gles2_scenes.o: extra-cflags = $(shell $(host-pkg-config) --cflags $(scenes-packages))
$(O)/linux/gles2_scenes: $(call objects,tests/bench/gles2_scenes.c tests/bench/gpu_scene.c)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(host-cc) -Wl,-z,relro,-z,now $(sanitize) -o $@ $^ $(LDFLAGS) $(shell $(host-pkg-config) --libs $(scenes-packages)) -lm
# What gpu_uml needs to run QEMU's program without QEMU.
$(O)/tests/bench/go_between: $(call objects,tests/bench/go_between.c)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(host-cc) $(common-ldflags) -o $@ $^ $(LDFLAGS)
