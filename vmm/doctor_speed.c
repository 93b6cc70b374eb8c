// SPDX-License-Identifier: MIT
/*
 * A throw-away guest that counts, to tell a processor that runs guests from a KVM that interprets them. CPUID does not
 * say: an interpreting KVM runs on processors without virtualization, and shows none.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "vmm/doctor.h"

#define GUEST_BYTES 0x10000u
#define CODE 0x1000u

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

static int build(int kvm, struct guest *g, const char **what)
{
	struct kvm_userspace_memory_region region = {.memory_size = GUEST_BYTES};
	int bytes;

	*what = "create a virtual machine";
	g->vm = ioctl(kvm, KVM_CREATE_VM, doctor_guest.vm_type ? doctor_guest.vm_type(kvm) : 0);
	if (g->vm < 0)
		return -errno;
	*what = "give it memory";
	g->memory = mmap(NULL, GUEST_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (g->memory == MAP_FAILED) {
		g->memory = NULL;
		return -errno;
	}
	memcpy(g->memory + CODE, doctor_guest.code, doctor_guest.code_bytes);
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
	return doctor_guest.set_up(kvm, g->vm, g->vcpu, CODE);
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

/* Run to the next exit that the guest asks for. Returns 0, or a negative errno for any other end. */
static int run_to_exit(struct guest *g)
{
	while (ioctl(g->vcpu, KVM_RUN, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return g->run->exit_reason == doctor_guest.exit_reason ? 0 : -EOPNOTSUPP;
}

int doctor_measure(int kvm_fd, struct doctor_speed *out, const char **what)
{
	struct guest g = {.vm = -1, .vcpu = -1};
	uint64_t start, spent;
	int err = build(kvm_fd, &g, what);

	if (err || !g.run)
		goto out;
	*what = "run a guest";
	err = run_to_exit(&g);
	if (err)
		goto out;
	start = now_ns();
	err = run_to_exit(&g);
	spent = now_ns() - start;
	if (err)
		goto out;
	out->instructions_per_second = doctor_guest.instructions * 1000000000u / (spent ? spent : 1);
	out->ran_to_end = run_to_exit(&g) == 0;
out:
	demolish(&g);
	return err;
}
