# SPDX-License-Identifier: MIT
# The GL program that the Linux guest runs; built here, copied into the guest's initramfs.
scene-packages := egl glesv2 gbm libdrm
have-scene := $(shell $(host-pkg-config) --exists $(scene-packages) 2>/dev/null && echo yes)

samples: $(if $(have-scene),$(O)/linux/scene)
all: samples
$(O)/obj/samples/linux/scene.o: extra-cflags = $(shell $(host-pkg-config) --cflags $(scene-packages))
# It runs in another distribution release than this one, so no sanitizers and nothing but its libraries.
$(O)/linux/scene: $(O)/obj/samples/linux/scene.o
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(host-cc) -Wl,-z,relro,-z,now $(sanitize) -o $@ $^ $(LDFLAGS) $(shell $(host-pkg-config) --libs $(scene-packages)) -lm
