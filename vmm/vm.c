// SPDX-License-Identifier: MIT
#include "vmm/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/base/loop.h"
#include "host/virtio/mem.h"
#include "vmm/arch.h"
#include "vmm/bus.h"
#include "vmm/irq_table.h"
#include "vmm/vcpu.h"

#define MIB (1024ull * 1024)
#define RAM_SLOTS 2u

struct vm {
	struct vm_config config;
	int kvm_fd, fd, memory_fd;
	uint8_t *memory; /* the whole memfd */
	struct guest_mem *mem;
	atomic_uint slots; /* KVM's numbers of memory that were given out; 0 and 1 are RAM */
	struct bus *mmio, *pio;
	struct irq_table *irqs;
	struct arch_vm *arch;
	struct loop *loop;
	struct vcpu **vcpus;
	unsigned vcpu_count;
	atomic_uint vcpus_running;
	atomic_int end; /* enum vm_end + 1; 0 while the guest may run */
	struct loop_task end_task;
	struct loop_timer end_timer;
	void (*stuck)(void);
	void (*press)(void *owner); /* the power button; NULL: none */
	void *press_owner;

	enum { VM_RUNS, VM_PAUSING, VM_PAUSED } pause; /* the loop's, as the waiters */
	struct loop_task *pause_waiters;
	atomic_uint vcpus_to_park;
	struct loop_task parked_task;
};

/* What KVM must have; all of it is older than the kernels of Debian 12. */
static const struct {
	int cap;
	const char *name;
} needed[] = {
	{KVM_CAP_USER_MEMORY, "USER_MEMORY"},	    {KVM_CAP_IRQCHIP, "IRQCHIP"},
	{KVM_CAP_IRQ_ROUTING, "IRQ_ROUTING"},	    {KVM_CAP_IRQFD, "IRQFD"},
	{KVM_CAP_IOEVENTFD, "IOEVENTFD"},	    {KVM_CAP_SIGNAL_MSI, "SIGNAL_MSI"},
	{KVM_CAP_IMMEDIATE_EXIT, "IMMEDIATE_EXIT"},
};

static int fail(int err, const char *what)
{
	log_line(LOG_TOPIC_VMM, LOG_ERROR, "%s: %s", what, strerror(err));
	return -err;
}

static int open_kvm(struct vm *vm)
{
	int version;

	vm->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm_fd < 0) {
		int err = errno;

		if (err == EACCES || err == EPERM)
			log_line(LOG_TOPIC_VMM, LOG_ERROR,
				 "no permission to open /dev/kvm: mullion doctor tells how to get it");
		else if (err == ENOENT || err == ENODEV || err == ENXIO)
			log_line(LOG_TOPIC_VMM, LOG_ERROR,
				 "no /dev/kvm: " ARCH_NO_KVM);
		else
			log_line(LOG_TOPIC_VMM, LOG_ERROR, "can't open /dev/kvm: %s; run mullion doctor",
				 strerror(err));
		return -err;
	}
	version = ioctl(vm->kvm_fd, KVM_GET_API_VERSION, 0);
	if (version != KVM_API_VERSION) {
		log_line(LOG_TOPIC_VMM, LOG_ERROR, "/dev/kvm isn't KVM, or too old (interface version %d, needed %d)",
			 version, KVM_API_VERSION);
		return -ENOTSUP;
	}
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		if (ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, needed[i].cap) > 0)
			continue;
		log_line(LOG_TOPIC_VMM, LOG_ERROR, "this kernel's KVM lacks KVM_CAP_%s: use a newer host kernel",
			 needed[i].name);
		return -ENOTSUP;
	}
	return 0;
}

static int check_config(struct vm *vm)
{
	uint64_t most = arch_max_memory(vm->kvm_fd);
	int cpus = ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
	struct sysinfo host;

	if (cpus <= 0 || cpus > ARCH_MAX_CPUS)
		cpus = cpus <= 0 ? 1 : ARCH_MAX_CPUS;
	if (vm->config.cpus > (unsigned)cpus) {
		log_line(LOG_TOPIC_VMM, LOG_ERROR, "--cpus %u: at most %d are possible on this host", vm->config.cpus,
			 cpus);
		return -EINVAL;
	}
	if (vm->config.memory_bytes > most) {
		log_line(LOG_TOPIC_VMM, LOG_ERROR,
			 "--memory: at most %llu MiB are possible with this processor's addresses",
			 (unsigned long long)(most / MIB));
		return -EINVAL;
	}
	if (!sysinfo(&host)) {
		uint64_t all = ((uint64_t)host.totalram + host.totalswap) * host.mem_unit;

		if (vm->config.memory_bytes > all) {
			log_line(LOG_TOPIC_VMM, LOG_ERROR,
				 "--memory: %llu MiB is more than this host's memory and swap (%llu MiB)",
				 (unsigned long long)(vm->config.memory_bytes / MIB), (unsigned long long)(all / MIB));
			return -ENOMEM;
		}
	}
	return 0;
}

static int add_slot(struct vm *vm, uint32_t slot, uint64_t gpa, uint64_t offset, uint64_t bytes)
{
	struct kvm_userspace_memory_region kvm_region = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = bytes,
		.userspace_addr = (uintptr_t)(vm->memory + offset),
	};
	struct guest_mem_region region = {
		.gpa = gpa,
		.size_bytes = bytes,
		.host = vm->memory + offset,
		.fd = vm->memory_fd,
		.fd_offset = offset,
	};

	if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &kvm_region) < 0)
		return fail(errno, "KVM can't take the guest's memory (less with --memory may help)");
	return guest_mem_add(vm->mem, &region);
}

static int make_memory(struct vm *vm)
{
	uint64_t bytes = vm->config.memory_bytes;
	uint64_t low = LAYOUT_LOW_RAM_END - LAYOUT_LOW_RAM;
	int err;

	vm->memory_fd = memfd_create("guest-memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (vm->memory_fd < 0)
		return fail(errno, "can't create the guest's memory");
	if (ftruncate(vm->memory_fd, (off_t)bytes) < 0)
		return fail(errno, "can't size the guest's memory (less with --memory may help)");
	/* Nobody who is handed the descriptor can pull memory from under this process (SIGBUS). */
	if (fcntl(vm->memory_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return fail(errno, "can't seal the guest's memory");
	vm->memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, vm->memory_fd, 0);
	if (vm->memory == MAP_FAILED) {
		vm->memory = NULL;
		return fail(errno,
			    "can't map the guest's memory (less with --memory, or a higher ulimit -v, may help)");
	}
	/* A core dump holds the VMM, not the guest. */
	madvise(vm->memory, bytes, MADV_DONTDUMP);
	/* Where the host allows it for shared memory: fewer misses in nested page tables. */
	madvise(vm->memory, bytes, MADV_HUGEPAGE);
	err = guest_mem_create(&vm->mem);
	if (!err)
		err = add_slot(vm, 0, LAYOUT_LOW_RAM, 0, bytes < low ? bytes : low);
	if (!err && bytes > low)
		err = add_slot(vm, 1, LAYOUT_HIGH_RAM, low, bytes - low);
	return err;
}

int vm_create(const struct vm_config *config, struct vm **out)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	int err;

	if (!vm)
		return fail(ENOMEM, "can't make a machine");
	vm->config = *config;
	vm->kvm_fd = vm->fd = vm->memory_fd = -1;
	atomic_init(&vm->slots, RAM_SLOTS);
	err = open_kvm(vm);
	if (!err)
		err = check_config(vm);
	if (err)
		goto fail;
	do {
		vm->fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, arch_vm_type(vm->kvm_fd, config));
	} while (vm->fd < 0 && errno == EINTR);
	if (vm->fd < 0) {
		err = fail(errno,
			   errno == EBUSY
				   ? "can't make a machine: another hypervisor (VirtualBox, VMware) holds the processor"
				   : "KVM can't make a machine (mullion doctor may tell why)");
		goto fail;
	}
	err = make_memory(vm);
	if (!err)
		err = bus_create("mmio", &vm->mmio);
	if (!err)
		err = bus_create("pio", &vm->pio);
	if (!err)
		err = loop_create("vmm", &vm->loop);
	if (!err)
		err = irq_table_create(vm->fd, &vm->irqs);
	if (err)
		goto fail;
	err = arch_vm_init(vm, vm->fd);
	if (err)
		goto fail;
	err = irq_table_install(vm->irqs);
	if (err) {
		fail(-err, "KVM refuses the interrupt routes");
		goto fail;
	}
	vm->vcpus = calloc(vm->config.cpus, sizeof(*vm->vcpus));
	if (!vm->vcpus) {
		err = fail(ENOMEM, "can't make vCPUs");
		goto fail;
	}
	for (; vm->vcpu_count < vm->config.cpus; vm->vcpu_count++) {
		err = vcpu_create(vm, vm->vcpu_count, &vm->vcpus[vm->vcpu_count]);
		if (err)
			goto fail;
	}
	err = arch_vm_ready(vm);
	if (err)
		goto fail;
	*out = vm;
	return 0;
fail:
	vm_destroy(vm);
	return err;
}

void vm_destroy(struct vm *vm)
{
	if (!vm)
		return;
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		vcpu_destroy(vm->vcpus[i]);
	free(vm->vcpus);
	loop_destroy(vm->loop);
	irq_table_destroy(vm->irqs);
	bus_destroy(vm->pio);
	bus_destroy(vm->mmio);
	guest_mem_destroy(vm->mem);
	if (vm->fd >= 0)
		close(vm->fd);
	if (vm->memory)
		munmap(vm->memory, vm->config.memory_bytes);
	if (vm->memory_fd >= 0)
		close(vm->memory_fd);
	if (vm->kvm_fd >= 0)
		close(vm->kvm_fd);
	free(vm->arch);
	free(vm);
}

const struct vm_config *vm_get_config(const struct vm *vm)
{
	return &vm->config;
}

int vm_fd(const struct vm *vm)
{
	return vm->fd;
}

int vm_kvm_fd(const struct vm *vm)
{
	return vm->kvm_fd;
}

const struct guest_mem *vm_mem(const struct vm *vm)
{
	return vm->mem;
}

struct bus *vm_mmio(struct vm *vm)
{
	return vm->mmio;
}

struct bus *vm_pio(struct vm *vm)
{
	return vm->pio;
}

struct loop *vm_loop(struct vm *vm)
{
	return vm->loop;
}

struct arch_vm *vm_arch(const struct vm *vm)
{
	return vm->arch;
}

void vm_set_arch(struct vm *vm, struct arch_vm *arch)
{
	vm->arch = arch;
}

struct irq_table *vm_irq_table(struct vm *vm)
{
	return vm->irqs;
}

void vm_set_power_button(struct vm *vm, void (*press)(void *owner), void *owner)
{
	vm->press = press;
	vm->press_owner = owner;
}

bool vm_power_button(struct vm *vm)
{
	if (!vm->press)
		return false;
	vm->press(vm->press_owner);
	return true;
}

/* ---- pausing ---- */

static void all_parked(struct loop_task *t)
{
	struct vm *vm = t->owner;

	vm->pause = VM_PAUSED;
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		arch_vcpu_paused(vm, vcpu_fd(vm->vcpus[i]), i);
	while (vm->pause_waiters) {
		struct loop_task *waiter = vm->pause_waiters;

		vm->pause_waiters = waiter->next;
		loop_post(vm->loop, waiter);
	}
}

static void vcpu_parked(struct vm *vm)
{
	if (atomic_fetch_sub(&vm->vcpus_to_park, 1) == 1)
		loop_post(vm->loop, &vm->parked_task);
}

void vm_pause(struct vm *vm, struct loop_task *done)
{
	if (vm->pause == VM_PAUSED) {
		loop_post(vm->loop, done);
		return;
	}
	done->next = vm->pause_waiters;
	vm->pause_waiters = done;
	if (vm->pause == VM_PAUSING)
		return;
	vm->pause = VM_PAUSING;
	vm->parked_task = (struct loop_task){.run = all_parked, .owner = vm};
	atomic_store(&vm->vcpus_to_park, vm->vcpu_count);
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		vcpu_pause(vm->vcpus[i]);
}

int vm_resume(struct vm *vm)
{
	if (vm->pause == VM_RUNS)
		return 0;
	if (vm->pause == VM_PAUSING)
		return -EBUSY;
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		arch_vcpu_resumes(vm, vcpu_fd(vm->vcpus[i]), i);
	vm->pause = VM_RUNS;
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		vcpu_resume(vm->vcpus[i]);
	return 0;
}

bool vm_is_paused(const struct vm *vm)
{
	return vm->pause != VM_RUNS;
}

/* ---- running and ending ---- */

static void vcpu_ended(struct vm *vm)
{
	/* The loop goes on until the last vCPU is out: one may be waiting for an answer from it. */
	if (atomic_fetch_sub(&vm->vcpus_running, 1) == 1)
		loop_stop(vm->loop);
}

static void on_stuck(struct loop_timer *t)
{
	struct vm *vm = t->owner;

	log_line(LOG_TOPIC_VMM, LOG_ERROR, "a device doesn't let its vCPU go; ending without it");
	vm->stuck();
}

static void arm_end_timer(struct loop_task *t)
{
	struct vm *vm = t->owner;

	loop_arm_timer(vm->loop, &vm->end_timer, loop_now_ns() + 5000000000ull);
}

void vm_end(struct vm *vm, enum vm_end why)
{
	int none = 0;

	if (!atomic_compare_exchange_strong(&vm->end, &none, (int)why + 1))
		return;
	vm->end_task = (struct loop_task){.run = arm_end_timer, .owner = vm};
	loop_post(vm->loop, &vm->end_task);
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		vcpu_kick(vm->vcpus[i]);
}

enum vm_end vm_run(struct vm *vm, const struct boot_entry *entry, void (*stuck)(void))
{
	enum vm_end why;
	int err;

	vm->stuck = stuck;
	vm->end_timer = (struct loop_timer){.expired = on_stuck, .owner = vm};
	err = arch_vcpu_set_entry(vcpu_fd(vm->vcpus[0]), entry);
	if (err)
		return VM_END_ERROR;
	/* One more than there are, so that none is the last before all have started. */
	atomic_store(&vm->vcpus_running, 1);
	for (unsigned i = 0; i < vm->vcpu_count && !err; i++) {
		atomic_fetch_add(&vm->vcpus_running, 1);
		err = vcpu_start(vm->vcpus[i], vcpu_parked, vcpu_ended);
		if (err)
			atomic_fetch_sub(&vm->vcpus_running, 1);
	}
	if (err)
		vm_end(vm, VM_END_ERROR);
	vcpu_ended(vm);
	err = loop_run(vm->loop);
	if (err) {
		fail(-err, "the event loop failed");
		vm_end(vm, VM_END_ERROR);
	}
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		vcpu_join(vm->vcpus[i]);
	why = (enum vm_end)(atomic_load(&vm->end) - 1);
	return why;
}

/* ---- memory that is no RAM ---- */

uint32_t vm_new_slot(struct vm *vm)
{
	return atomic_fetch_add(&vm->slots, 1);
}

int vm_set_slot(struct vm *vm, uint32_t slot, uint64_t gpa, void *host, uint64_t bytes)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = bytes,
		.userspace_addr = (uintptr_t)host,
	};

	return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region) < 0 ? -errno : 0;
}

/* ---- doorbells ---- */

static int ioeventfd(struct vm *vm, uint64_t address, unsigned size, int eventfd, uint64_t value, uint32_t flags)
{
	struct kvm_ioeventfd e = {
		.datamatch = value,
		.addr = address,
		.len = size,
		.fd = eventfd,
		.flags = flags,
	};

	return ioctl(vm->fd, KVM_IOEVENTFD, &e) < 0 ? -errno : 0;
}

static uint32_t space(bool pio)
{
	return pio ? KVM_IOEVENTFD_FLAG_PIO : 0;
}

int vm_add_ioeventfd(struct vm *vm, uint64_t address, unsigned size, bool pio, int eventfd)
{
	return ioeventfd(vm, address, size, eventfd, 0, space(pio));
}

int vm_add_ioeventfd_match(struct vm *vm, uint64_t address, unsigned size, bool pio, uint64_t value, int eventfd)
{
	return ioeventfd(vm, address, size, eventfd, value, space(pio) | KVM_IOEVENTFD_FLAG_DATAMATCH);
}

void vm_remove_ioeventfd(struct vm *vm, uint64_t address, unsigned size, bool pio, int eventfd)
{
	(void)ioeventfd(vm, address, size, eventfd, 0, space(pio) | KVM_IOEVENTFD_FLAG_DEASSIGN);
}

void vm_remove_ioeventfd_match(struct vm *vm, uint64_t address, unsigned size, bool pio, uint64_t value, int eventfd)
{
	(void)ioeventfd(vm, address, size, eventfd, value,
			space(pio) | KVM_IOEVENTFD_FLAG_DATAMATCH | KVM_IOEVENTFD_FLAG_DEASSIGN);
}
