/* SPDX-License-Identifier: MIT */
/*
 * What arm64 keeps with a machine (vm_arch()).
 */
#ifndef MULLION_VMM_ARM64_MACHINE_H
#define MULLION_VMM_ARM64_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/arm64/gic.h"
#include "vmm/arm64/layout.h"

struct arch_vm {
	struct gic gic;
	uint64_t mpidr[ARCH_MAX_CPUS]; /* affinity fields, as KVM numbers the vCPUs; what the device tree names them by */
	uint64_t page_sizes;           /* ID_AA64MMFR0_EL1 of the first vCPU */
	uint64_t counter;              /* the guest's virtual counter when it was paused */
	bool has_counter;
	bool has_pmu;		       /* every vCPU counts events */
	int vcpu_fds[ARCH_MAX_CPUS];   /* the vCPUs own them */
};

/* Guest-physical address bits that this host can give: Apple's processors have 36, servers up to 52. */
unsigned machine_address_bits(int kvm_fd);
/* Let the vCPUs count events, when all of them and the interrupt controller exist. */
int pmu_start(struct vm *vm);

#endif
