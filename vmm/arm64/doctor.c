// SPDX-License-Identifier: MIT
/* What mullion doctor asks of arm64 hosts. */
#include <errno.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/arm64/space.h"
#include "vmm/doctor.h"

#define LOOPS 100000u
#define DEFAULT_BITS 40u
#define CORE_REGISTER(name) (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(name))

/* With instruction caching: without, a processor fetches each from memory. Nothing is at 0x10000000, so a store exits. */
static const uint32_t count_code[] = {
	0xd5381000, /* mrs x0, sctlr_el1 */
	0xb2740000, /* orr x0, x0, #0x1000 */
	0xd5181000, /* msr sctlr_el1, x0 */
	0xd5033fdf, /* isb */
	0xd2a20001, /* mov x1, #0x10000000 */
	0x52800000 | (LOOPS & 0xffff) << 5, /* movz w0, LOOPS */
	0x72a00000 | (LOOPS >> 16) << 5,    /* movk w0, LOOPS, lsl #16 */
	0xb9000020, /* str w0, [x1]: the clock starts */
	0x71000400, /* subs w0, w0, #1 */
	0x54ffffe1, /* b.ne to the subs */
	0xb9000020, /* str: the clock stops */
	0xb9000020, /* str: it ran */
};

static unsigned address_bits(int kvm_fd)
{
	int bits = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);

	return bits >= 32 && bits <= 52 ? (unsigned)bits : DEFAULT_BITS;
}

static unsigned long vm_type(int kvm_fd)
{
	unsigned bits = address_bits(kvm_fd);

	return bits < DEFAULT_BITS ? KVM_VM_TYPE_ARM_IPA_SIZE(bits) : 0;
}

static int set_up(int kvm_fd, int vm_fd, int vcpu_fd, uint64_t entry)
{
	struct kvm_vcpu_init init;
	struct kvm_one_reg pc = {.id = CORE_REGISTER(regs.pc), .addr = (uintptr_t)&entry};

	(void)kvm_fd;
	if (ioctl(vm_fd, KVM_ARM_PREFERRED_TARGET, &init) < 0)
		return -errno;
	memset(init.features, 0, sizeof(init.features));
	if (ioctl(vcpu_fd, KVM_ARM_VCPU_INIT, &init) < 0 || ioctl(vcpu_fd, KVM_SET_ONE_REG, &pc) < 0)
		return -errno;
	return 0;
}

const struct doctor_guest doctor_guest = {
	.code = count_code,
	.code_bytes = sizeof(count_code),
	.instructions = 2ull * LOOPS,
	.exit_reason = KVM_EXIT_MMIO,
	.vm_type = vm_type,
	.set_up = set_up,
};

/* True if KVM could make it. */
static bool has_device(int vm_fd, uint32_t type)
{
	struct kvm_create_device d = {.type = type, .flags = KVM_CREATE_DEVICE_TEST};

	return !ioctl(vm_fd, KVM_CREATE_DEVICE, &d);
}

static bool check_interrupts(int kvm_fd, doctor_report *report, void *owner)
{
	int vm = ioctl(kvm_fd, KVM_CREATE_VM, vm_type(kvm_fd));
	bool v3 = vm >= 0 && has_device(vm, KVM_DEV_TYPE_ARM_VGIC_V3);
	bool v2 = vm >= 0 && has_device(vm, KVM_DEV_TYPE_ARM_VGIC_V2);
	bool its = v3 && has_device(vm, KVM_DEV_TYPE_ARM_VGIC_ITS);

	if (vm >= 0)
		close(vm);
	if (its)
		report(owner, "ok", "guest interrupts", "GICv3 with an ITS for messages", NULL);
	else if (v3)
		report(owner, "ok", "guest interrupts", "GICv3 without an ITS: messages go by GICv2m, 128 at most", NULL);
	else if (v2)
		report(owner, "ok", "guest interrupts", "GICv2 (8 vCPUs at most), messages by GICv2m, 128 at most", NULL);
	else
		report(owner, "fail", "guest interrupts", "KVM has neither GICv3 nor GICv2",
		       "the host's firmware must describe an interrupt controller with virtualization");
	return v3 || v2;
}

bool doctor_architecture(int kvm_fd, const struct doctor_speed *speed, doctor_report *report, void *owner)
{
	unsigned bits = address_bits(kvm_fd);
	bool can_run = check_interrupts(kvm_fd, report, owner);
	char text[80];

	(void)speed;
	snprintf(text, sizeof(text), "%u bits: at most %llu GiB of memory", bits,
		 (unsigned long long)(space_max_memory(bits) >> 30));
	report(owner, "ok", "guest addresses", text, NULL);
	if (ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_EL1_32BIT) > 0)
		report(owner, "ok", "32-bit guests", "--aarch32 runs them", NULL);
	else
		report(owner, "warn", "32-bit guests", "this processor has no AArch32 at EL1",
		       "take another host for --aarch32");
	if (ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_PMU_V3) > 0)
		report(owner, "ok", "guest PMU", "64-bit guests can count events (perf)", NULL);
	else
		report(owner, "warn", "guest PMU", "none: perf in a guest has no hardware events",
		       "a host kernel with the processor's PMU driver");
	return can_run;
}
