/* SPDX-License-Identifier: MIT */
/*
 * What the VMM needs of the processor architecture it was built for; vmm/x86_64 and vmm/arm64 answer.
 * Every call that can fail prints one line and returns a negative errno, unless it says otherwise.
 */
#ifndef MULLION_VMM_ARCH_H
#define MULLION_VMM_ARCH_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/pci.h"

#if defined(__x86_64__)
#include "vmm/x86_64/layout.h"
#else
#error "no vmm/<architecture> folder for this processor yet"
#endif

struct kvm_irq_routing_entry;
struct vm;
struct vm_config;

/* What the guest starts with: the bootstrap processor's registers, as the image's format wants them. */
struct boot_entry {
	uint64_t rip;
	uint64_t rsi; /* guest address of the boot parameters */
};

struct boot_config {
	const char *kernel;  /* path */
	const char *initrd;  /* path or NULL */
	const char *append;  /* command line, "" for none */
	unsigned mmio_slots; /* virtio-mmio devices, at slots 0..n-1 */
	bool has_pci;
	struct pci_layout pci;
};

/* ---- the machine ---- */
#define ARCH_VM_TYPE 0ul  /* for KVM_CREATE_VM */
#define ARCH_MAX_CPUS 255 /* 8-bit interrupt destinations */
/* Most bytes of RAM that this host's processor can give a guest and leave room for the windows. */
uint64_t arch_max_memory(int kvm_fd);
/* What must exist before a vCPU does: interrupt controllers, timers. */
int arch_vm_init(struct vm *vm, int vm_fd);

/* Pins of the interrupt controller (GSIs 0..), and the most entries that their routes take. */
#define ARCH_IRQ_PINS LAYOUT_IOAPIC_PINS
#define ARCH_IRQ_ROUTES (LAYOUT_IOAPIC_PINS + 16u)
/* Write the pins' routes, ARCH_IRQ_ROUTES at most; returns how many. */
unsigned arch_irq_routes(struct kvm_irq_routing_entry *entries);

void arch_pci_layout(const struct vm_config *config, struct pci_layout *out);

/* Where virtio-mmio device @slot is; false past the last one. */
bool arch_mmio_slot(unsigned slot, uint64_t *base, uint32_t *gsi);

/*
 * The devices that every machine of this architecture has: serial port, clock, power control. @serial: a character.h
 * spec. Before the first vCPU runs.
 */
struct platform;
int arch_platform_create(struct vm *vm, const char *serial, struct platform **out);
void arch_platform_destroy(struct platform *p);

/* ---- boot ---- */
/* Load the image, its initrd, command line and tables into guest memory. */
int arch_boot(struct vm *vm, const struct boot_config *config, struct boot_entry *out);

/* ---- vCPUs ---- */
int arch_vcpu_init(struct vm *vm, int vcpu_fd, unsigned index);
/* Set the bootstrap processor's registers. */
int arch_vcpu_set_entry(int vcpu_fd, const struct boot_entry *entry);

#endif
