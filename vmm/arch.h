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

/* MULLION_ARM64: tests of what arm64 does without KVM define it on other machines. */
#if defined(__aarch64__) || defined(MULLION_ARM64)
#include "vmm/arm64/layout.h"
#elif defined(__x86_64__)
#include "vmm/x86_64/layout.h"
#else
#error "no vmm/<architecture> folder for this processor yet"
#endif

struct kvm_irq_routing_entry;
struct vm;
struct vm_config;

struct boot_config {
	const char *kernel;  /* path */
	const char *initrd;  /* path or NULL */
	const char *append;  /* command line, "" for none */
	unsigned mmio_slots; /* virtio-mmio devices, at slots 0..n-1 */
	bool has_pci;
	struct pci_layout pci;
	/* arm64: what the guest's device tree is made of; paths */
	const char *fdt;		 /* in place of ours, NULL: none */
	const char *const *fdt_overlays; /* added to it */
	unsigned fdt_overlay_count;
	const char *dump_fdt; /* written to this file; NULL: don't */
};

/*
 * layout.h also has, beside the addresses: struct boot_entry (what the bootstrap processor starts with, as the image's
 * format wants it), LAYOUT_LOW_RAM, LAYOUT_LOW_RAM_END and LAYOUT_HIGH_RAM (where vm.c puts the guest's memory),
 * ARCH_MAX_CPUS, ARCH_IRQ_PINS and ARCH_IRQ_ROUTES (below), ARCH_NO_KVM (what to do where /dev/kvm is missing), ARCH_QEMU.
 */

/* ---- the machine ---- */
/* The argument of KVM_CREATE_VM. */
unsigned long arch_vm_type(int kvm_fd, const struct vm_config *config);
/* Most bytes of RAM that this host's processor can give a guest and leave room for the windows. */
uint64_t arch_max_memory(int kvm_fd);
/* What must exist before a vCPU does: interrupt controllers, timers. */
int arch_vm_init(struct vm *vm, int vm_fd);
/* The rest of it, when all vCPUs exist. */
int arch_vm_ready(struct vm *vm);

/*
 * ARCH_IRQ_PINS: pins of the interrupt controller (GSIs 0..); ARCH_IRQ_ROUTES: the most entries that their routes take.
 * Write the pins' routes, ARCH_IRQ_ROUTES at most; returns how many.
 */
unsigned arch_irq_routes(struct kvm_irq_routing_entry *entries);
/* Where a message of the PCI function @requester (bus << 8 | slot << 3 | function) goes; fills all but entry->gsi. */
void arch_msi_route(struct kvm_irq_routing_entry *entry, uint32_t requester, uint64_t address, uint32_t data);
/* What KVM_IRQ_LINE calls the pin @gsi. */
uint32_t arch_irq_line(uint32_t gsi);

void arch_pci_layout(int kvm_fd, const struct vm_config *config, struct pci_layout *out);

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
/*
 * What has to be told to the clock of vCPU @index around a pause, while no vCPU runs: after all have stopped, and before
 * any goes on. Thread: the VM's loop.
 */
void arch_vcpu_paused(struct vm *vm, int vcpu_fd, unsigned index);
void arch_vcpu_resumes(struct vm *vm, int vcpu_fd, unsigned index);
/* Where the guest is, for messages; 0 if KVM doesn't say. */
uint64_t arch_vcpu_pc(int vcpu_fd);

#endif
