// SPDX-License-Identifier: MIT
#include "vmm/vcpu.h"

#include <errno.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/virtio/mem.h"
#include "vmm/arch.h"
#include "vmm/bus.h"
#include "vmm/vm.h"

/* Register accesses run on this thread; nothing they do is deep. */
#define STACK_BYTES (128u * 1024)

struct vcpu {
	struct vm *vm;
	unsigned index;
	int fd;
	struct kvm_run *run; /* shared with KVM */
	size_t run_bytes;
	atomic_bool stop;
	atomic_uint turn;     /* counts pauses and resumes: odd while paused */
	pthread_mutex_t lock; /* the two below; with wake also for changes of stop and turn */
	pthread_cond_t wake;
	pthread_t thread;
	bool has_thread;
	void (*parked)(struct vm *vm);
	void (*ended)(struct vm *vm);
};

static int kick_signal(void)
{
	return SIGRTMIN;
}

static void on_kick(int signal_number)
{
	/* Its delivery is what ends KVM_RUN. */
	(void)signal_number;
}

int vcpu_create(struct vm *vm, unsigned index, struct vcpu **out)
{
	struct sigaction action = {.sa_handler = on_kick};
	struct vcpu *v = calloc(1, sizeof(*v));
	int bytes, err;

	if (!v)
		return -ENOMEM;
	v->vm = vm;
	v->index = index;
	pthread_mutex_init(&v->lock, NULL);
	pthread_cond_init(&v->wake, NULL);
	sigaction(kick_signal(), &action, NULL);
	v->fd = ioctl(vm_fd(vm), KVM_CREATE_VCPU, (unsigned long)index);
	if (v->fd < 0) {
		err = -errno;
		log_line(LOG_TOPIC_VMM, LOG_ERROR, "KVM can't make vCPU %u: %s; ask for fewer with --cpus", index,
			 strerror(-err));
		goto fail;
	}
	bytes = ioctl(vm_kvm_fd(vm), KVM_GET_VCPU_MMAP_SIZE, 0);
	v->run_bytes = bytes > 0 ? (size_t)bytes : sizeof(*v->run);
	v->run = mmap(NULL, v->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (v->run == MAP_FAILED) {
		err = -errno;
		v->run = NULL;
		log_line(LOG_TOPIC_VMM, LOG_ERROR, "can't map the state of vCPU %u: %s", index, strerror(-err));
		goto fail;
	}
	err = arch_vcpu_init(vm, v->fd, index);
	if (err)
		goto fail;
	*out = v;
	return 0;
fail:
	vcpu_destroy(v);
	return err;
}

void vcpu_destroy(struct vcpu *v)
{
	if (!v)
		return;
	if (v->run)
		munmap(v->run, v->run_bytes);
	if (v->fd >= 0)
		close(v->fd);
	pthread_cond_destroy(&v->wake);
	pthread_mutex_destroy(&v->lock);
	free(v);
}

int vcpu_fd(const struct vcpu *v)
{
	return v->fd;
}

static void give_up(struct vcpu *v)
{
	vm_end(v->vm, VM_END_ERROR);
}

/* The instruction that KVM could not emulate: KVM hands it over, or it is read at the guest's program counter. */
static void emulation_failure(struct vcpu *v)
{
	unsigned char code[15];
	unsigned n = 0;
	char text[sizeof(code) * 3 + 1] = "";
	const struct kvm_run *run = v->run;

	if (run->emulation_failure.ndata >= 1 &&
	    (run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES)) {
		n = run->emulation_failure.insn_size;
		if (n > sizeof(code))
			n = sizeof(code);
		memcpy(code, run->emulation_failure.insn_bytes, n);
	}
	if (!n) {
		struct kvm_translation where = {.linear_address = arch_vcpu_pc(v->fd)};
		const unsigned char *p = NULL;

		if (!ioctl(v->fd, KVM_TRANSLATE, &where) && where.valid)
			p = guest_mem_range(vm_mem(v->vm), where.physical_address, 8);
		if (p) {
			n = 8;
			memcpy(code, p, n);
		}
	}
	for (unsigned i = 0; i < n; i++)
		snprintf(text + 3 * i, sizeof(text) - 3 * i, " %02x", code[i]);
	log_line(LOG_TOPIC_VMM, LOG_ERROR,
		 "vCPU %u: KVM can't emulate the instruction at 0x%llx (bytes%s). If this host's KVM only emulates "
		 "(see mullion "
		 "doctor), it runs bare guests built without SSE, AVX and BMI, and no stock Linux; else the guest "
		 "jumped into "
		 "something that isn't code",
		 v->index, (unsigned long long)arch_vcpu_pc(v->fd), n ? text : " unreadable");
	give_up(v);
}

static void internal_error(struct vcpu *v)
{

	if (v->run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION) {
		emulation_failure(v);
		return;
	}
	log_line(LOG_TOPIC_VMM, LOG_ERROR, "vCPU %u: KVM gave up at 0x%llx (internal error %u)", v->index,
		 (unsigned long long)arch_vcpu_pc(v->fd), v->run->internal.suberror);
	give_up(v);
}

/* The guest can't handle its own exceptions any more (x86 triple fault): the machine resets, which ends it. */
static void shut_down(struct vcpu *v)
{

	log_line(LOG_TOPIC_VMM, LOG_INFO, "vCPU %u: triple fault at 0x%llx, which resets the machine", v->index,
		 (unsigned long long)arch_vcpu_pc(v->fd));
	vm_end(v->vm, VM_END_REBOOT);
}

static void port_io(struct vcpu *v)
{
	uint8_t *data = (uint8_t *)v->run + v->run->io.data_offset;

	for (uint32_t i = 0; i < v->run->io.count; i++, data += v->run->io.size)
		bus_access(vm_pio(v->vm), v->run->io.port, data, v->run->io.size,
			   v->run->io.direction == KVM_EXIT_IO_OUT);
}

static void handle_exit(struct vcpu *v)
{
	struct kvm_run *run = v->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		port_io(v);
		break;
	case KVM_EXIT_MMIO:
		bus_access(vm_mmio(v->vm), run->mmio.phys_addr, run->mmio.data, run->mmio.len, run->mmio.is_write);
		break;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
	case KVM_EXIT_HLT: /* the interrupt controller is in KVM: not seen, but harmless */
		break;
	case KVM_EXIT_SHUTDOWN:
		shut_down(v);
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		vm_end(v->vm, run->system_event.type == KVM_SYSTEM_EVENT_SHUTDOWN ? VM_END_POWER_OFF
			      : run->system_event.type == KVM_SYSTEM_EVENT_CRASH  ? VM_END_PANIC
										  : VM_END_REBOOT);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		internal_error(v);
		break;
	case KVM_EXIT_ARM_NISV:
		log_line(LOG_TOPIC_VMM, LOG_ERROR,
			 "vCPU %u: the instruction at 0x%llx accesses 0x%llx, where no memory is, in a way that the processor "
			 "doesn't describe (several registers, an address that it moves on, or a cache operation); the guest "
			 "should not do that there",
			 v->index, (unsigned long long)arch_vcpu_pc(v->fd), (unsigned long long)run->arm_nisv.fault_ipa);
		give_up(v);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		log_line(LOG_TOPIC_VMM, LOG_ERROR, "vCPU %u: the processor refuses to enter the guest (reason 0x%llx)",
			 v->index, (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
		give_up(v);
		break;
	default:
		log_line(LOG_TOPIC_VMM, LOG_ERROR,
			 "vCPU %u: KVM returned with exit reason %u, which mullion doesn't know", v->index,
			 run->exit_reason);
		give_up(v);
		break;
	}
}

/* Wait for the end of the pause that began with @turn. */
static void park(struct vcpu *v, unsigned turn)
{
	v->parked(v->vm);
	pthread_mutex_lock(&v->lock);
	while (atomic_load(&v->turn) == turn && !atomic_load(&v->stop))
		pthread_cond_wait(&v->wake, &v->lock);
	pthread_mutex_unlock(&v->lock);
	/* Whoever sets it meanwhile has set stop or turn before, and these are looked at next. */
	__atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
}

static void *vcpu_thread(void *arg)
{
	struct vcpu *v = arg;

	while (!atomic_load(&v->stop)) {
		unsigned turn = atomic_load(&v->turn);

		if (turn % 2) {
			park(v, turn);
			continue;
		}
		if (!ioctl(v->fd, KVM_RUN, 0)) {
			handle_exit(v);
		} else if (errno != EINTR && errno != EAGAIN) {
			log_line(LOG_TOPIC_VMM, LOG_ERROR, "vCPU %u: KVM_RUN fails: %s%s", v->index, strerror(errno),
				 errno == ENOMEM || errno == EFAULT ? "; the host ran out of memory for the guest"
								    : "");
			give_up(v);
			break;
		}
	}
	v->ended(v->vm);
	return NULL;
}

int vcpu_start(struct vcpu *v, void (*parked)(struct vm *vm), void (*ended)(struct vm *vm))
{
	pthread_attr_t attr;
	char name[16];
	int err;

	v->parked = parked;
	v->ended = ended;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_mutex_lock(&v->lock);
	err = pthread_create(&v->thread, &attr, vcpu_thread, v);
	v->has_thread = !err;
	if (v->has_thread) {
		snprintf(name, sizeof(name), "vcpu%u", v->index);
		pthread_setname_np(v->thread, name);
	}
	pthread_mutex_unlock(&v->lock);
	pthread_attr_destroy(&attr);
	if (err)
		log_line(LOG_TOPIC_VMM, LOG_ERROR, "can't start the thread of vCPU %u: %s", v->index, strerror(err));
	return -err;
}

static void leave_guest(struct vcpu *v)
{
	/* Makes a KVM_RUN that is entered from now on return at once; the signal ends one that runs already. */
	__atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	pthread_mutex_lock(&v->lock);
	if (v->has_thread)
		pthread_kill(v->thread, kick_signal());
	pthread_cond_signal(&v->wake);
	pthread_mutex_unlock(&v->lock);
}

void vcpu_pause(struct vcpu *v)
{
	atomic_fetch_add(&v->turn, 1);
	leave_guest(v);
}

void vcpu_resume(struct vcpu *v)
{
	pthread_mutex_lock(&v->lock);
	atomic_fetch_add(&v->turn, 1);
	pthread_cond_signal(&v->wake);
	pthread_mutex_unlock(&v->lock);
}

void vcpu_kick(struct vcpu *v)
{
	atomic_store(&v->stop, true);
	leave_guest(v);
}

void vcpu_join(struct vcpu *v)
{
	pthread_mutex_lock(&v->lock);
	if (!v->has_thread) {
		pthread_mutex_unlock(&v->lock);
		return;
	}
	pthread_mutex_unlock(&v->lock);
	pthread_join(v->thread, NULL);
	pthread_mutex_lock(&v->lock);
	v->has_thread = false;
	pthread_mutex_unlock(&v->lock);
}
