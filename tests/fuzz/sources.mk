# SPDX-License-Identifier: MIT
fuzz-targets += fuzz_chain
fuzz_chain-src := tests/fuzz/driver.c
fuzz-targets += fuzz_transport
fuzz_transport-src := tests/fuzz/driver.c tests/lib/vm_stub.c tests/lib/test_device.c vmm/bus.c vmm/virtio_transport.c vmm/event.c vmm/shmem.c \
	vmm/virtio_mmio.c vmm/pci.c vmm/msix.c vmm/virtio_pci.c
fuzz-targets += fuzz_block fuzz_net fuzz_console
fuzz_block-src := tests/fuzz/driver.c tests/fuzz/requests.c
fuzz_net-src := tests/fuzz/driver.c tests/fuzz/requests.c
fuzz_console-src := tests/fuzz/driver.c tests/fuzz/requests.c
fuzz-targets += fuzz_gpu
fuzz_gpu-src = tests/fuzz/driver.c tests/fuzz/requests.c tests/lib/fake_renderer.c tests/lib/fake_shmem.c $(host-gpu-device-src) $(host-display-src)
fuzz-targets += fuzz_arm64_boot $(if $(filter x86_64,$(ARCH)),fuzz_boot)
fuzz_arm64_boot-src := tests/fuzz/driver.c $(arm64-boot-src)
fuzz_arm64_boot-libs := $(vmm-arm64-libs)
fuzz_boot-src := tests/fuzz/driver.c vmm/x86_64/boot.c vmm/image.c vmm/elf.c vmm/x86_64/bzimage.c \
	vmm/x86_64/machine.c vmm/x86_64/aml.c vmm/x86_64/tables.c
fuzz-targets += fuzz_journal
fuzz_journal-src := tests/fuzz/driver.c
fuzz-targets += fuzz_vhost_server fuzz_lease
fuzz_vhost_server-src = tests/fuzz/driver.c $(vhost-test-src)
fuzz_lease-src = tests/fuzz/driver.c $(vhost-test-src)
fuzz-targets += fuzz_keeper
fuzz_keeper-src = tests/fuzz/driver.c tests/lib/keeper_inside.c $(vhost-test-src)
# ctl-test-src is in tests/unit/sources.mk.
fuzz-targets += fuzz_ctl
fuzz_ctl-src := tests/fuzz/driver.c $(ctl-test-src)
fuzz_ctl-libs = $(json-libs)
fuzz-targets += fuzz_video
fuzz_video-src = tests/fuzz/driver.c tests/fuzz/requests.c $(host-video-device-src) $(host-video-fake-src)
fuzz-targets += fuzz_vhost_frontend
fuzz_vhost_frontend-src := tests/fuzz/driver.c vmm/vhost_user_session.c vmm/shared_objects.c
fuzz-targets += fuzz_virtio_media
fuzz_virtio_media-src = tests/fuzz/driver.c tests/fuzz/requests.c $(host-video-device-src) $(host-video-fake-src)
fuzz-targets += fuzz_screen
fuzz_screen-src = tests/fuzz/driver.c host/display/screen.c $(host-display-src)
