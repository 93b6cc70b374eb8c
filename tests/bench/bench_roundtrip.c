// SPDX-License-Identifier: MIT
/*
 * Doorbell -> device -> interrupt, through virtio-pci and the rng device, against a thread that does nothing but read
 * an ioeventfd and write an irqfd. One VM, one guest (guest_roundtrip.c), in turns; the guest's port writes between
 * the halves are the clock.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/rng/rng.h"
#include "tests/bench/bench.h"
#include "tests/bench/roundtrip.h"
#include "vmm/arch.h"
#include "vmm/bus.h"
#include "vmm/irq.h"
#include "vmm/pci.h"
#include "vmm/virtio_pci.h"
#include "vmm/vm.h"

#define ID "virtio.roundtrip_ratio"
#define GOAL 1.3

struct bench {
	struct vm *vm;
	struct pci_bus *pci;
	struct virtio_pci *rng;
	struct platform *platform;
	struct bus_range port;
	int doorbell, interrupt;
	uint32_t gsi;
	uint32_t message_address;
	pthread_t thread;
	cpu_set_t allowed; /* processors */
	bool has_thread, has_port, has_gsi, has_interrupt, has_doorbell;

	enum roundtrip_phase phase;
	uint64_t since_ns;
	double raw_us[ROUNDTRIP_PAIRS], virtio_us[ROUNDTRIP_PAIRS];
	unsigned raw_count, virtio_count;
};

/*
 * The guest on one processor and whoever answers it on another, in both halves alike: where the scheduler happens to
 * put threads would otherwise change the figures by half. @index counts the processors that this process may use.
 */
static void pin(const struct bench *b, int index)
{
	cpu_set_t one;

	if (CPU_COUNT(&b->allowed) <= index)
		return;
	CPU_ZERO(&one);
	for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, &b->allowed) && index-- == 0) {
			CPU_SET(cpu, &one);
			break;
		}
	}
	sched_setaffinity(0, sizeof(one), &one);
}

static void *raw_loop(void *arg)
{
	const struct bench *b = arg;
	uint64_t n, one = 1;

	pin(b, 1);
	while (read(b->doorbell, &n, sizeof(n)) == (ssize_t)sizeof(n) && n < UINT32_MAX) {
		if (write(b->interrupt, &one, sizeof(one)) != (ssize_t)sizeof(one))
			break;
	}
	return NULL;
}

static void enter_phase(struct bench *b, enum roundtrip_phase next)
{
	uint64_t now = bench_now_ns();
	double us = (double)(now - b->since_ns) / 1e3 / ROUNDTRIP_ROUNDS;

	if (b->phase == ROUNDTRIP_RAW && b->raw_count < ROUNDTRIP_PAIRS)
		b->raw_us[b->raw_count++] = us;
	if (b->phase == ROUNDTRIP_VIRTIO && b->virtio_count < ROUNDTRIP_PAIRS)
		b->virtio_us[b->virtio_count++] = us;
	b->phase = next;
	b->since_ns = bench_now_ns();
}

static void port_access(void *owner, uint64_t offset, void *data, unsigned size, bool write)
{
	struct bench *b = owner;
	uint32_t value = 0;

	if (!write || size != sizeof(value))
		return;
	memcpy(&value, data, sizeof(value));
	switch (offset) {
	case ROUNDTRIP_MESSAGE_ADDRESS:
		pin(b, 0); /* on the vCPU's thread here */
		b->message_address = value;
		break;
	case ROUNDTRIP_MESSAGE_DATA:
		if (irq_msi_route(b->vm, b->gsi, b->message_address, value))
			vm_end(b->vm, VM_END_ERROR);
		break;
	case ROUNDTRIP_PHASE:
		enter_phase(b, value);
		break;
	default:
		break;
	}
}

static int make_raw_loop(struct bench *b)
{
	int err;

	b->doorbell = eventfd(0, EFD_CLOEXEC);
	b->interrupt = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (b->doorbell < 0 || b->interrupt < 0)
		return -errno;
	err = vm_add_ioeventfd(b->vm, ROUNDTRIP_DOORBELL, 0, false, b->doorbell);
	if (err)
		return err;
	b->has_doorbell = true;
	err = irq_msi_alloc(b->vm, 0, &b->gsi);
	if (err)
		return err;
	b->has_gsi = true;
	err = irq_add_fd(b->vm, b->gsi, b->interrupt);
	if (err)
		return err;
	b->has_interrupt = true;
	b->port = (struct bus_range){
		.base = ROUNDTRIP_PORT, .size = ROUNDTRIP_PORT_BYTES, .access = port_access, .owner = b};
	err = bus_add(vm_pio(b->vm), &b->port);
	if (err)
		return err;
	b->has_port = true;
	err = pthread_create(&b->thread, NULL, raw_loop, b);
	b->has_thread = !err;
	return -err;
}

static int make_machine(struct bench *b, const char *image, struct boot_entry *entry)
{
	struct vm_config config = {.memory_bytes = 64ull << 20, .cpus = 1};
	struct boot_config boot = {.kernel = image, .append = "", .has_pci = true};
	struct virtio_device *device;
	int err = vm_create(&config, &b->vm);

	if (err)
		return err;
	arch_pci_layout(-1, &config, &boot.pci);
	err = arch_boot(b->vm, &boot, entry);
	if (!err)
		err = pci_bus_create(b->vm, &boot.pci, &b->pci);
	if (!err)
		err = rng_create(vm_loop(b->vm), vm_mem(b->vm), &device);
	if (!err)
		err = virtio_pci_create(b->vm, b->pci, device, &b->rng);
	if (!err)
		err = arch_platform_create(b->vm, "none", &b->platform);
	return err ? err : make_raw_loop(b);
}

static void tear_down(struct bench *b)
{
	uint64_t stop = UINT32_MAX;

	if (b->has_thread && write(b->doorbell, &stop, sizeof(stop)) == (ssize_t)sizeof(stop))
		pthread_join(b->thread, NULL);
	if (b->has_port)
		bus_remove(vm_pio(b->vm), &b->port);
	if (b->has_interrupt)
		irq_remove_fd(b->vm, b->gsi, b->interrupt);
	if (b->has_gsi)
		irq_msi_free(b->vm, b->gsi);
	if (b->has_doorbell)
		vm_remove_ioeventfd(b->vm, ROUNDTRIP_DOORBELL, 0, false, b->doorbell);
	virtio_pci_destroy(b->rng);
	arch_platform_destroy(b->platform);
	pci_bus_destroy(b->pci);
	vm_destroy(b->vm);
}

/* $O/tests/bench/bench_roundtrip -> $O/bare/guest_roundtrip.elf */
static int find_image(char *path, size_t bytes)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		return -errno;
	self[n] = '\0';
	for (unsigned i = 0; i < 3; i++) {
		char *slash = strrchr(self, '/');

		if (!slash)
			return -ENOENT;
		*slash = '\0';
	}
	if ((size_t)snprintf(path, bytes, "%s/bare/guest_roundtrip.elf", self) >= bytes)
		return -ENAMETOOLONG;
	return access(path, R_OK) ? -errno : 0;
}

static void stuck(void)
{
	_exit(1);
}

/*
 * The ratio of the medians: short runs in turns and a median leave out those in which the host's scheduler gave the
 * processor to somebody else. min and max are the middle half of the pairs' own ratios.
 */
static void print(struct bench *b, const char *priority)
{
	double ratios[ROUNDTRIP_PAIRS], raw, ours;
	char note[256];

	for (unsigned i = 0; i < ROUNDTRIP_PAIRS; i++)
		ratios[i] = b->virtio_us[i] / b->raw_us[i];
	raw = bench_median(b->raw_us, ROUNDTRIP_PAIRS);
	ours = bench_median(b->virtio_us, ROUNDTRIP_PAIRS);
	(void)bench_median(ratios, ROUNDTRIP_PAIRS);
	snprintf(note, sizeof(note),
		 "a round takes %.1f us by virtio-pci, MSI-X and rng, %.1f us raw (%s); %u rounds a run; min and max "
		 "are quartiles",
		 ours, raw, priority, ROUNDTRIP_ROUNDS);
	bench_print(&(struct bench_row){
		.id = ID,
		.value = ours / raw,
		.unit = "ratio",
		.goal = GOAL,
		.peer = "raw ioeventfd/irqfd loop, us",
		.peer_value = raw,
		.runs = ROUNDTRIP_PAIRS,
		.min = ratios[ROUNDTRIP_PAIRS / 4],
		.max = ratios[ROUNDTRIP_PAIRS - ROUNDTRIP_PAIRS / 4],
		.note = note,
	});
}

int main(void)
{
	struct bench b = {.doorbell = -1, .interrupt = -1, .phase = ROUNDTRIP_BREAK};
	struct boot_entry entry;
	const char *priority;
	char image[PATH_MAX + 64];
	int err;

	if (access("/dev/kvm", R_OK | W_OK)) {
		bench_print_missing(ID, "ratio", GOAL, false, "no /dev/kvm, or no permission for it");
		return 0;
	}
	if (find_image(image, sizeof(image))) {
		bench_print_missing(ID, "ratio", GOAL, false, "no bare/guest_roundtrip.elf: run make bare first");
		return 0;
	}
	if (sched_getaffinity(0, sizeof(b.allowed), &b.allowed))
		CPU_ZERO(&b.allowed);
	priority = bench_take_priority(); /* threads inherit it */
	err = make_machine(&b, image, &entry);
	pin(&b, 1);
	if (!err)
		vm_run(b.vm, &entry, stuck);
	tear_down(&b);
	if (err || b.virtio_count < ROUNDTRIP_PAIRS)
		bench_print_missing(ID, "ratio", GOAL, false,
				    "the guest did not finish (its console is not shown here)");
	else
		print(&b, priority);
	return 0;
}
