/* SPDX-License-Identifier: MIT */
/*
 * The guest's physical address map and interrupt lines on x86-64.
 *
 *   0 .. RAM up to 3 GiB | PCI 32-bit window | ECAM | virtio-mmio | IOAPIC, LAPIC | 4 GiB .. rest of RAM | 64-bit window
 */
#ifndef MULLION_VMM_X86_64_LAYOUT_H
#define MULLION_VMM_X86_64_LAYOUT_H

#include <stdint.h>

/* The bootstrap processor's registers. */
struct boot_entry {
	uint64_t rip;
	uint64_t rsi; /* guest address of the boot parameters */
};

#define ARCH_NAME "x86-64"
#define LAYOUT_ELF_MACHINE 62 /* EM_X86_64 */
#define ARCH_MAX_CPUS 255 /* 8-bit interrupt destinations */
#define ARCH_IRQ_PINS LAYOUT_IOAPIC_PINS
#define ARCH_IRQ_ROUTES (LAYOUT_IOAPIC_PINS + 16u)
#define ARCH_NO_KVM                                                                                    \
	"enable virtualization in the firmware set-up, then load the driver (sudo modprobe kvm_intel " \
	"or kvm_amd); in a virtual machine, its host must allow nested virtualization"

#define ARCH_QEMU "qemu-system-x86_64"
#define ARCH_QEMU_PACKAGE "qemu-system-x86"

#define LAYOUT_LOW_RAM 0ull
#define LAYOUT_LOW_RAM_END 0xc0000000ull /* 3 GiB */
#define LAYOUT_HIGH_RAM 0x100000000ull	 /* 4 GiB: what did not fit below */

#define LAYOUT_PCI_MMIO32 0xc0000000ull
#define LAYOUT_PCI_MMIO32_SIZE 0x20000000ull
#define LAYOUT_PCI_ECAM 0xe0000000ull
#define LAYOUT_PCI_ECAM_SIZE 0x100000ull /* one bus */
#define LAYOUT_VIRTIO_MMIO 0xe8000000ull
#define LAYOUT_VIRTIO_MMIO_SIZE 0x1000ull /* a device */
#define LAYOUT_IOAPIC 0xfec00000ull
#define LAYOUT_LAPIC 0xfee00000ull
#define LAYOUT_KVM_IDENTITY_MAP 0xfffbc000ull
#define LAYOUT_KVM_TSS 0xfffbd000ull
/* The 64-bit window starts at the first multiple of its size above RAM. */
#define LAYOUT_PCI_MMIO64_SIZE 0x800000000ull /* 32 GiB */

/* Low memory */
#define LAYOUT_GDT 0x500ull
#define LAYOUT_GDT_BYTES 0x30
#define LAYOUT_PAGE_TABLES 0x9000ull
#define LAYOUT_BOOT_STACK 0x7000ull /* grows down; big enough to call a function that makes another */
#define LAYOUT_BOOT_PARAMS 0x7000ull
#define LAYOUT_CMDLINE 0x20000ull
#define LAYOUT_CMDLINE_BYTES 0x10000ull
#define LAYOUT_EBDA 0x9fc00ull
#define LAYOUT_ACPI 0xe0000ull /* RSDP and tables, below 1 MiB where every kernel looks */
#define LAYOUT_ACPI_SIZE 0x20000ull
#define LAYOUT_KERNEL 0x100000ull /* flat images and the default load address of bzImage */

/* Ports */
#define LAYOUT_PORT_SERIAL 0x3f8
#define LAYOUT_PORT_PM_EVENT 0x600   /* PM1a event block, 4 bytes */
#define LAYOUT_PORT_PM_CONTROL 0x604 /* PM1a control block, 2 bytes */
#define LAYOUT_PORT_PM_TIMER 0x608   /* 4 bytes */
#define LAYOUT_PORT_RESET 0xcf9	     /* FADT reset register; value 6 */
#define LAYOUT_PORT_PVPANIC 0x505
#define LAYOUT_PORT_RTC 0x70 /* and 0x71 */
#define LAYOUT_CMOS_CENTURY 0x32
#define LAYOUT_S5_SLEEP_TYPE 5

/* GSIs (IOAPIC pins) */
#define LAYOUT_GSI_SERIAL 4
#define LAYOUT_GSI_RTC 8
#define LAYOUT_GSI_SCI 9
#define LAYOUT_GSI_VIRTIO_MMIO 5 /* the first device's; the others' are in machine.c */
#define LAYOUT_GSI_INTX 16	 /* 16..19: INTA..INTD */
#define LAYOUT_IOAPIC_PINS 24

#endif
