# SPDX-License-Identifier: MIT
# The library that every bare image links. virgl.c is also built for the host, by its unit tests.
bare-lib-src := alloc.c boot.c console.c gpu.c gpu_3d.c media.c panic.c pci.c printf.c report.c string.c video.c virgl.c virtio.c \
	virtio_mmio.c virtio_pci.c virtq.c virtq_packed.c
bare-lib-x86_64-src := start_x86_64.S boot_x86_64.c irq_x86_64.S irq_x86_64.c platform_x86_64.c
bare-lib-arm64-src := start_arm64.S boot_arm64.c fdt.c irq_arm64.c platform_arm64.c
