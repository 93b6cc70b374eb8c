# SPDX-License-Identifier: MIT
#
# Freestanding images: $(O)/bare/NAME.elf, and $(O)/bare/NAME.bin (the same without headers) for names in bare-flat.
# Objects go to $(O)/bare/$(ARCH)/. For another architecture than this machine's, $(O) is a folder of its own.
#
#   bare-images     names; NAME-bare-src lists their sources from the top of the tree
#   CROSS_COMPILE   prefix of the tools when ARCH is not the host's (default: the GNU triplet of ARCH)

bare-images :=
bare-flat :=
include guest-drivers/bare/sources.mk
include samples/triangle/sources.mk samples/cluster/sources.mk samples/video-bare/sources.mk tests/bare/sources.mk

bare-triplet-x86_64 := x86_64-linux-gnu
bare-triplet-arm64 := aarch64-linux-gnu
bare-triplet := $(bare-triplet-$(ARCH))
bare-foreign := $(if $(filter $(HOST_ARCH),$(ARCH)),,yes)
CROSS_COMPILE ?= $(if $(bare-foreign),$(bare-triplet)-)
bare-cc := $(if $(findstring clang,$(CC)),$(CC) --target=$(bare-triplet),$(if $(bare-foreign),$(CROSS_COMPILE)gcc,$(CC)))
bare-ld ?= $(CROSS_COMPILE)ld
bare-objcopy ?= $(CROSS_COMPILE)objcopy

# Integer code only: some hypervisors emulate every instruction, and know neither SSE nor BMI.
bare-arch-x86_64 := -m64 -march=x86-64 -mgeneral-regs-only -mno-sse -mno-red-zone -fcf-protection=none
# Strict alignment: memory is device memory until the start code has built page tables.
bare-arch-arm64 := -march=armv8-a -mgeneral-regs-only -mstrict-align
# The kernel's user headers, after the compiler's own: the cross package's where it is installed, else the host's,
# which are the same but for <asm/...>; nothing in there that differs is used.
bare-headers := $(if $(bare-foreign),-idirafter /usr/$(bare-triplet)/include -idirafter /usr/include/$(bare-triplet) \
	-idirafter /usr/include -idirafter /usr/include/$(bare-triplet-$(HOST_ARCH)))
bare-cflags := -std=c11 -I. -O2 -g -ffreestanding -fno-pic -fno-pie -fno-stack-protector -fno-strict-aliasing \
	-fno-asynchronous-unwind-tables -fno-common $(if $(findstring clang,$(CC)),,-fno-tree-loop-distribute-patterns) \
	$(bare-arch-$(ARCH)) $(warnings) $(bare-headers)
bare-ldflags := -nostdlib -static -z noexecstack -z max-page-size=4096 --no-warn-rwx-segments --build-id=none \
	--fatal-warnings -T guest-drivers/bare/link_$(ARCH).ld

bare-obj := $(O)/bare/$(ARCH)/obj
bare-out := $(O)/bare
bare-objects = $(patsubst %,$(bare-obj)/%.o,$(1))
bare-lib := $(O)/bare/$(ARCH)/libbare.a
bare-elfs := $(patsubst %,$(bare-out)/%.elf,$(bare-images))
bare-bins := $(patsubst %,$(bare-out)/%.bin,$(bare-flat))

.PHONY: bare samples
bare: $(bare-elfs) $(bare-bins)
samples: $(bare-out)/triangle.elf $(bare-out)/cluster.elf $(bare-out)/video-bare.elf

$(bare-obj)/%.c.o: %.c guest-drivers/bare/rules.mk
	$(call say,BARECC,$<)
	@mkdir -p $(@D)
	$(Q)$(bare-cc) $(bare-cflags) -MMD -MP -c $< -o $@

$(bare-obj)/%.S.o: %.S guest-drivers/bare/rules.mk
	$(call say,BAREAS,$<)
	@mkdir -p $(@D)
	$(Q)$(bare-cc) $(bare-cflags) -MMD -MP -c $< -o $@

# The start code is an object that no symbol asks for; the entry in the linker script does.
$(bare-lib): $(call bare-objects,$(addprefix guest-drivers/bare/,$(bare-lib-src) $(bare-lib-$(ARCH)-src)))
	$(call say,BAREAR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

define bare-image
$(bare-out)/$(1).elf: $(call bare-objects,$($(1)-bare-src)) $(bare-lib) guest-drivers/bare/link_$(ARCH).ld
	$$(call say,BARELD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(bare-ld) $$(bare-ldflags) -o $$@ $(call bare-objects,$($(1)-bare-src)) --whole-archive $$(bare-lib)
endef
$(foreach i,$(bare-images),$(eval $(call bare-image,$(i))))

$(bare-bins): %.bin: %.elf
	$(call say,BAREBIN,$@)
	$(Q)$(bare-objcopy) -O binary $< $@

-include $(shell find $(bare-obj) -name '*.d' 2>/dev/null)
