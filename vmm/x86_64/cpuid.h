/* SPDX-License-Identifier: MIT */
/*
 * What CPUID tells the guest: what KVM supports, with this machine's topology in place of the host's.
 */
#ifndef MULLION_VMM_X86_64_CPUID_H
#define MULLION_VMM_X86_64_CPUID_H

#include <stdbool.h>
#include <stdint.h>

#define CPUID_MAX_ENTRIES 256u

struct kvm_cpuid2;

struct cpuid_machine {
	unsigned index, cpus; /* the vCPU's number is its APIC ID */
	bool has_tsc_deadline;
};

/*
 * Change @cpuid, KVM's list with room for CPUID_MAX_ENTRIES, into vCPU @machine->index's. All vCPUs are cores of one
 * package, one thread each. Returns 0, or -ENOSPC if the topology's leaves don't fit.
 */
int cpuid_filter(struct kvm_cpuid2 *cpuid, const struct cpuid_machine *machine);

#endif
