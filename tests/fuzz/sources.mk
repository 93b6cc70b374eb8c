# SPDX-License-Identifier: MIT
fuzz-targets += fuzz_chain
fuzz_chain-src := tests/fuzz/driver.c
fuzz-targets += fuzz_transport
fuzz_transport-src := tests/fuzz/driver.c tests/lib/vm_stub.c tests/lib/test_device.c vmm/bus.c vmm/virtio_transport.c \
	vmm/virtio_mmio.c vmm/pci.c vmm/msix.c vmm/virtio_pci.c
fuzz-targets += fuzz_block fuzz_net fuzz_console
fuzz_block-src := tests/fuzz/driver.c tests/fuzz/requests.c
fuzz_net-src := tests/fuzz/driver.c tests/fuzz/requests.c
fuzz_console-src := tests/fuzz/driver.c tests/fuzz/requests.c
fuzz-targets += fuzz_gpu
fuzz_gpu-src = tests/fuzz/driver.c tests/fuzz/requests.c tests/lib/fake_renderer.c $(host-gpu-device-src) $(host-display-src)
fuzz-targets += fuzz_boot
fuzz_boot-src := tests/fuzz/driver.c vmm/x86_64/boot.c vmm/image.c vmm/elf.c vmm/x86_64/bzimage.c \
	vmm/x86_64/machine.c vmm/x86_64/aml.c vmm/x86_64/tables.c
fuzz-targets += fuzz_vhost_frontend
fuzz_vhost_frontend-src := tests/fuzz/driver.c vmm/vhost_user_session.c
