# SPDX-License-Identifier: MIT
# Transports, over the real buses and a stand-in for KVM (tests/lib/vm_stub.c).
unit-tests += test_virtio_mmio
test_virtio_mmio-src := tests/lib/vm_stub.c tests/lib/test_device.c vmm/bus.c vmm/virtio_transport.c vmm/virtio_mmio.c
unit-tests += test_pci test_virtio_pci
test_pci-src := tests/lib/vm_stub.c vmm/bus.c vmm/pci.c
test_virtio_pci-src := tests/lib/vm_stub.c tests/lib/test_device.c vmm/bus.c vmm/virtio_transport.c vmm/pci.c vmm/msix.c vmm/virtio_pci.c
# host/base and host/virtio.
unit-tests += test_log
unit-tests += test_loop
unit-tests += test_pool
unit-tests += test_mem
unit-tests += test_queue
unit-tests += test_edid test_gpu_resource test_display
test_edid-src = host/gpu/edid.c
test_gpu_resource-src = host/gpu/backing.c host/gpu/resource.c host/gpu/context.c host/gpu/format.c
test_display-src = $(host-display-src)
unit-tests += test_gpu_command
test_gpu_command-src = host/gpu/command.c
unit-tests += test_module test_doctor
test_module-src := vmm/module.c
test_doctor-src := vmm/module.c vmm/doctor.c vmm/doctor_speed.c
# Buses, options, ACPI tables, images and the platform's devices.
unit-tests += test_bus test_options test_acpi test_boot test_platform test_cpuid test_cli
test_cpuid-src := vmm/x86_64/cpuid.c
test_bus-src := vmm/bus.c
test_options-src := vmm/options.c vmm/vhost_user_kinds.c
test_platform-src := tests/lib/vm_stub.c vmm/bus.c vmm/character.c vmm/terminal.c vmm/serial.c vmm/pvpanic.c \
	vmm/x86_64/platform.c vmm/x86_64/power.c vmm/x86_64/rtc.c
test_boot-src := vmm/x86_64/boot.c vmm/image.c vmm/elf.c vmm/x86_64/bzimage.c vmm/x86_64/machine.c \
	vmm/x86_64/aml.c vmm/x86_64/tables.c
test_acpi-src := tests/lib/vm_stub.c vmm/bus.c vmm/pci.c vmm/x86_64/machine.c vmm/x86_64/aml.c vmm/x86_64/tables.c
unit-tests += test_virgl_encoder test_virgl_stream
test_virgl_encoder-src := guest-drivers/bare/virgl.c
test_virgl_stream-src := guest-drivers/bare/virgl.c host/gpu/virgl_stream.c
# The serial port's host end.
unit-tests += test_character
test_character-src := vmm/character.c vmm/terminal.c
# The frontend's end of vhost-user.
unit-tests += test_vhost_user_session
test_vhost_user_session-src := vmm/vhost_user_session.c
