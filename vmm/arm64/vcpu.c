// SPDX-License-Identifier: MIT
/* The registers and features that a vCPU starts with. PSCI, which starts all but the first, is KVM's. */
#include <errno.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>

#include "host/base/log.h"
#include "vmm/arch.h"
#include "vmm/arm64/machine.h"
#include "vmm/vm.h"

#define CORE_REGISTER(name) (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(name))
#define MPIDR_EL1 ARM64_SYS_REG(3, 0, 0, 0, 5)
#define ID_AA64MMFR0_EL1 ARM64_SYS_REG(3, 0, 0, 7, 0)
#define MPIDR_AFFINITY 0xff00ffffffull

static int fail(int err, const char *what)
{
	log_line(LOG_TOPIC_VMM, LOG_ERROR, "KVM refuses the vCPU's %s: %s", what, strerror(err));
	return -err;
}

static int get(int vcpu_fd, uint64_t id, uint64_t *value)
{
	struct kvm_one_reg reg = {.id = id, .addr = (uintptr_t)value};

	return ioctl(vcpu_fd, KVM_GET_ONE_REG, &reg) < 0 ? -errno : 0;
}

static int put(int vcpu_fd, uint64_t id, uint64_t value)
{
	struct kvm_one_reg reg = {.id = id, .addr = (uintptr_t)&value};

	return ioctl(vcpu_fd, KVM_SET_ONE_REG, &reg) < 0 ? -errno : 0;
}

static void add_feature(struct kvm_vcpu_init *init, unsigned feature)
{
	init->features[feature / 32] |= 1u << feature % 32;
}

/* Linux's Documentation/virt/kvm/devices/vcpu.rst, section 1 */
static int set_pmu(int vcpu_fd, uint64_t attribute, void *value)
{
	struct kvm_device_attr a = {.group = KVM_ARM_VCPU_PMU_V3_CTRL, .attr = attribute, .addr = (uintptr_t)value};

	return ioctl(vcpu_fd, KVM_SET_DEVICE_ATTR, &a) < 0 ? -errno : 0;
}

int pmu_start(struct vm *vm)
{
	struct arch_vm *a = vm_arch(vm);
	int line = LAYOUT_PPI_PMU + 16, err = 0;

	for (unsigned i = 0; a->has_pmu && !err && i < vm_get_config(vm)->cpus; i++) {
		err = set_pmu(a->vcpu_fds[i], KVM_ARM_VCPU_PMU_V3_IRQ, &line);
		if (!err)
			err = set_pmu(a->vcpu_fds[i], KVM_ARM_VCPU_PMU_V3_INIT, NULL);
	}
	return err ? fail(-err, "event counters") : 0;
}

int arch_vcpu_init(struct vm *vm, int vcpu_fd, unsigned index)
{
	struct arch_vm *a = vm_arch(vm);
	bool aarch32 = vm_get_config(vm)->aarch32;
	struct kvm_vcpu_init init;
	int err;

	if (ioctl(vm_fd(vm), KVM_ARM_PREFERRED_TARGET, &init) < 0)
		return fail(errno, "type");
	memset(init.features, 0, sizeof(init.features));
	add_feature(&init, KVM_ARM_VCPU_PSCI_0_2);
	if (index)
		add_feature(&init, KVM_ARM_VCPU_POWER_OFF); /* until the guest's PSCI call */
	if (aarch32)
		add_feature(&init, KVM_ARM_VCPU_EL1_32BIT);
	a->has_pmu = !aarch32 && ioctl(vm_fd(vm), KVM_CHECK_EXTENSION, KVM_CAP_ARM_PMU_V3) > 0;
	if (a->has_pmu)
		add_feature(&init, KVM_ARM_VCPU_PMU_V3);
	if (!aarch32 && ioctl(vm_fd(vm), KVM_CHECK_EXTENSION, KVM_CAP_ARM_PTRAUTH_ADDRESS) > 0 &&
	    ioctl(vm_fd(vm), KVM_CHECK_EXTENSION, KVM_CAP_ARM_PTRAUTH_GENERIC) > 0) {
		add_feature(&init, KVM_ARM_VCPU_PTRAUTH_ADDRESS);
		add_feature(&init, KVM_ARM_VCPU_PTRAUTH_GENERIC);
	}
	if (ioctl(vcpu_fd, KVM_ARM_VCPU_INIT, &init) < 0)
		return fail(errno, "features");
	a->vcpu_fds[index] = vcpu_fd;
	err = get(vcpu_fd, MPIDR_EL1, &a->mpidr[index]);
	if (err)
		return fail(-err, "number (MPIDR_EL1)");
	a->mpidr[index] &= MPIDR_AFFINITY;
	if (!index && get(vcpu_fd, ID_AA64MMFR0_EL1, &a->page_sizes))
		a->page_sizes = 0;
	return 0;
}

/*
 * KVM's reset has left EL1 (AArch32: supervisor mode) with the MMU off and interrupts masked, as the boot protocols want
 * it. A 32-bit kernel looks for the machine's number in r1, of which there is none where a device tree is.
 */
int arch_vcpu_set_entry(int vcpu_fd, const struct boot_entry *entry)
{
	const uint64_t values[3] = {entry->aarch32 ? 0 : entry->fdt, entry->aarch32 ? UINT32_MAX : 0,
				    entry->aarch32 ? entry->fdt : 0};
	int err = put(vcpu_fd, CORE_REGISTER(regs.pc), entry->pc);

	/* A register is two of the numbers' units. */
	for (unsigned i = 0; !err && i < 3; i++)
		err = put(vcpu_fd, CORE_REGISTER(regs.regs[0]) + 2 * i, values[i]);
	return err ? fail(-err, "registers") : 0;
}

/*
 * The virtual counter of all vCPUs is one: it is read where it stopped, and goes on from there. Otherwise Linux would see
 * its processors hang for the whole pause, as no clock of KVM/ARM tells it better.
 */
void arch_vcpu_paused(struct vm *vm, int vcpu_fd, unsigned index)
{
	struct arch_vm *a = vm_arch(vm);

	if (!index)
		a->has_counter = !get(vcpu_fd, KVM_REG_ARM_TIMER_CNT, &a->counter);
}

void arch_vcpu_resumes(struct vm *vm, int vcpu_fd, unsigned index)
{
	const struct arch_vm *a = vm_arch(vm);
	int err = index || !a->has_counter ? 0 : put(vcpu_fd, KVM_REG_ARM_TIMER_CNT, a->counter);

	if (err)
		log_line(LOG_TOPIC_VMM, LOG_WARN, "KVM refuses to set the guest's counter: %s; its clock jumps ahead",
			 strerror(-err));
}

uint64_t arch_vcpu_pc(int vcpu_fd)
{
	uint64_t pc;

	return get(vcpu_fd, CORE_REGISTER(regs.pc), &pc) ? 0 : pc;
}
