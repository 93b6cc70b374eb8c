# SPDX-License-Identifier: MIT
# Transports, over the real buses and a stand-in for KVM (tests/lib/vm_stub.c).
unit-tests += test_virtio_mmio
test_virtio_mmio-src := tests/lib/vm_stub.c tests/lib/test_device.c vmm/bus.c vmm/virtio_transport.c vmm/event.c vmm/shmem.c vmm/virtio_mmio.c
unit-tests += test_pci test_virtio_pci
test_pci-src := tests/lib/vm_stub.c vmm/bus.c vmm/pci.c
test_virtio_pci-src := tests/lib/vm_stub.c tests/lib/test_device.c vmm/bus.c vmm/virtio_transport.c vmm/event.c vmm/shmem.c vmm/pci.c vmm/msix.c vmm/virtio_pci.c
unit-tests += test_shmem
test_shmem-src := tests/lib/vm_stub.c tests/lib/test_device.c vmm/bus.c vmm/shmem.c
# host/base and host/virtio.
unit-tests += test_log
unit-tests += test_loop
unit-tests += test_pool
unit-tests += test_mem
unit-tests += test_queue
unit-tests += test_journal
unit-tests += test_edid test_gpu_resource test_display
test_edid-src = host/gpu/edid.c
test_gpu_resource-src = host/gpu/backing.c host/gpu/resource.c host/gpu/context.c host/gpu/format.c
test_display-src = $(host-display-src)
unit-tests += test_vhost_gpu
test_vhost_gpu-src = tests/lib/display_peer.c $(host-display-src)
unit-tests += test_screen
test_screen-src = host/display/screen.c $(host-display-src)
# The VNC display, looked at by libvncclient.
unit-tests += test_vnc test_vnc_input test_vnc_peers
vnc-test-src = tests/lib/vnc_world.c $(host-display-src)
test_vnc-src = $(vnc-test-src)
test_vnc-libs := -lvncclient
test_vnc_input-src = $(vnc-test-src)
test_vnc_input-libs := -lvncclient
test_vnc_peers-src = $(vnc-test-src)
test_vnc_peers-libs := -lvncclient
unit-tests += test_gpu_command
test_gpu_command-src = host/gpu/command.c
unit-tests += test_module test_doctor
test_module-src := vmm/module.c
test_doctor-src := vmm/module.c vmm/doctor.c vmm/doctor_process.c vmm/doctor_sandbox.c vmm/doctor_speed.c vmm/$(ARCH)/doctor.c $(if $(filter arm64,$(ARCH)),vmm/arm64/space.c)
# Buses, options, images and the platform's devices.
unit-tests += test_bus test_options test_cli test_cli_programs
test_cli-src := tests/lib/command.c
test_cli_programs-src := tests/lib/command.c
test_bus-src := vmm/bus.c
test_options-src := vmm/options.c vmm/nearest.c vmm/ctl_path.c vmm/vhost_user_kinds.c
# x86-64's are for its processor's headers; arm64's are built everywhere.
ifeq ($(ARCH),x86_64)
unit-tests += test_acpi test_boot test_platform test_cpuid
endif
test_cpuid-src := vmm/x86_64/cpuid.c
test_platform-src := tests/lib/vm_stub.c vmm/bus.c vmm/character.c vmm/terminal.c vmm/uart.c vmm/serial.c vmm/pvpanic.c \
	vmm/x86_64/platform.c vmm/x86_64/power.c vmm/x86_64/rtc.c
test_boot-src := vmm/x86_64/boot.c vmm/image.c vmm/elf.c vmm/x86_64/bzimage.c vmm/x86_64/machine.c \
	vmm/x86_64/aml.c vmm/x86_64/tables.c
test_acpi-src := tests/lib/vm_stub.c vmm/bus.c vmm/pci.c vmm/x86_64/machine.c vmm/x86_64/aml.c vmm/x86_64/tables.c
unit-tests += test_arm64_boot test_arm64_fdt test_arm64_platform
arm64-boot-src := vmm/arm64/boot.c vmm/arm64/kernel.c vmm/arm64/unpack.c vmm/arm64/zimage.c vmm/arm64/fdt.c \
	vmm/arm64/fdt_file.c vmm/image.c
test_arm64_boot-src := $(arm64-boot-src)
test_arm64_boot-libs := $(vmm-arm64-libs)
test_arm64_fdt-src := vmm/arm64/fdt.c vmm/arm64/fdt_file.c vmm/arm64/space.c vmm/image.c
test_arm64_fdt-libs := $(vmm-arm64-libs)
test_arm64_platform-src := tests/lib/vm_stub.c vmm/bus.c vmm/character.c vmm/terminal.c vmm/uart.c vmm/arm64/pl011.c \
	vmm/arm64/pl061.c
$(O)/obj/vmm/arm64/%.o $(O)/obj/tests/unit/test_arm64_%.o $(O)/obj/tests/fuzz/fuzz_arm64_%.o: extra-cflags = -DMULLION_ARM64
unit-tests += test_virgl_encoder test_virgl_stream test_virgl_state test_virgl_queries test_virgl_objects
test_virgl_objects-src := guest-drivers/bare/virgl.c host/gpu/virgl_stream.c host/gpu/virgl_objects.c
test_virgl_state-src := guest-drivers/bare/virgl.c host/gpu/virgl_stream.c host/gpu/virgl_state.c host/gpu/virgl_rebuild.c \
	host/gpu/content.c host/gpu/resource.c
test_virgl_queries-src := host/gpu/virgl_queries.c
test_virgl_encoder-src := guest-drivers/bare/virgl.c
test_virgl_stream-src := guest-drivers/bare/virgl.c host/gpu/virgl_stream.c
# The serial port's host end.
unit-tests += test_character
test_character-src := vmm/character.c vmm/terminal.c
# The control socket, over a stand-in for the machine (tests/lib/ctl_stub.c).
ctl-test-src := tests/lib/vm_stub.c tests/lib/ctl_stub.c vmm/bus.c vmm/ctl.c vmm/ctl_commands.c vmm/ctl_display.c vmm/ctl_input.c \
	vmm/ctl_keys.c vmm/ctl_path.c vmm/ctl_stats.c
unit-tests += test_ctl
test_ctl-src := $(ctl-test-src)
test_ctl-libs = $(json-libs)
# The frontend's end of vhost-user.
unit-tests += test_shared_objects
test_shared_objects-src := vmm/shared_objects.c
unit-tests += test_vhost_user_dial
test_vhost_user_dial-src := vmm/vhost_user_session.c vmm/shared_objects.c
unit-tests += test_vhost_user_session
test_vhost_user_session-src := vmm/vhost_user_session.c vmm/shared_objects.c
unit-tests += test_vhost_user
test_vhost_user-src := vmm/vhost_user.c vmm/event.c vmm/vhost_user_session.c vmm/vhost_user_kinds.c vmm/shared_objects.c
# The device's program, which is the real one.
unit-tests += test_isolate
test_isolate-src := vmm/isolate.c vmm/isolate_control.c
# What a worker process may do; every case in a process of its own.
unit-tests += test_descriptors test_vhost_listener
test_vhost_listener-src := host/vhost/listener.c
unit-tests += test_sandbox test_sandbox_spawn
test_sandbox-src = tests/lib/elsewhere.c tests/lib/sandbox_plan.c $(host-sandbox-src)
test_sandbox_spawn-src = $(test_sandbox-src)
unit-tests += test_doctor_process
test_doctor_process-src = vmm/doctor_process.c tests/lib/elsewhere.c $(host-sandbox-src)
unit-tests += test_video_headers
test_video_headers-src = host/video/headers.c
unit-tests += test_video_units
test_video_units-src = host/video/headers.c host/video/units.c
unit-tests += test_virtio_object
