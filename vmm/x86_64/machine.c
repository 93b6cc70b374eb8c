// SPDX-License-Identifier: MIT
/* What the machine has before its first vCPU: interrupt controllers, timer, and where things are. */
#include <cpuid.h>
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "host/base/log.h"
#include "vmm/arch.h"
#include "vmm/vm.h"

#define GIB (1024ull * 1024 * 1024)

/* Lines that nothing else on this machine uses; all are edge-triggered, as ISA lines are unless ACPI says otherwise. */
static const uint8_t mmio_gsi[] = {5, 6, 7, 10, 11, 12, 14, 15, 3, 20, 21, 22, 23};

static unsigned physical_bits(void)
{
	unsigned a, b, c, d;

	/* 36 is what every 64-bit processor has. */
	return __get_cpuid(0x80000008u, &a, &b, &c, &d) && (a & 0xff) >= 36 && (a & 0xff) <= 52 ? a & 0xff : 36;
}

uint64_t arch_max_memory(int kvm_fd)
{
	/* The top multiple of the window's size is the window's; a memory slot has at most 2^31 - 1 pages. */
	uint64_t addresses =
		(1ull << physical_bits()) - LAYOUT_PCI_MMIO64_SIZE - (LAYOUT_HIGH_RAM - LAYOUT_LOW_RAM_END);

	(void)kvm_fd;
	return addresses < 8192 * GIB - 2 * GIB ? addresses : 8192 * GIB - 2 * GIB;
}

unsigned long arch_vm_type(int kvm_fd, const struct vm_config *config)
{
	(void)kvm_fd;
	(void)config;
	return 0;
}

static int check(int result, const char *what)
{
	int err = errno;

	if (result >= 0)
		return 0;
	log_line(LOG_TOPIC_VMM, LOG_ERROR, "KVM can't give the machine %s: %s", what, strerror(err));
	return -err;
}

int arch_vm_init(struct vm *vm, int vm_fd)
{
	/* KVM answers port 0x61 itself: Linux times its clocks with it. */
	struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
	uint64_t identity_map = LAYOUT_KVM_IDENTITY_MAP;
	int err;

	(void)vm;
	/* Three pages and one that Intel processors without unrestricted guest mode need; unused elsewhere. */
	err = check(ioctl(vm_fd, KVM_SET_TSS_ADDR, LAYOUT_KVM_TSS), "a task segment");
	if (!err)
		err = check(ioctl(vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map), "an identity map");
	if (!err)
		err = check(ioctl(vm_fd, KVM_CREATE_IRQCHIP, 0), "interrupt controllers");
	if (!err)
		err = check(ioctl(vm_fd, KVM_CREATE_PIT2, &pit), "a timer (PIT)");
	return err;
}

int arch_vm_ready(struct vm *vm)
{
	(void)vm;
	return 0;
}

unsigned arch_irq_routes(struct kvm_irq_routing_entry *entries)
{
	unsigned n = 0;

	for (uint32_t gsi = 0; gsi < LAYOUT_IOAPIC_PINS; gsi++) {
		/* The PIT, GSI 0, is on pin 2 as on every PC; the MADT's override says so too. */
		if (gsi != 2)
			entries[n++] = (struct kvm_irq_routing_entry){
				.gsi = gsi,
				.type = KVM_IRQ_ROUTING_IRQCHIP,
				.u.irqchip = {.irqchip = KVM_IRQCHIP_IOAPIC, .pin = gsi ? gsi : 2},
			};
		/* The PICs; line 2 is their cascade. */
		if (gsi < 16 && gsi != 2)
			entries[n++] = (struct kvm_irq_routing_entry){
				.gsi = gsi,
				.type = KVM_IRQ_ROUTING_IRQCHIP,
				.u.irqchip = {.irqchip = gsi < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE,
					      .pin = gsi & 7},
			};
	}
	return n;
}

void arch_msi_route(struct kvm_irq_routing_entry *entry, uint32_t requester, uint64_t address, uint32_t data)
{
	(void)requester;
	entry->type = KVM_IRQ_ROUTING_MSI;
	entry->u.msi.address_lo = (uint32_t)address;
	entry->u.msi.address_hi = (uint32_t)(address >> 32);
	entry->u.msi.data = data;
}

uint32_t arch_irq_line(uint32_t gsi)
{
	return gsi;
}

void arch_pci_layout(int kvm_fd, const struct vm_config *config, struct pci_layout *out)
{
	uint64_t top = LAYOUT_HIGH_RAM;

	(void)kvm_fd;
	if (config->memory_bytes > LAYOUT_LOW_RAM_END)
		top += config->memory_bytes - LAYOUT_LOW_RAM_END;
	*out = (struct pci_layout){
		.ecam_base = LAYOUT_PCI_ECAM,
		.mmio32_base = LAYOUT_PCI_MMIO32,
		.mmio32_size = LAYOUT_PCI_MMIO32_SIZE,
		.mmio64_base = (top + LAYOUT_PCI_MMIO64_SIZE - 1) / LAYOUT_PCI_MMIO64_SIZE * LAYOUT_PCI_MMIO64_SIZE,
		.mmio64_size = LAYOUT_PCI_MMIO64_SIZE,
		.intx_gsi = {LAYOUT_GSI_INTX, LAYOUT_GSI_INTX + 1, LAYOUT_GSI_INTX + 2, LAYOUT_GSI_INTX + 3},
		.has_ports = true,
	};
}

bool arch_mmio_slot(unsigned slot, uint64_t *base, uint32_t *gsi)
{
	if (slot >= sizeof(mmio_gsi))
		return false;
	*base = LAYOUT_VIRTIO_MMIO + slot * LAYOUT_VIRTIO_MMIO_SIZE;
	*gsi = mmio_gsi[slot];
	return true;
}
