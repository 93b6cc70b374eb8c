# SPDX-License-Identifier: MIT
# Tests with stock Linux guests; each prints TAP.
nested-tests := tests/linux/guests tests/linux/arm64 tests/linux/arm64-machine tests/bare/arm64
uml-tests := tests/linux/uml-cache tests/linux/uml tests/linux/uml-recovery tests/linux/uml-degraded tests/linux/uml-render-node \
	tests/linux/uml-codec
qemu-tests := tests/linux/qemu
# The User Mode Linux kernel for tests of mullion-gpu; kept outside the checkout.
.PHONY: uml
uml:
	$(Q)tests/linux/uml-build.sh
# A program of Linux guests, which have other libraries: it needs none, nor a sanitizer's.
all: $(O)/linux/host_blob
$(O)/obj/tests/linux/host_blob.o: extra-cflags = $(if $(SAN),-fno-sanitize=all)
$(O)/linux/host_blob: $(O)/obj/tests/linux/host_blob.o
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(host-cc) -static -o $@ $^
# Another one, for User Mode Linux, whose libraries are this machine's.
all: $(if $(have-scene),$(O)/linux/object_blob)
$(O)/obj/tests/linux/object_blob.o: extra-cflags = $(shell $(host-pkg-config) --cflags libdrm)
$(O)/linux/object_blob: $(O)/obj/tests/linux/object_blob.o $(O)/obj/guest-drivers/bare/virgl.o
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(host-cc) $(sanitize) -o $@ $^ $(LDFLAGS) $(shell $(host-pkg-config) --libs libdrm)
