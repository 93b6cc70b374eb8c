# SPDX-License-Identifier: MIT
vmm-src := vmm/main.c vmm/run.c vmm/options.c vmm/nearest.c vmm/devices.c vmm/module.c vmm/doctor.c vmm/doctor_process.c vmm/doctor_sandbox.c vmm/doctor_speed.c \
	vmm/vm.c vmm/vcpu.c vmm/bus.c vmm/irq.c vmm/image.c vmm/elf.c \
	vmm/pci.c vmm/msix.c vmm/virtio_transport.c vmm/shmem.c vmm/virtio_pci.c vmm/virtio_mmio.c \
	vmm/isolate.c vmm/isolate_control.c vmm/vhost_user.c vmm/vhost_user_session.c vmm/vhost_user_kinds.c \
	vmm/shared_objects.c vmm/event.c \
	vmm/ctl.c vmm/ctl_commands.c vmm/ctl_display.c vmm/ctl_input.c vmm/ctl_keys.c vmm/ctl_path.c vmm/ctl_stats.c \
	vmm/ctl_client.c vmm/ctl_verbs.c \
	vmm/character.c vmm/terminal.c vmm/keyboard.c vmm/uart.c vmm/serial.c vmm/pvpanic.c
vmm-arm64-src := vmm/arm64/machine.c vmm/arm64/space.c vmm/arm64/gic.c vmm/arm64/vcpu.c vmm/arm64/platform.c vmm/arm64/pl011.c \
	vmm/arm64/pl031.c vmm/arm64/pl061.c vmm/arm64/fdt.c vmm/arm64/fdt_file.c vmm/arm64/kernel.c vmm/arm64/unpack.c \
	vmm/arm64/zimage.c vmm/arm64/boot.c vmm/arm64/doctor.c
vmm-arm64-libs := -lfdt -lz -lzstd
vmm-x86_64-src := vmm/x86_64/machine.c vmm/x86_64/doctor.c vmm/x86_64/vcpu.c vmm/x86_64/cpuid.c vmm/x86_64/platform.c vmm/x86_64/power.c \
	vmm/x86_64/rtc.c vmm/x86_64/boot.c vmm/x86_64/bzimage.c vmm/x86_64/aml.c \
	vmm/x86_64/tables.c
