/* SPDX-License-Identifier: MIT */
/*
 * Where things are on an arm64 machine that starts these images: the memory map that mullion shares with QEMU's "virt"
 * machine. What differs from one of them to the next comes from the device tree (boot.h), as do all virtio devices.
 */
#ifndef MULLION_BARE_PLATFORM_ARM64_H
#define MULLION_BARE_PLATFORM_ARM64_H

/* PL011 console. */
#define PLATFORM_PL011_BASE 0x09000000u

/* Start of RAM. A loader that passes no device tree in x0 leaves one here (QEMU with an ELF image). */
#define PLATFORM_RAM_BASE 0x40000000u

/* GIC: the distributor, then the CPU interface (GICv2) or the redistributor of CPU 0 (GICv3). */
#define PLATFORM_GICD_BASE 0x08000000u
#define PLATFORM_GICC_BASE 0x08010000u
#define PLATFORM_GICR_BASE 0x080a0000u

/* The GIC's number of what a PCI function's interrupt line register names: shared interrupts start at 32. */
#define PLATFORM_PCI_LINE(line) ((line) + 32u)

/* The EL1 virtual timer's private interrupt (PPI 11). */
#define PLATFORM_VTIMER_IRQ 27

#define PLATFORM_PVPANIC_PANICKED 0x01

/*
 * The identity mapping that the start code builds: the first GiB as device memory, RAM above it. Its table has an
 * entry a GiB, for 512 of them.
 */
#define PLATFORM_MAPPED_BYTES 0x100000000ull

#endif
