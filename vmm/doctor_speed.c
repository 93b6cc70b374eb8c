// SPDX-License-Identifier: MIT
/*
 * A throw-away guest that counts, to tell a processor that runs guests from a KVM that interprets them. CPUID does not
 * say: an interpreting KVM runs on processors without virtualization, and shows none.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "vmm/doctor.h"

#if defined(__x86_64__)

#define GUEST_BYTES 0x10000u
#define CODE 0x1000u
#define LOOPS 100000u
#define INSTRUCTIONS (2ull * LOOPS)
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

struct guest {
	int vm, vcpu;
	uint8_t *memory;
	struct kvm_run *run;
	size_t run_bytes;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int set_registers(int vcpu)
{
	struct kvm_regs regs = {.rip = CODE, .rflags = 2, .rsp = CODE};
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

static int build(int kvm, struct guest *g, const char **what)
{
	struct kvm_userspace_memory_region region = {.memory_size = GUEST_BYTES};
	int bytes, err;

	*what = "create a virtual machine";
	g->vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (g->vm < 0)
		return -errno;
	*what = "give it memory";
	g->memory = mmap(NULL, GUEST_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (g->memory == MAP_FAILED) {
		g->memory = NULL;
		return -errno;
	}
	memcpy(g->memory + CODE, count_code, sizeof(count_code));
	region.userspace_addr = (uintptr_t)g->memory;
	if (ioctl(g->vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		return -errno;
	*what = "create a vCPU";
	g->vcpu = ioctl(g->vm, KVM_CREATE_VCPU, 0);
	bytes = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (g->vcpu < 0 || bytes < 0)
		return -errno;
	g->run_bytes = (size_t)bytes;
	g->run = mmap(NULL, g->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, g->vcpu, 0);
	if (g->run == MAP_FAILED) {
		g->run = NULL;
		return -errno;
	}
	*what = "set up a vCPU";
	err = set_cpuid(kvm, g->vcpu);
	return err ? err : set_registers(g->vcpu);
}

static void demolish(struct guest *g)
{
	if (g->run)
		munmap(g->run, g->run_bytes);
	if (g->vcpu >= 0)
		close(g->vcpu);
	if (g->vm >= 0)
		close(g->vm);
	if (g->memory)
		munmap(g->memory, GUEST_BYTES);
}

/* Run to the next port write. Returns 0, or a negative errno for any other end. */
static int run_to_port(struct guest *g)
{
	while (ioctl(g->vcpu, KVM_RUN, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return g->run->exit_reason == KVM_EXIT_IO ? 0 : -EOPNOTSUPP;
}

int doctor_measure(int kvm_fd, struct doctor_speed *out, const char **what)
{
	struct guest g = {.vm = -1, .vcpu = -1};
	uint64_t start, spent;
	int err = build(kvm_fd, &g, what);

	if (err || !g.run)
		goto out;
	*what = "run a guest";
	err = run_to_port(&g);
	if (err)
		goto out;
	start = now_ns();
	err = run_to_port(&g);
	spent = now_ns() - start;
	if (err)
		goto out;
	out->instructions_per_second = INSTRUCTIONS * 1000000000u / (spent ? spent : 1);
	out->sse = run_to_port(&g) == 0;
out:
	demolish(&g);
	return err;
}

#else

int doctor_measure(int kvm_fd, struct doctor_speed *out, const char **what)
{
	(void)kvm_fd;
	(void)out;
	*what = "run a guest (no throw-away guest for this processor yet)";
	return -ENOSYS;
}

#endif
