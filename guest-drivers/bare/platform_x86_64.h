/* SPDX-License-Identifier: MIT */
/*
 * Where things are on an x86-64 machine that starts these images: mullion, or QEMU's q35. Every number that
 * belongs to the machine and not to a standard register layout is here, for a port to change.
 */
#ifndef MULLION_BARE_PLATFORM_X86_64_H
#define MULLION_BARE_PLATFORM_X86_64_H

/* 16550 console. */
#define PLATFORM_SERIAL_PORT 0x3f8

/* ACPI fixed registers. PM1a_CNT: bit 13 is SLP_EN, bits 10-12 SLP_TYP. */
#define PLATFORM_PM1A_EVT_PORT 0x600
#define PLATFORM_PM1A_CNT_PORT 0x604
#define PLATFORM_PM_TIMER_PORT 0x608
#define PLATFORM_SLP_EN (1u << 13)
#define PLATFORM_SLP_TYP_S5 5u	    /* mullion */
#define PLATFORM_SLP_TYP_S5_QEMU 0u /* q35 */

/* Reset control register: bit 2 starts the reset, bit 1 makes it a full one. */
#define PLATFORM_RESET_PORT 0xcf9
#define PLATFORM_RESET_VALUE 0x06

/* pvpanic: bit 0 says that the guest panicked. */
#define PLATFORM_PVPANIC_PORT 0x505
#define PLATFORM_PVPANIC_PANICKED 0x01

/* Interrupt controllers. */
#define PLATFORM_LAPIC_BASE 0xfee00000u
#define PLATFORM_IOAPIC_BASE 0xfec00000u
#define PLATFORM_PIC_MASTER_DATA 0x21
#define PLATFORM_PIC_SLAVE_DATA 0xa1

/* PCI configuration mechanism 1. */
#define PLATFORM_PCI_ADDRESS_PORT 0xcf8
#define PLATFORM_PCI_DATA_PORT 0xcfc
/* The IOAPIC's input of what a PCI function's interrupt line register names. */
#define PLATFORM_PCI_LINE(line) (line)

/* The identity mapping that the start code gives, or expects: everything below this. */
#define PLATFORM_MAPPED_BYTES 0x100000000ull

#endif
