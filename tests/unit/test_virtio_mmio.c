// SPDX-License-Identifier: MIT
/* virtio-mmio (virtio 1.4, section 4.2) as a guest sees it, without KVM. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_mmio.h>
#include <stdlib.h>
#include <unistd.h>

#include "host/base/loop.h"
#include "protocol/virtio.h"
#include "tests/lib/test_device.h"
#include "tests/lib/vm_stub.h"
#include "vmm/virtio_mmio.h"

#define BASE 0xe8000000ull
#define GSI 5u
#define SHMEM 0x800000000ull
#define READY (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)

struct fixture {
	struct vm *vm;
	struct test_device *device;
	struct virtio_mmio *mmio;
	unsigned destroyed;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->vm = stub_create();
	f->device = test_device_create(vm_loop(f->vm), vm_mem(f->vm));
	f->device->destroyed = &f->destroyed;
	assert_int_equal(virtio_mmio_create(f->vm, &f->device->base, BASE, GSI, SHMEM, &f->mmio), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	virtio_mmio_destroy(f->mmio);
	assert_int_equal(f->destroyed, 1);
	stub_destroy(f->vm);
	free(f);
	return 0;
}

static uint32_t get(struct fixture *f, uint32_t offset)
{
	return (uint32_t)stub_read(f->vm, BASE + offset, 4);
}

static void put(struct fixture *f, uint32_t offset, uint32_t value)
{
	stub_write(f->vm, BASE + offset, 4, value);
}

static void set_queue(struct fixture *f, unsigned queue, uint32_t size)
{
	uint32_t at = (uint32_t)STUB_RAM + queue * 0x4000;

	put(f, VIRTIO_MMIO_QUEUE_SEL, queue);
	put(f, VIRTIO_MMIO_QUEUE_NUM, size);
	put(f, VIRTIO_MMIO_QUEUE_DESC_LOW, at);
	put(f, VIRTIO_MMIO_QUEUE_AVAIL_LOW, at + 0x1000);
	put(f, VIRTIO_MMIO_QUEUE_USED_LOW, at + 0x2000);
	put(f, VIRTIO_MMIO_QUEUE_READY, 1);
}

static void negotiate(struct fixture *f)
{
	put(f, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	put(f, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	put(f, VIRTIO_MMIO_DRIVER_FEATURES, 1); /* VERSION_1 */
	put(f, VIRTIO_MMIO_STATUS, READY);
}

/* Until the device runs with both queues. */
static void start(struct fixture *f)
{
	unsigned before = f->device->starts;

	negotiate(f);
	assert_int_equal(get(f, VIRTIO_MMIO_STATUS), READY);
	set_queue(f, 0, 16);
	set_queue(f, 1, 64);
	put(f, VIRTIO_MMIO_STATUS, READY | VIRTIO_CONFIG_S_DRIVER_OK);
	assert_int_equal(get(f, VIRTIO_MMIO_STATUS), READY | VIRTIO_CONFIG_S_DRIVER_OK);
	assert_int_equal(f->device->starts, before + 1);
	/* The device class kicks every queue once at the start; what that raised is acknowledged. */
	put(f, VIRTIO_MMIO_INTERRUPT_ACK, get(f, VIRTIO_MMIO_INTERRUPT_STATUS));
	stub_edges(f->vm, GSI);
	f->device->kicks[0] = 0;
	f->device->kicks[1] = 0;
}

static void says_what_it_is(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get(f, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	assert_int_equal(get(f, VIRTIO_MMIO_VERSION), 2);
	assert_int_equal(get(f, VIRTIO_MMIO_DEVICE_ID), TEST_DEVICE_ID);
	assert_int_equal(get(f, VIRTIO_MMIO_VENDOR_ID), MULLION_MMIO_VENDOR);
	assert_int_equal(get(f, VIRTIO_MMIO_STATUS), 0);
	assert_int_equal(get(f, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	assert_int_equal(get(f, 0x0c0), 0); /* QueueReset */
}

static void names_its_shared_memory(void **state)
{
	struct fixture *f = *state;

	put(f, 0x0ac, TEST_DEVICE_SHMEM + 1);
	for (uint32_t r = 0x0b0; r <= 0x0bc; r += 4)
		assert_int_equal(get(f, r), 0xffffffff);
	put(f, 0x0ac, TEST_DEVICE_SHMEM);
	assert_int_equal(get(f, 0x0b0), TEST_DEVICE_SHMEM_BYTES);
	assert_int_equal(get(f, 0x0b4), 0);
	assert_int_equal(get(f, 0x0b8), (uint32_t)SHMEM);
	assert_int_equal(get(f, 0x0bc), SHMEM >> 32);
	assert_non_null(stub_slot(f->vm, SHMEM));
	/* Above 8 bits the id is another. */
	put(f, 0x0ac, 0x100 + TEST_DEVICE_SHMEM);
	assert_int_equal(get(f, 0x0b0), 0xffffffff);
}

static void registers_take_aligned_words_only(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(stub_read(f->vm, BASE, 1), 0);
	assert_int_equal(stub_read(f->vm, BASE, 2), 0);
	assert_int_equal(stub_read(f->vm, BASE, 8), 0);
	assert_int_equal(stub_read(f->vm, BASE + 2, 4), 0);
	stub_write(f->vm, BASE + VIRTIO_MMIO_STATUS, 1, 1);
	stub_write(f->vm, BASE + VIRTIO_MMIO_STATUS, 8, 1);
	assert_int_equal(get(f, VIRTIO_MMIO_STATUS), 0);
	/* Reserved and write-only registers, and writes to read-only ones. */
	assert_int_equal(get(f, 0x018), 0);
	assert_int_equal(get(f, VIRTIO_MMIO_QUEUE_NOTIFY), 0);
	put(f, VIRTIO_MMIO_MAGIC_VALUE, 0);
	put(f, 0x0f8, 1);
	assert_int_equal(get(f, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
}

static void features_come_in_two_words(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get(f, VIRTIO_MMIO_DEVICE_FEATURES) & (1u << TEST_DEVICE_FEATURE), 1u << TEST_DEVICE_FEATURE);
	put(f, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	assert_int_equal(get(f, VIRTIO_MMIO_DEVICE_FEATURES) & 1, 1); /* VERSION_1 */
	for (uint32_t word = 2; word; word <<= 1) {
		put(f, VIRTIO_MMIO_DEVICE_FEATURES_SEL, word);
		assert_int_equal(get(f, VIRTIO_MMIO_DEVICE_FEATURES), 0);
		put(f, VIRTIO_MMIO_DRIVER_FEATURES_SEL, word);
		put(f, VIRTIO_MMIO_DRIVER_FEATURES, 0xffffffff);
	}
	assert_int_equal(f->device->base.negotiated, 0);
	put(f, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	put(f, VIRTIO_MMIO_DRIVER_FEATURES, 1);
	put(f, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	put(f, VIRTIO_MMIO_DRIVER_FEATURES, 1u << TEST_DEVICE_FEATURE);
	assert_int_equal(f->device->base.negotiated, VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(TEST_DEVICE_FEATURE));
}

static void features_not_offered_are_refused(void **state)
{
	struct fixture *f = *state;

	put(f, VIRTIO_MMIO_DRIVER_FEATURES, 1u << 3);
	negotiate(f);
	assert_int_equal(get(f, VIRTIO_MMIO_STATUS), VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
}

static void queues_that_are_not_there_read_zero(void **state)
{
	struct fixture *f = *state;
	static const uint32_t numbers[] = {2, 16, 0xffff, 0xffffffff};

	assert_int_equal(get(f, VIRTIO_MMIO_QUEUE_NUM_MAX), TEST_DEVICE_QUEUE_SIZE);
	for (unsigned i = 0; i < 4; i++) {
		put(f, VIRTIO_MMIO_QUEUE_SEL, numbers[i]);
		assert_int_equal(get(f, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
		put(f, VIRTIO_MMIO_QUEUE_NUM, 8);
		put(f, VIRTIO_MMIO_QUEUE_DESC_LOW, 8);
		put(f, VIRTIO_MMIO_QUEUE_READY, 1);
		assert_int_equal(get(f, VIRTIO_MMIO_QUEUE_READY), 0);
		put(f, VIRTIO_MMIO_QUEUE_NOTIFY, numbers[i]);
	}
}

static void a_wrong_size_is_no_size(void **state)
{
	struct fixture *f = *state;

	negotiate(f);
	put(f, VIRTIO_MMIO_QUEUE_NUM, 0);
	put(f, VIRTIO_MMIO_QUEUE_NUM, TEST_DEVICE_QUEUE_SIZE + 1);
	put(f, VIRTIO_MMIO_QUEUE_NUM, 0x10010);
	/* None was taken: the queue still has its largest size, and starts with it. */
	put(f, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)STUB_RAM);
	put(f, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)STUB_RAM + 0x1000);
	put(f, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)STUB_RAM + 0x2000);
	put(f, VIRTIO_MMIO_QUEUE_READY, 1);
	put(f, VIRTIO_MMIO_STATUS, READY | VIRTIO_CONFIG_S_DRIVER_OK);
	assert_true(virtq_is_started(f->device->base.queues[0]));
	assert_false(virtq_is_started(f->device->base.queues[1]));
}

static void a_ready_queue_keeps_its_registers(void **state)
{
	struct fixture *f = *state;

	set_queue(f, 0, 16);
	assert_int_equal(get(f, VIRTIO_MMIO_QUEUE_READY), 1);
	put(f, VIRTIO_MMIO_QUEUE_DESC_HIGH, 0xdead);
	put(f, VIRTIO_MMIO_QUEUE_NUM, 3);
	negotiate(f);
	put(f, VIRTIO_MMIO_STATUS, READY | VIRTIO_CONFIG_S_DRIVER_OK);
	assert_int_equal(get(f, VIRTIO_MMIO_STATUS), READY | VIRTIO_CONFIG_S_DRIVER_OK);
	/* QueueReady 0 stops it, 1 starts it again. */
	put(f, VIRTIO_MMIO_QUEUE_READY, 0);
	assert_false(virtq_is_started(f->device->base.queues[0]));
	put(f, VIRTIO_MMIO_QUEUE_READY, 2);
	assert_int_equal(get(f, VIRTIO_MMIO_QUEUE_READY), 0);
	put(f, VIRTIO_MMIO_QUEUE_READY, 1);
	assert_true(virtq_is_started(f->device->base.queues[0]));
}

static void rings_outside_memory_need_a_reset(void **state)
{
	struct fixture *f = *state;

	negotiate(f);
	set_queue(f, 0, 16);
	put(f, VIRTIO_MMIO_QUEUE_READY, 0);
	put(f, VIRTIO_MMIO_QUEUE_DESC_HIGH, 0xffffffff);
	put(f, VIRTIO_MMIO_QUEUE_READY, 1);
	put(f, VIRTIO_MMIO_STATUS, READY | VIRTIO_CONFIG_S_DRIVER_OK);
	assert_true(get(f, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(get(f, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
	assert_true(stub_edges(f->vm, GSI) > 0);
	put(f, VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(get(f, VIRTIO_MMIO_STATUS), 0);
	start(f);
}

static void a_doorbell_reaches_its_queue(void **state)
{
	struct fixture *f = *state;

	start(f);
	/* By ioeventfd: the write never reaches the register block. */
	assert_int_equal(stub_ioeventfds(f->vm), 2);
	put(f, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	assert_true(stub_wait(&f->device->kicks[1], 1));
	assert_int_equal(f->device->kicks[0], 0);
	/* By an exit, as from the configuration that KVM has no eventfd for. */
	stub_write_exit(f->vm, BASE + VIRTIO_MMIO_QUEUE_NOTIFY, 4, 0);
	assert_int_equal(f->device->kicks[0], 1);
	put(f, VIRTIO_MMIO_QUEUE_NOTIFY, 2);
	put(f, VIRTIO_MMIO_QUEUE_NOTIFY, 0xffffffff);
	assert_int_equal(f->device->kicks[0], 1);
}

static void an_interrupt_has_its_bit_and_one_edge(void **state)
{
	struct fixture *f = *state;

	start(f);
	stub_write_exit(f->vm, BASE + VIRTIO_MMIO_QUEUE_NOTIFY, 4, 0);
	assert_int_equal(stub_edges(f->vm, GSI), 1);
	assert_int_equal(get(f, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	put(f, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_CONFIG);
	assert_int_equal(get(f, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	put(f, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	assert_int_equal(get(f, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	assert_int_equal(stub_edges(f->vm, GSI), 0);
}

static void change_config(void *arg)
{
	virtio_device_config_changed(arg);
}

static void a_config_change_counts_and_interrupts(void **state)
{
	struct fixture *f = *state;
	uint32_t generation;

	start(f);
	generation = get(f, VIRTIO_MMIO_CONFIG_GENERATION);
	loop_call(vm_loop(f->vm), change_config, &f->device->base);
	assert_int_not_equal(get(f, VIRTIO_MMIO_CONFIG_GENERATION), generation);
	assert_int_equal(get(f, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
	assert_int_equal(stub_edges(f->vm, GSI), 1);
}

static void config_space_takes_any_size(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < TEST_DEVICE_CONFIG; i++)
		assert_int_equal(stub_read(f->vm, BASE + VIRTIO_MMIO_CONFIG + i, 1), 0x10 + i);
	assert_int_equal(stub_read(f->vm, BASE + VIRTIO_MMIO_CONFIG + 1, 2), 0x1211);
	assert_int_equal(stub_read(f->vm, BASE + VIRTIO_MMIO_CONFIG, 8), 0x1716151413121110);
	/* Past the end there are zeros. */
	assert_int_equal(stub_read(f->vm, BASE + VIRTIO_MMIO_CONFIG + 6, 4), 0x1716);
	assert_int_equal(stub_read(f->vm, BASE + VIRTIO_MMIO_BYTES - 8, 8), 0);
	stub_write(f->vm, BASE + VIRTIO_MMIO_CONFIG + 4, 1, 0x99);
	stub_write(f->vm, BASE + VIRTIO_MMIO_CONFIG, 1, 0x99);
	stub_write(f->vm, BASE + VIRTIO_MMIO_CONFIG + 6, 4, 0);
	assert_int_equal(stub_read(f->vm, BASE + VIRTIO_MMIO_CONFIG, 8), 0x1716159913121110);
}

static void a_reset_forgets_everything(void **state)
{
	struct fixture *f = *state;

	start(f);
	stub_write_exit(f->vm, BASE + VIRTIO_MMIO_QUEUE_NOTIFY, 4, 0);
	put(f, VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(f->device->resets, 1);
	assert_int_equal(get(f, VIRTIO_MMIO_STATUS), 0);
	assert_int_equal(get(f, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	for (unsigned i = 0; i < 2; i++) {
		put(f, VIRTIO_MMIO_QUEUE_SEL, i);
		assert_int_equal(get(f, VIRTIO_MMIO_QUEUE_READY), 0);
	}
	/* A doorbell before DRIVER_OK is none. */
	f->device->kicks[0] = 0;
	stub_write_exit(f->vm, BASE + VIRTIO_MMIO_QUEUE_NOTIFY, 4, 0);
	assert_int_equal(f->device->kicks[0], 0);
	start(f);
}

static void destroy_device(void *arg)
{
	virtio_device_destroy(arg);
}

static void a_failed_create_leaves_the_device(void **state)
{
	struct fixture *f = *state;
	struct test_device *other = test_device_create(vm_loop(f->vm), vm_mem(f->vm));
	struct virtio_mmio *mmio;
	unsigned destroyed = 0;

	other->destroyed = &destroyed;
	/* The place is taken; then its interrupt is. */
	assert_int_equal(virtio_mmio_create(f->vm, &other->base, BASE, GSI + 1, 0, &mmio), -EEXIST);
	assert_int_equal(virtio_mmio_create(f->vm, &other->base, BASE + VIRTIO_MMIO_BYTES, GSI, 0, &mmio), -EBUSY);
	assert_null(mmio);
	assert_int_equal(stub_ioeventfds(f->vm), 2);
	assert_int_equal(destroyed, 0);
	loop_call(vm_loop(f->vm), destroy_device, &other->base);
	assert_int_equal(destroyed, 1);
}

/* ---- a device that another process serves ---- */

#define ELSEWHERE (BASE + VIRTIO_MMIO_BYTES)
#define ELSEWHERE_GSI (GSI + 1)

struct elsewhere {
	struct virtio_device base;
	struct virtio_queue_fds fds; /* what that process has as well */
	struct loop_task task;
};

static int attach(struct virtio_device *d, const struct virtio_queue_fds *fds)
{
	if (fds)
		((struct elsewhere *)d)->fds = *fds;
	return 0;
}

static int start_queue(struct virtio_device *d, unsigned q, const struct virtq_setup *setup)
{
	(void)d;
	(void)q;
	(void)setup;
	return 0;
}

static void stop_queue(struct virtio_device *d, unsigned q)
{
	(void)d;
	(void)q;
}

static void kick(struct virtio_device *d, unsigned q)
{
	(void)d;
	(void)q;
}

static const uint16_t one_queue[] = {16, 0};
static const struct virtio_outside_ops outside = {attach, start_queue, stop_queue};
static const struct virtio_device_ops elsewhere_ops = {.name = "elsewhere",
						       .id = TEST_DEVICE_ID,
						       .queue_max = one_queue,
						       .kick = kick,
						       .destroy = virtio_device_finish,
						       .outside = &outside};

static void ring(int fd)
{
	const uint64_t one = 1;

	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

static void take_back(struct loop_task *t)
{
	const struct elsewhere *e = t->owner;
	uint64_t count;

	assert_int_equal(read(e->fds.call, &count, sizeof(count)), sizeof(count));
	assert_int_equal(fcntl(e->fds.call, F_SETFL, 0), 0);
}

/* What it does is done between the wakeup and the turn of the eventfd. */
static void ring_and_take_back(void *arg)
{
	struct elsewhere *e = arg;

	e->task = (struct loop_task){.run = take_back, .owner = e};
	loop_post(e->base.loop, &e->task);
	ring(e->fds.call);
}

static uint64_t edges_after(struct fixture *f, void (*act)(void *arg), struct elsewhere *e)
{
	loop_call(vm_loop(f->vm), act, e);
	/* Its turn comes after that of what was posted. */
	for (unsigned i = 0; i < 4; i++)
		(void)stub_read(f->vm, ELSEWHERE + VIRTIO_MMIO_STATUS, 4);
	return stub_edges(f->vm, ELSEWHERE_GSI);
}

static void ring_alone(void *arg)
{
	ring(((struct elsewhere *)arg)->fds.call);
}

static void another_process_interrupts_and_holds_nobody_up(void **state)
{
	struct fixture *f = *state;
	struct elsewhere e = {.fds = {-1, -1}};
	struct virtio_mmio *mmio;

	alarm(30);
	assert_int_equal(virtio_device_init(&e.base, &elsewhere_ops, VIRTIO_BIT(VIRTIO_F_VERSION_1), vm_loop(f->vm),
					    vm_mem(f->vm)),
			 0);
	assert_int_equal(virtio_mmio_create(f->vm, &e.base, ELSEWHERE, ELSEWHERE_GSI, 0, &mmio), 0);
	assert_true(e.fds.call >= 0);
	/* Before there is a driver nobody hears it. */
	assert_int_equal(edges_after(f, ring_alone, &e), 0);
	stub_write(f->vm, ELSEWHERE + VIRTIO_MMIO_DRIVER_FEATURES_SEL, 4, 1);
	stub_write(f->vm, ELSEWHERE + VIRTIO_MMIO_DRIVER_FEATURES, 4, 1);
	stub_write(f->vm, ELSEWHERE + VIRTIO_MMIO_STATUS, 4, READY | VIRTIO_CONFIG_S_DRIVER_OK);
	assert_int_equal(edges_after(f, ring_alone, &e), 1);
	assert_int_equal(edges_after(f, ring_and_take_back, &e), 0);
	assert_int_equal(edges_after(f, ring_alone, &e), 1);
	virtio_mmio_destroy(mmio);
	alarm(0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(says_what_it_is),
		TEST(names_its_shared_memory),
		TEST(registers_take_aligned_words_only),
		TEST(features_come_in_two_words),
		TEST(features_not_offered_are_refused),
		TEST(queues_that_are_not_there_read_zero),
		TEST(a_wrong_size_is_no_size),
		TEST(a_ready_queue_keeps_its_registers),
		TEST(rings_outside_memory_need_a_reset),
		TEST(a_doorbell_reaches_its_queue),
		TEST(an_interrupt_has_its_bit_and_one_edge),
		TEST(a_config_change_counts_and_interrupts),
		TEST(config_space_takes_any_size),
		TEST(a_reset_forgets_everything),
		TEST(a_failed_create_leaves_the_device),
		TEST(another_process_interrupts_and_holds_nobody_up),
	};

	return cmocka_run_group_tests_name("virtio_mmio", tests, NULL, NULL);
}
