/* SPDX-License-Identifier: MIT */
/*
 * The guest's physical address map and interrupt lines on arm64; devices are where QEMU's "virt" machine has them, so
 * that small guests with fixed addresses run on both.
 *
 *   0 .. GIC | UART, clock | virtio-mmio | more redistributors | PCI 32-bit window | ECAM | 1 GiB .. RAM | 64-bit window
 */
#ifndef MULLION_VMM_ARM64_LAYOUT_H
#define MULLION_VMM_ARM64_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

/* The bootstrap processor's registers. */
struct boot_entry {
	uint64_t pc;
	uint64_t fdt;	/* guest address of the device tree */
	bool aarch32;	/* enter as arm's boot protocol wants it, not as arm64's */
};

#define ARCH_NAME "arm64"
#define ARCH_MAX_CPUS 512 /* what the two redistributor regions hold */
#define ARCH_IRQ_PINS LAYOUT_SPIS
#define ARCH_IRQ_ROUTES LAYOUT_SPIS
#define ARCH_NO_KVM                                                                                             \
	"the kernel must be started in EL2 by its firmware (arm64 has KVM built in); in a virtual machine, its " \
	"host must allow nested virtualization"

#define ARCH_QEMU "qemu-system-aarch64"
#define ARCH_QEMU_PACKAGE "qemu-system-arm"

/* RAM is one piece: the second slot of vm.c is never needed (a memory slot has at most 2^31 - 1 pages). */
#define LAYOUT_LOW_RAM 0x40000000ull
#define LAYOUT_LOW_RAM_END 0x80000000000ull
#define LAYOUT_HIGH_RAM LAYOUT_LOW_RAM_END

#define LAYOUT_GICD 0x08000000ull
#define LAYOUT_GICD_SIZE 0x10000ull
#define LAYOUT_GICC 0x08010000ull /* GICv2 only */
#define LAYOUT_GICC_SIZE 0x10000ull
#define LAYOUT_V2M 0x08020000ull /* GICv2m frame, where there is no ITS */
#define LAYOUT_V2M_SIZE 0x1000ull
#define LAYOUT_ITS 0x08080000ull
#define LAYOUT_ITS_SIZE 0x20000ull
#define LAYOUT_GICR 0x080a0000ull
#define LAYOUT_GICR_SIZE 0x20000ull /* a CPU */
#define LAYOUT_GICR_CPUS 123u       /* up to the UART; what is more goes to the second region */
#define LAYOUT_GICR2 0x0c000000ull
#define LAYOUT_UART 0x09000000ull
#define LAYOUT_RTC 0x09010000ull
#define LAYOUT_GPIO 0x09030000ull
#define LAYOUT_PVPANIC 0x09070000ull /* QEMU has it on PCI */
#define LAYOUT_VIRTIO_MMIO 0x0a000000ull
#define LAYOUT_VIRTIO_MMIO_SIZE 0x1000ull
#define LAYOUT_VIRTIO_MMIO_SLOTS 32u
#define LAYOUT_PCI_MMIO32 0x10000000ull
#define LAYOUT_PCI_MMIO32_SIZE 0x2eff0000ull
#define LAYOUT_PCI_ECAM 0x3f000000ull
#define LAYOUT_PCI_ECAM_SIZE 0x100000ull /* one bus */
#define LAYOUT_PCI_MMIO64_SIZE 0x800000000ull /* 32 GiB; where it is: space.h */

/* The device tree is at the start of RAM, images start 2 MiB above, as arm64's boot protocol wants them aligned. */
#define LAYOUT_FDT LAYOUT_LOW_RAM
#define LAYOUT_FDT_BYTES 0x80000ull
#define LAYOUT_KERNEL (LAYOUT_LOW_RAM + 0x200000ull)
#define LAYOUT_CMDLINE_BYTES 0x800ull /* what arm64 Linux takes */
/*
 * A 32-bit kernel unpacks itself to the start of RAM, from where Linux's Documentation/arch/arm/booting.rst wants it;
 * what goes with it is above the 128 MiB that this may take, and in the memory that such a kernel maps.
 */
#define LAYOUT_ZIMAGE (LAYOUT_LOW_RAM + 0x2000000ull)
#define LAYOUT_ZIMAGE_END (LAYOUT_LOW_RAM + 0x8000000ull)
#define LAYOUT_FDT32 LAYOUT_ZIMAGE_END
#define LAYOUT_INITRD32 (LAYOUT_FDT32 + 0x200000ull)
#define LAYOUT_INITRD32_END (LAYOUT_LOW_RAM + 0x20000000ull)
#define LAYOUT_CMDLINE32_BYTES 0x400ull
#define LAYOUT_ELF_MACHINE 183        /* EM_AARCH64 */

/* GSIs are shared peripheral interrupts: GSI n is the GIC's interrupt 32 + n. */
#define LAYOUT_FIRST_SPI 32u
#define LAYOUT_SPIS 224u
#define LAYOUT_GSI_UART 1u
#define LAYOUT_GSI_INTX 3u /* 3..6: INTA..INTD */
#define LAYOUT_GSI_GPIO 7u
#define LAYOUT_GSI_VIRTIO_MMIO 16u
#define LAYOUT_GSI_V2M 96u /* 96..: messages, where there is no ITS */
#define LAYOUT_V2M_SPIS 128u

/* Private interrupts of the timer: secure, physical, virtual, hypervisor */
#define LAYOUT_PPI_TIMER { 13, 14, 11, 10 }
#define LAYOUT_PPI_PMU 7u

#define LAYOUT_GPIO_POWER 3u /* line of the power button */

#endif
