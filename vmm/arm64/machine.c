// SPDX-License-Identifier: MIT
/* What the machine has before its first vCPU, and where things are. */
#include "vmm/arm64/machine.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "host/base/log.h"
#include "vmm/arch.h"
#include "vmm/arm64/space.h"
#include "vmm/vm.h"

#define DEFAULT_BITS 40u /* of guest-physical addresses, for VM type 0 */

unsigned machine_address_bits(int kvm_fd)
{
	int bits = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);

	return bits >= 32 && bits <= 52 ? (unsigned)bits : DEFAULT_BITS;
}

uint64_t arch_max_memory(int kvm_fd)
{
	return space_max_memory(machine_address_bits(kvm_fd));
}

/* Type 0 is 40 bits; another number of bits is asked for where the host has fewer, or the guest needs more. */
unsigned long arch_vm_type(int kvm_fd, const struct vm_config *config)
{
	unsigned bits = machine_address_bits(kvm_fd);
	struct space_window w = space_pci64(bits, config->memory_bytes);
	uint64_t top = w.base + w.size;

	return bits < DEFAULT_BITS || top > 1ull << DEFAULT_BITS ? KVM_VM_TYPE_ARM_IPA_SIZE(bits) : 0;
}

int arch_vm_init(struct vm *vm, int vm_fd)
{
	struct kvm_enable_cap nisv = {.cap = KVM_CAP_ARM_NISV_TO_USER};
	struct arch_vm *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	vm_set_arch(vm, a);
	if (vm_get_config(vm)->aarch32 && ioctl(vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_EL1_32BIT) <= 0) {
		log_line(LOG_TOPIC_VMM, LOG_ERROR,
			 "--aarch32: this host's processor runs no 32-bit guests (no AArch32 at EL1)");
		return -ENOTSUP;
	}
	/* Accesses that the processor doesn't describe then end with an exit that says where, not with ENOSYS. */
	if (ioctl(vm_fd, KVM_ENABLE_CAP, &nisv) < 0)
		log_line(LOG_TOPIC_VMM, LOG_DEBUG, "this kernel's KVM lacks KVM_CAP_ARM_NISV_TO_USER");
	return gic_create(&a->gic, vm_fd, vm_get_config(vm)->cpus);
}

int arch_vm_ready(struct vm *vm)
{
	int err = gic_ready(&vm_arch(vm)->gic);

	return err ? err : pmu_start(vm);
}

unsigned arch_irq_routes(struct kvm_irq_routing_entry *entries)
{
	for (uint32_t gsi = 0; gsi < LAYOUT_SPIS; gsi++)
		entries[gsi] = (struct kvm_irq_routing_entry){
			.gsi = gsi,
			.type = KVM_IRQ_ROUTING_IRQCHIP,
			.u.irqchip = {.irqchip = 0, .pin = gsi},
		};
	return LAYOUT_SPIS;
}

uint32_t arch_irq_line(uint32_t gsi)
{
	return (uint32_t)KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT | (LAYOUT_FIRST_SPI + gsi);
}

void arch_pci_layout(int kvm_fd, const struct vm_config *config, struct pci_layout *out)
{
	struct space_window high = space_pci64(machine_address_bits(kvm_fd), config->memory_bytes);

	*out = (struct pci_layout){
		.ecam_base = LAYOUT_PCI_ECAM,
		.mmio32_base = LAYOUT_PCI_MMIO32,
		.mmio32_size = LAYOUT_PCI_MMIO32_SIZE,
		.mmio64_base = high.base,
		.mmio64_size = high.size,
		.intx_gsi = {LAYOUT_GSI_INTX, LAYOUT_GSI_INTX + 1, LAYOUT_GSI_INTX + 2, LAYOUT_GSI_INTX + 3},
	};
}

bool arch_mmio_slot(unsigned slot, uint64_t *base, uint32_t *gsi)
{
	if (slot >= LAYOUT_VIRTIO_MMIO_SLOTS)
		return false;
	*base = LAYOUT_VIRTIO_MMIO + slot * LAYOUT_VIRTIO_MMIO_SIZE;
	*gsi = LAYOUT_GSI_VIRTIO_MMIO + slot;
	return true;
}
