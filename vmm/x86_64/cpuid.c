// SPDX-License-Identifier: MIT
#include "vmm/x86_64/cpuid.h"

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>

#define LEAF1_ECX_MONITOR (1u << 3)
#define LEAF1_ECX_VMX (1u << 5)
#define LEAF1_ECX_X2APIC (1u << 21)
#define LEAF1_ECX_TSC_DEADLINE (1u << 24)
#define LEAF1_ECX_HYPERVISOR (1u << 31)
#define LEAF1_EDX_HTT (1u << 28)
#define EXT1_ECX_CMP_LEGACY (1u << 1)
#define EXT1_ECX_SVM (1u << 2)
#define LEVEL_SMT 1u
#define LEVEL_CORE 2u

/* Bits of an APIC ID that number the cores. */
static unsigned core_bits(unsigned cpus)
{
	unsigned bits = 0;

	while ((1u << bits) < cpus)
		bits++;
	return bits;
}

/* How many threads share a cache of @level: one's own up to L2, everybody's above. */
static uint32_t sharing(uint32_t eax, unsigned bits)
{
	uint32_t level = (eax >> 5) & 7;

	return (eax & ~(0xfffu << 14)) | (level >= 3 ? ((1u << bits) - 1) << 14 : 0);
}

/* Leaves 0xb and 0x1f are rebuilt whole: KVM's copy describes the processor that the VMM happened to run on. */
static int add_topology(struct kvm_cpuid2 *cpuid, uint32_t leaf, const struct cpuid_machine *m)
{
	uint32_t bits = core_bits(m->cpus);
	const struct kvm_cpuid_entry2 levels[] = {
		{.eax = 0, .ebx = 1, .ecx = LEVEL_SMT << 8},
		{.eax = bits, .ebx = m->cpus, .ecx = 1 | LEVEL_CORE << 8},
		{.eax = 0, .ebx = 0, .ecx = 2},
	};

	for (uint32_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		struct kvm_cpuid_entry2 *e;

		if (cpuid->nent >= CPUID_MAX_ENTRIES)
			return -ENOSPC;
		e = &cpuid->entries[cpuid->nent++];
		*e = levels[i];
		e->function = leaf;
		e->index = i;
		e->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
		e->edx = m->index;
	}
	return 0;
}

static void change(struct kvm_cpuid_entry2 *e, const struct cpuid_machine *m)
{
	unsigned bits = core_bits(m->cpus);

	switch (e->function) {
	case 1:
		e->ebx = (e->ebx & 0x0000ffff) | m->cpus << 16 | m->index << 24;
		/* No nested virtualization: its state could never be moved to another host. */
		e->ecx &= ~(LEAF1_ECX_MONITOR | LEAF1_ECX_VMX | LEAF1_ECX_TSC_DEADLINE);
		e->ecx |= LEAF1_ECX_HYPERVISOR | LEAF1_ECX_X2APIC;
		if (m->has_tsc_deadline)
			e->ecx |= LEAF1_ECX_TSC_DEADLINE;
		e->edx &= ~LEAF1_EDX_HTT;
		if (m->cpus > 1)
			e->edx |= LEAF1_EDX_HTT;
		break;
	case 4:
		/* Cores of the package only where the leaf has a cache at all (type 0 ends the list). */
		if (e->eax & 0x1f)
			e->eax = (sharing(e->eax, bits) & ~(0x3fu << 26)) | (bits > 6 ? 0x3fu : (1u << bits) - 1) << 26;
		break;
	case 0x80000001:
		e->ecx &= ~(EXT1_ECX_SVM | EXT1_ECX_CMP_LEGACY);
		if (m->cpus > 1)
			e->ecx |= EXT1_ECX_CMP_LEGACY;
		break;
	case 0x80000008:
		/* AMD: cores less one, and the size of their number; Intel reserves it. */
		if (e->ecx & 0xf0ff || e->ebx)
			e->ecx = (e->ecx & ~0xf0ffu) | (m->cpus - 1) | bits << 12;
		break;
	case 0x8000000a: /* SVM's features */
		e->eax = e->ebx = e->ecx = e->edx = 0;
		break;
	case 0x8000001d:
		if (e->eax & 0x1f)
			e->eax = sharing(e->eax, bits);
		break;
	case 0x8000001e:
		e->eax = m->index;
		e->ebx = m->index & 0xff; /* core, one thread */
		e->ecx = 0;		  /* node 0 of 1 */
		break;
	}
}

int cpuid_filter(struct kvm_cpuid2 *cpuid, const struct cpuid_machine *m)
{
	uint32_t kept = 0;
	uint32_t highest = 0;
	int err = 0;

	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		if (e->function == 0)
			highest = e->eax;
		if (e->function == 0xb || e->function == 0x1f)
			continue;
		change(e, m);
		cpuid->entries[kept++] = *e;
	}
	memset(&cpuid->entries[kept], 0, (cpuid->nent - kept) * sizeof(cpuid->entries[0]));
	cpuid->nent = kept;
	if (highest >= 0xb)
		err = add_topology(cpuid, 0xb, m);
	if (!err && highest >= 0x1f)
		err = add_topology(cpuid, 0x1f, m);
	return err;
}
