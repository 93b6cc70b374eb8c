# SPDX-License-Identifier: MIT
#
# Mullion's build. `make help` lists the targets; each folder's sources.mk lists what is in it.
#
#   O=DIR        where everything is built (default: build)
#   ARCH=...     x86_64 or arm64 (default: this machine's); another one than this machine's is cross-built into O/ARCH,
#                against the libraries that tests/lib/sysroot.sh makes (make deps ARCH=arm64 once; SYSROOT=DIR: another)
#   SAN=address,undefined   build with sanitizers (into O, so give it a folder of its own)
#   STEPS=1      built with the places where a test kills a process (host/base/step.h); sanitizer builds of make check are
#   WERROR=1     warnings are errors (CI)        V=1    print whole commands
#   DEPS=no      never install packages: print what is missing and stop

.DEFAULT_GOAL := all
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:

VERSION := 0.1.0
O ?= build
V ?= 0
prefix ?= /usr/local
bindir ?= $(prefix)/bin
libdir ?= $(prefix)/lib
mandir ?= $(prefix)/share/man
datadir ?= $(prefix)/share
unitdir ?= $(prefix)/lib/systemd
DESTDIR ?=
CC := $(if $(filter default,$(origin CC)),gcc,$(CC))
PKG_CONFIG ?= pkg-config
INSTALL ?= install
HOST_ARCH := $(shell uname -m | sed s/aarch64/arm64/)
ARCH ?= $(HOST_ARCH)
foreign := $(if $(filter $(HOST_ARCH),$(ARCH)),,$(ARCH))
ifneq ($(foreign),)
ifneq ($(notdir $(O)),$(ARCH))
override O := $(O)/$(ARCH)
endif
triplet := $(if $(filter arm64,$(ARCH)),aarch64,x86_64)-linux-gnu
SYSROOT ?= $(shell tests/lib/sysroot.sh --path $(ARCH) 2>/dev/null)
has-sysroot := $(wildcard $(SYSROOT)/usr/include/libfdt.h)
cross-cc := $(if $(findstring clang,$(CC)),$(CC) --target=$(triplet),$(patsubst gcc%,$(triplet)-gcc%,$(CC))) --sysroot=$(SYSROOT)
cross-pkg-config := PKG_CONFIG_SYSROOT_DIR=$(SYSROOT) \
	PKG_CONFIG_LIBDIR=$(SYSROOT)/usr/lib/$(triplet)/pkgconfig:$(SYSROOT)/usr/share/pkgconfig $(PKG_CONFIG)
else
has-sysroot := yes
endif
Q := $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),@:,@printf '  %-7s %s\n' $(1) $(2))

include protocol/sources.mk
include host/base/sources.mk host/virtio/sources.mk
include host/block/sources.mk host/net/sources.mk host/console/sources.mk host/rng/sources.mk host/input/sources.mk
include host/display/sources.mk host/gpu/sources.mk host/vhost/sources.mk host/video/sources.mk
include vmm/sources.mk
include tests/unit/sources.mk tests/device/sources.mk tests/fuzz/sources.mk tests/bench/sources.mk
include tests/lib/sources.mk

warnings := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla \
	-Wundef -Wwrite-strings $(if $(WERROR),-Werror)
# gcc knows no fences under the thread sanitizer and says so at each one.
sanitize := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all) \
	$(if $(filter thread,$(SAN)),$(if $(findstring clang,$(CC)),,-Wno-tsan))
steps := $(if $(STEPS),-DMULLION_STEPS)
CFLAGS ?= -O2 -g
common-cflags := -std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -I. $(warnings) -fPIC -fno-strict-aliasing \
	-fstack-protector-strong -fvisibility=default -DMULLION_VERSION='"$(VERSION)"' -DMULLION_LIBDIR='"$(libdir)/mullion"' \
	$(if $(filter -O0,$(CFLAGS)),,$(if $(SAN),,-D_FORTIFY_SOURCE=2)) $(steps) $(sanitize)
common-ldflags := $(sanitize) -Wl,-z,relro,-z,now -pthread

gpu-packages := virglrenderer epoxy egl gbm pixman-1 libpng libdrm libvncserver
# The ones of them that outputs need.
display-packages := libpng libvncserver
# The sandbox of device programs.
sandbox-packages := libseccomp
host-cc := $(if $(foreign),$(cross-cc),$(CC))
host-pkg-config := $(if $(foreign),$(cross-pkg-config),$(PKG_CONFIG))
have-gpu := $(if $(has-sysroot),$(shell $(host-pkg-config) --exists $(gpu-packages) $(sandbox-packages) 2>/dev/null && echo yes))
have-sandbox := $(if $(has-sysroot),$(shell $(host-pkg-config) --exists $(sandbox-packages) 2>/dev/null && echo yes))
gpu-cflags := $(if $(have-gpu),$(shell $(host-pkg-config) --cflags $(gpu-packages))) -DVIRGL_RENDERER_UNSTABLE_APIS
gpu-libs := $(if $(have-gpu),$(shell $(host-pkg-config) --libs $(gpu-packages)))
sandbox-libs := $(if $(have-sandbox),$(shell $(host-pkg-config) --libs $(sandbox-packages)))
display-libs := $(if $(have-gpu),$(shell $(host-pkg-config) --libs $(display-packages)))

# The control socket's.
json-cflags := $(if $(has-sysroot),$(shell $(host-pkg-config) --cflags json-c 2>/dev/null))
json-libs := $(if $(has-sysroot),$(shell $(host-pkg-config) --libs json-c 2>/dev/null || echo -ljson-c))
video-packages := gstreamer-1.0 gstreamer-app-1.0 gstreamer-video-1.0 gstreamer-allocators-1.0
have-video := $(if $(has-sysroot),$(shell $(host-pkg-config) --exists $(video-packages) 2>/dev/null && echo yes))
video-cflags := $(if $(have-video),$(shell $(host-pkg-config) --cflags $(video-packages) | sed 's/-I/-isystem /g'))
video-libs := $(if $(have-video),$(shell $(host-pkg-config) --libs $(video-packages)))
have-video-program := $(and $(have-video),$(have-sandbox))

core-src := $(protocol-src) $(host-base-src) $(host-virtio-src)
device-src := $(host-block-src) $(host-net-src) $(host-console-src) $(host-rng-src) $(host-input-src)
gpu-src := $(host-display-src) $(host-gpu-src)
screen-src := $(host-display-src) $(host-screen-src)
gpu-program-src := $(gpu-src) $(host-vhost-src) $(host-sandbox-src) $(host-program-src) $(host-gpu-program-src)
video-program-src := $(host-video-src) $(host-vhost-src) $(host-sandbox-src) $(host-program-src) $(host-video-program-src)
vmm-all-src := $(vmm-src) $(vmm-$(ARCH)-src)
vmm-libs := $(vmm-$(ARCH)-libs) $(json-libs)

objects = $(patsubst %.c,$(O)/obj/%.o,$(1))
library-objects := $(call objects,$(core-src) $(device-src))

# ---- targets ----
.PHONY: all host vmm bare samples check check-built bench-built check-unit check-bare check-uml check-qemu check-linux fuzz bench demo lint format deps ci help \
	install clean tests
all: $(if $(has-sysroot),host vmm) bare
	@echo "built into $(O)/: $(if $(has-sysroot),mullion)$(if $(have-gpu),$(comma) mullion-gpu.so$(comma) mullion-display.so$(comma) mullion-gpu)$(if $(have-video),$(comma) mullion-video.so)$(if $(have-video-program),$(comma) mullion-video)$(comma) bare/*.elf"
	$(if $(has-sysroot),,@echo "skipped mullion: no $(ARCH) libraries in $(SYSROOT) (make deps ARCH=$(ARCH) gets them)")
	$(if $(have-gpu),,@echo "skipped mullion-gpu.so, mullion-display.so: needs pkg-config packages: $(gpu-packages) $(sandbox-packages) (make deps installs them)")
	$(if $(have-video),,@echo "skipped mullion-video.so: needs pkg-config packages: $(video-packages) (make deps installs them)")
	$(if $(have-video-program),,@echo "skipped mullion-video: needs pkg-config packages: $(video-packages) $(sandbox-packages) (make deps installs them)")
comma := ,
host: $(O)/libmullion.a $(if $(have-gpu),$(O)/mullion-gpu.so $(O)/mullion-display.so $(O)/mullion-gpu) $(if $(have-video),$(O)/mullion-video.so) $(if $(have-video-program),$(O)/mullion-video)
vmm: $(O)/mullion

help:
	@echo "Mullion $(VERSION)"
	@echo "  make demo       install what is missing, build, run guests that draw; ends with the pictures' paths (NESTED=1: README)"
	@echo "  make check      install what is missing, build, run every test this machine can run"
	@echo "  make            build all that this machine can build: host vmm bare samples"
	@echo "  make check-unit unit and device tests (minutes)     check-bare  bare guests on /dev/kvm"
	@echo "  make check-uml  Linux and Mesa against mullion-gpu, in User Mode Linux (make uml builds the kernel: minutes, once)"
	@echo "  make check-qemu a stock Linux guest in QEMU's emulation, with mullion-gpu as its vhost-user-gpu-pci"
	@echo "  make check-linux stock Linux guests (nested where KVM only emulates)"
	@echo "  make fuzz       run each fuzz target for FUZZ_SECONDS (default 30)"
	@echo "  make bench      install what is missing, measure; table and \$$O/bench.json"
	@echo "  make lint       clang-tidy, cppcheck, include directions"
	@echo "  make format     clang-format on every C file     make deps    only install what is missing"
	@echo "  make install    to DESTDIR and prefix            make ci      what .ci/run does"
	@echo "Variables: O=DIR ARCH=x86_64|arm64 SAN=address,undefined|thread WERROR=1 V=1 CC=clang DEPS=no"

# ---- objects ----
# gpu and display files see the graphics libraries, some video files GStreamer; nothing else does.
$(O)/obj/host/gpu/%.o $(O)/obj/host/display/%.o: extra-cflags = $(gpu-cflags)
$(O)/obj/vmm/ctl%.o: extra-cflags = $(json-cflags)
$(call objects,$(host-video-gst-src) $(bench-video-gst-src) host/video/module.c host/video/gst_registry.c tests/lib/clip.c \
	tests/lib/codec_run.c tests/lib/codec_tests.c tests/lib/stuck_decoder.c tests/lib/video_keeper.c): extra-cflags = $(video-cflags)
$(O)/obj/%.o: %.c Makefile
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(host-cc) $(common-cflags) $(extra-cflags) $(CFLAGS) $(CPPFLAGS) -MMD -MP -c $< -o $@

$(O)/libmullion.a: $(library-objects)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

# mullion exports host/base and host/virtio to the device modules it loads, hence whole archive and -rdynamic.
$(O)/mullion: $(call objects,$(vmm-all-src)) $(O)/libmullion.a
	$(call say,LD,$@)
	$(Q)$(host-cc) $(common-ldflags) -rdynamic -o $@ $(call objects,$(vmm-all-src)) \
		-Wl,--whole-archive $(O)/libmullion.a -Wl,--no-whole-archive $(LDFLAGS) $(vmm-libs) -ldl

$(O)/mullion-gpu.so: $(call objects,$(gpu-src))
	$(call say,LD,$@)
	$(Q)$(host-cc) $(common-ldflags) -shared -o $@ $^ $(LDFLAGS) $(gpu-libs) -lm

# Displays of mullion's own, for frames of a device that is in another process.
$(O)/mullion-display.so: $(call objects,$(screen-src))
	$(call say,LD,$@)
	$(Q)$(host-cc) $(common-ldflags) -shared -o $@ $^ $(LDFLAGS) $(display-libs)

# The same device as a program that lends it over vhost-user.
$(O)/mullion-gpu: $(call objects,$(gpu-program-src)) $(O)/libmullion.a
	$(call say,LD,$@)
	$(Q)$(host-cc) $(common-ldflags) -o $@ $^ $(LDFLAGS) $(gpu-libs) $(sandbox-libs) -lm

$(O)/mullion-video.so: $(call objects,$(host-video-src))
	$(call say,LD,$@)
	$(Q)$(host-cc) $(common-ldflags) -shared -o $@ $^ $(LDFLAGS) $(video-libs)

$(O)/mullion-video: $(call objects,$(video-program-src)) $(O)/libmullion.a
	$(call say,LD,$@)
	$(Q)$(host-cc) $(common-ldflags) -o $@ $^ $(LDFLAGS) $(video-libs) $(sandbox-libs)

include guest-drivers/bare/rules.mk
include samples/linux/rules.mk tests/linux/sources.mk tests/bench/rules.mk

# ---- tests: one program a name; NAME-src adds sources, NAME-libs libraries; needs gpu: in gpu-tests ----
cmocka-libs := $(shell $(host-pkg-config) --libs cmocka 2>/dev/null || echo -lcmocka)
test-lib-objects := $(call objects,$(test-lib-src))
define test-program
$(O)/tests/$(1)/$(2): $(call objects,tests/$(1)/$(2).c $($(2)-src)) $(test-lib-objects) $(O)/libmullion.a
	$$(call say,LD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(host-cc) $$(common-ldflags) -o $$@ $$(filter %.o,$$^) $$(O)/libmullion.a $$(LDFLAGS) $$(cmocka-libs) \
		$(if $(filter host/gpu/% host/display/%,$($(2)-src)),$$(gpu-libs)) \
		$(if $(filter host/video/codec_gst.c,$($(2)-src)),$$(video-libs)) \
		$(if $(filter host/vhost/seccomp.c,$($(2)-src)),$$(sandbox-libs)) $($(2)-libs) -ldl -lm
$(if $(filter host/gpu/% host/display/%,$($(2)-src)),$(call objects,tests/$(1)/$(2).c): extra-cflags = $$(gpu-cflags))
$(if $(filter host/video/codec_gst.c,$($(2)-src)),$(call objects,tests/$(1)/$(2).c): extra-cflags = $$(video-cflags))
endef
# A test that links the renderer, the sandbox or GStreamer, can't be built where its libraries are missing; all says so.
lacks = $(if $(have-gpu),,host/gpu/% host/display/%) $(if $(have-sandbox),,host/vhost/seccomp.c) $(if $(have-video),,host/video/codec_gst.c)
buildable = $(foreach t,$(1),$(if $(filter $(lacks),$($(t)-src)),,$(t)))
unit-tests := $(call buildable,$(unit-tests))
device-tests := $(call buildable,$(device-tests))
fuzz-targets := $(call buildable,$(fuzz-targets))
bench-programs := $(call buildable,$(bench-programs))
$(foreach t,$(unit-tests),$(eval $(call test-program,unit,$(t))))
$(foreach t,$(device-tests),$(eval $(call test-program,device,$(t))))
$(foreach t,$(fuzz-targets),$(eval $(call test-program,fuzz,$(t))))
$(foreach t,$(bench-programs),$(eval $(call test-program,bench,$(t))))
unit-programs := $(addprefix $(O)/tests/unit/,$(unit-tests))
device-programs := $(addprefix $(O)/tests/device/,$(device-tests))
fuzz-programs := $(addprefix $(O)/tests/fuzz/,$(fuzz-targets))
bench-binaries := $(addprefix $(O)/tests/bench/,$(bench-programs))
tests: $(unit-programs) $(device-programs) $(fuzz-programs)

san-out := $(O)/san
export O
# The second make sees the libraries that deps just installed.
check: deps
	+$(Q)$(MAKE) --no-print-directory DEPS=done check-built
bare-runners := tests/bare/run tests/bare/vhost_user tests/bare/control tests/bare/recovery tests/bare/blob_recovery \
	tests/bare/video tests/bare/media tests/bare/qemu
# What is measured is built, too: nothing else here would see that it can't be.
check-built: all tests $(bench-binaries) $(scenes-program)
	+$(Q)$(if $(SAN),,$(MAKE) --no-print-directory DEPS=done O=$(san-out) SAN=address,undefined STEPS=1 tests)
	$(Q)tests/run --tier unit $(unit-programs) --tier device $(device-programs) --tier fuzz $(fuzz-programs) \
		$(if $(SAN),,--tier sanitizer $(patsubst $(O)/%,$(san-out)/%,$(unit-programs) $(device-programs) $(fuzz-programs))) \
		--tier uml $(uml-tests) --tier qemu $(qemu-tests) --tier bare $(bare-runners) --tier nested $(nested-tests) \
		--tier install tests/install/installed
check-unit: tests
	$(Q)tests/run --tier unit $(unit-programs) --tier device $(device-programs)
check-bare: all
	$(Q)tests/run --tier bare $(bare-runners)
check-uml: all
	$(Q)tests/run --tier uml $(uml-tests)
check-qemu: all
	$(Q)tests/run --tier qemu $(qemu-tests)
check-linux: all
	$(Q)tests/run --tier nested $(nested-tests)
FUZZ_SECONDS ?= 30
fuzz: $(fuzz-programs)
	$(Q)for f in $^; do echo "$$f"; FUZZ_SECONDS=$(FUZZ_SECONDS) $$f || exit 1; done
# What is measured against gets installed as well.
bench: deps
	$(if $(filter done,$(DEPS)),,$(Q)DEPS=$(DEPS) tests/lib/deps.sh bench)
	+$(Q)$(MAKE) --no-print-directory DEPS=done bench-built
bench-built: all $(bench-binaries) $(scenes-program)
	$(Q)tests/bench/run $(bench-binaries) $(bench-scripts)

demo: deps
	+$(Q)$(MAKE) --no-print-directory DEPS=done all
	$(Q)samples/demo.sh
deps:
	$(if $(filter done,$(DEPS)),,$(Q)DEPS=$(DEPS) tests/lib/deps.sh $(if $(foreign),$(ARCH),build check demo))
	$(if $(filter done no,$(DEPS)),,$(if $(foreign),$(Q)tests/lib/sysroot.sh $(ARCH)))
ci:
	.ci/run

# ---- lint ----
c-files = $(shell git ls-files '*.c')
lint-src := $(core-src) $(device-src) $(host-video-src) $(host-video-fake-src) $(host-video-program-src) $(gpu-program-src) $(host-screen-src) $(vmm-all-src)
lint:
	$(Q)tests/lib/lint-includes.sh
	$(Q)clang-tidy --quiet $(lint-src) -- $(common-cflags) $(gpu-cflags) $(video-cflags)
	$(Q)cppcheck --quiet --enable=warning,portability --inline-suppr --error-exitcode=1 --std=c11 -I. -D__x86_64__ \
		--suppress=missingIncludeSystem $(lint-src)
format:
	$(Q)clang-format -i $(shell git ls-files '*.c' '*.h')

install: all
	$(INSTALL) -d $(DESTDIR)$(bindir) $(DESTDIR)$(libdir)/mullion $(DESTDIR)$(mandir)/man1
	$(INSTALL) -m 755 $(O)/mullion $(DESTDIR)$(bindir)/mullion
	$(if $(have-gpu),$(INSTALL) -m 644 $(O)/mullion-gpu.so $(DESTDIR)$(libdir)/mullion/mullion-gpu.so)
	$(if $(have-gpu),$(INSTALL) -m 644 $(O)/mullion-display.so $(DESTDIR)$(libdir)/mullion/mullion-display.so)
	$(if $(have-gpu),$(INSTALL) -m 755 $(O)/mullion-gpu $(DESTDIR)$(bindir)/mullion-gpu)
	$(INSTALL) -m 644 docs/mullion.1 docs/mullion-ctl.1 docs/mullion-gpu.1 docs/mullion-video.1 $(DESTDIR)$(mandir)/man1/
	$(if $(have-video),$(INSTALL) -m 644 $(O)/mullion-video.so $(DESTDIR)$(libdir)/mullion/mullion-video.so)
	$(if $(have-video-program),$(INSTALL) -m 755 $(O)/mullion-video $(DESTDIR)$(bindir)/mullion-video)
	$(if $(have-gpu),$(INSTALL) -d $(DESTDIR)$(datadir)/qemu/vhost-user)
	$(if $(have-gpu),sed 's|@bindir@|$(bindir)|' share/qemu/vhost-user/50-mullion-gpu.json.in \
		>$(DESTDIR)$(datadir)/qemu/vhost-user/50-mullion-gpu.json)
	$(if $(have-gpu),$(foreach m,system user,$(call install-units,mullion-gpu,$(unitdir)/$(m))))
	$(if $(have-video-program),$(foreach m,system user,$(call install-units,mullion-video,$(unitdir)/$(m))))

# install-units PROGRAM,FOLDER: its templates; those that name the program are made of FILE.in.
define install-units
$(INSTALL) -d $(DESTDIR)$(2)
	$(INSTALL) -m 644 share/systemd/$(1)@.socket $(DESTDIR)$(2)/
	sed 's|@bindir@|$(bindir)|' share/systemd/$(1)@.service.in >$(DESTDIR)$(2)/$(1)@.service

endef

clean:
	rm -rf $(O)

-include $(shell find $(O)/obj -name '*.d' 2>/dev/null)
