// SPDX-License-Identifier: MIT
/* What mullion doctor asks of x86-64 hosts. */
#include <errno.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "vmm/doctor.h"

#define LOOPS 100000u
#define PORT_DONE 0xf4
#define CR0_PROTECTED 0x1u
#define CR4_OSFXSR 0x200u

/* 32-bit protected mode without paging, which every KVM can run without interpreting it. */
static const uint8_t count_code[] = {
	0xb9,
	LOOPS & 0xff,
	(LOOPS >> 8) & 0xff,
	(LOOPS >> 16) & 0xff,
	0, /* mov ecx, LOOPS */
	0xe6,
	PORT_DONE, /* out PORT_DONE, al: the clock starts */
	0x49,	   /* dec ecx */
	0x75,
	0xfd, /* jnz to the dec */
	0xe6,
	PORT_DONE, /* out: the clock stops */
	0x66,
	0x0f,
	0xfe,
	0xc0, /* paddd xmm0, xmm0 */
	0xe6,
	PORT_DONE, /* out: it ran */
};

static int set_registers(int vcpu, uint64_t entry)
{
	struct kvm_regs regs = {.rip = entry, .rflags = 2, .rsp = entry};
	struct kvm_segment flat = {
		.limit = 0xffffffff, .present = 1, .s = 1, .db = 1, .g = 1, .type = 3, .selector = 16};
	struct kvm_sregs sregs;

	if (ioctl(vcpu, KVM_GET_SREGS, &sregs) < 0)
		return -errno;
	sregs.ds = sregs.es = sregs.ss = sregs.fs = sregs.gs = flat;
	sregs.cs = flat;
	sregs.cs.type = 11;
	sregs.cs.selector = 8;
	sregs.cr0 |= CR0_PROTECTED;
	sregs.cr4 |= CR4_OSFXSR;
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) < 0 || ioctl(vcpu, KVM_SET_REGS, &regs) < 0)
		return -errno;
	return 0;
}

/* CPUID of the host, or the guest's SSE instruction would be refused for want of the feature bit. */
static int set_cpuid(int kvm, int vcpu)
{
	union {
		struct kvm_cpuid2 head;
		uint8_t room[sizeof(struct kvm_cpuid2) + 256 * sizeof(struct kvm_cpuid_entry2)];
	} cpuid = {.head.nent = 256};

	if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid.head) < 0 || ioctl(vcpu, KVM_SET_CPUID2, &cpuid.head) < 0)
		return -errno;
	return 0;
}

static int set_up(int kvm_fd, int vm_fd, int vcpu_fd, uint64_t entry)
{
	int err = set_cpuid(kvm_fd, vcpu_fd);

	(void)vm_fd;
	return err ? err : set_registers(vcpu_fd, entry);
}

const struct doctor_guest doctor_guest = {
	.code = count_code,
	.code_bytes = sizeof(count_code),
	.instructions = 2ull * LOOPS,
	.exit_reason = KVM_EXIT_IO,
	.set_up = set_up,
};

bool doctor_architecture(int kvm_fd, const struct doctor_speed *speed, doctor_report *report, void *owner)
{
	(void)kvm_fd;
	if (!speed)
		return true;
	if (speed->ran_to_end)
		report(owner, "ok", "guest SSE", "SSE2 runs in a guest", NULL);
	else
		report(owner, "warn", "guest SSE", "an SSE2 instruction ends the guest",
		       "build bare guests with -mgeneral-regs-only");
	return true;
}
