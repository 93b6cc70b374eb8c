// SPDX-License-Identifier: MIT
/* The registers and features that a vCPU starts with. */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "host/base/log.h"
#include "vmm/arch.h"
#include "vmm/vm.h"
#include "vmm/x86_64/cpuid.h"

#define CR0_PE (1ull << 0)
#define CR0_MP (1ull << 1)
#define CR0_ET (1ull << 4)
#define CR0_NE (1ull << 5)
#define CR0_PG (1ull << 31)
#define CR4_PAE (1ull << 5)
#define EFER_LME (1ull << 8)
#define EFER_LMA (1ull << 10)
#define RFLAGS_RESERVED (1ull << 1)

#define MSR_MTRR_DEFAULT_TYPE 0x2ffu
#define MTRR_ENABLE (1u << 11)
#define MTRR_WRITE_BACK 6u
#define MSR_MISC_ENABLE 0x1a0u
#define MISC_ENABLE_FAST_STRINGS 1u

#define SELECTOR_CODE 0x10u /* as Linux's boot protocol wants them */
#define SELECTOR_DATA 0x18u
#define SELECTOR_TASK 0x20u

static int fail(int err, const char *what)
{
	log_line(LOG_TOPIC_VMM, LOG_ERROR, "KVM refuses the vCPU's %s: %s", what, strerror(err));
	return -err;
}

static int set_cpuid(struct vm *vm, int vcpu_fd, unsigned index)
{
	struct cpuid_machine machine = {.index = index, .cpus = vm_get_config(vm)->cpus};
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + CPUID_MAX_ENTRIES * sizeof(cpuid->entries[0]));
	int err = 0;

	if (!cpuid)
		return fail(ENOMEM, "CPUID");
	machine.has_tsc_deadline = ioctl(vm_kvm_fd(vm), KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
	cpuid->nent = CPUID_MAX_ENTRIES;
	if (ioctl(vm_kvm_fd(vm), KVM_GET_SUPPORTED_CPUID, cpuid) < 0)
		err = errno;
	if (!err)
		err = -cpuid_filter(cpuid, &machine);
	if (!err && ioctl(vcpu_fd, KVM_SET_CPUID2, cpuid) < 0)
		err = errno;
	free(cpuid);
	return err ? fail(err, "CPUID") : 0;
}

/* What firmware sets on every processor: all memory cached, fast string copies. */
static void set_msrs(int vcpu_fd)
{
	static const struct {
		uint32_t index;
		uint64_t value;
	} values[] = {
		{MSR_MTRR_DEFAULT_TYPE, MTRR_ENABLE | MTRR_WRITE_BACK},
		{MSR_MISC_ENABLE, MISC_ENABLE_FAST_STRINGS},
	};
	union {
		struct kvm_msrs list;
		uint8_t room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
	} msr = {.list.nmsrs = 1};

	/* One at a time: KVM stops at the first that it doesn't know, and a guest runs without them too. */
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		msr.list.entries[0].index = values[i].index;
		msr.list.entries[0].data = values[i].value;
		if (ioctl(vcpu_fd, KVM_SET_MSRS, &msr) != 1)
			log_line(LOG_TOPIC_VMM, LOG_DEBUG, "KVM doesn't take MSR 0x%x", values[i].index);
	}
}

/* LINT0 takes the PIC's interrupts, LINT1 is NMI: what firmware leaves behind, and the MADT says. */
static int set_lapic(int vcpu_fd)
{
	struct kvm_lapic_state lapic;
	uint32_t word;

	if (ioctl(vcpu_fd, KVM_GET_LAPIC, &lapic) < 0)
		return fail(errno, "local APIC");
	word = 0x700; /* ExtINT */
	memcpy(&lapic.regs[0x350], &word, sizeof(word));
	word = 0x400; /* NMI */
	memcpy(&lapic.regs[0x360], &word, sizeof(word));
	if (ioctl(vcpu_fd, KVM_SET_LAPIC, &lapic) < 0)
		return fail(errno, "local APIC");
	return 0;
}

int arch_vcpu_init(struct vm *vm, int vcpu_fd, unsigned index)
{
	int err = set_cpuid(vm, vcpu_fd, index);

	if (err)
		return err;
	set_msrs(vcpu_fd);
	return set_lapic(vcpu_fd);
}

static struct kvm_segment segment(uint16_t selector, uint8_t type, bool is_code)
{
	return (struct kvm_segment){
		.base = 0,
		.limit = 0xffffffff,
		.selector = selector,
		.type = type,
		.present = 1,
		.s = 1,
		.g = 1,
		.l = is_code,
		.db = !is_code,
	};
}

/* 64-bit mode at privilege level 0 with the page tables and descriptors that boot.c wrote; interrupts off. */
int arch_vcpu_set_entry(int vcpu_fd, const struct boot_entry *entry)
{
	struct kvm_regs regs = {
		.rip = entry->rip,
		.rsi = entry->rsi,
		.rsp = LAYOUT_BOOT_STACK,
		.rflags = RFLAGS_RESERVED,
	};
	struct kvm_sregs sregs;
	struct kvm_segment data = segment(SELECTOR_DATA, 3, false);

	if (ioctl(vcpu_fd, KVM_GET_SREGS, &sregs) < 0)
		return fail(errno, "special registers");
	sregs.cs = segment(SELECTOR_CODE, 11, true);
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.tr = (struct kvm_segment){.selector = SELECTOR_TASK, .limit = 0x67, .type = 11, .present = 1};
	sregs.gdt.base = LAYOUT_GDT;
	sregs.gdt.limit = LAYOUT_GDT_BYTES - 1;
	sregs.idt.base = 0;
	sregs.idt.limit = 0;
	sregs.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_PG;
	sregs.cr3 = LAYOUT_PAGE_TABLES;
	sregs.cr4 = CR4_PAE;
	sregs.efer = EFER_LME | EFER_LMA;
	if (ioctl(vcpu_fd, KVM_SET_SREGS, &sregs) < 0)
		return fail(errno, "special registers");
	if (ioctl(vcpu_fd, KVM_SET_REGS, &regs) < 0)
		return fail(errno, "registers");
	return 0;
}

void arch_vcpu_paused(struct vm *vm, int vcpu_fd, unsigned index)
{
	(void)vm;
	(void)vcpu_fd;
	(void)index;
}

/* Sets PVCLOCK_GUEST_STOPPED, for which Linux's watchdogs look. EINVAL: the guest uses no kvmclock, and needs none. */
void arch_vcpu_resumes(struct vm *vm, int vcpu_fd, unsigned index)
{
	(void)vm;
	if (ioctl(vcpu_fd, KVM_KVMCLOCK_CTRL, 0) < 0 && errno != EINVAL)
		log_line(LOG_TOPIC_VMM, LOG_DEBUG, "vCPU %u: KVM_KVMCLOCK_CTRL: %s", index, strerror(errno));
}

uint64_t arch_vcpu_pc(int vcpu_fd)
{
	struct kvm_regs regs;

	return ioctl(vcpu_fd, KVM_GET_REGS, &regs) < 0 ? 0 : regs.rip;
}
