// SPDX-License-Identifier: MIT
/*
 * A device in another process that was taken over, before a VMM: what the two share is its to spoil, and neither the
 * device's thread nor a processor of the guest's, which waits for that, may hang. A test that does hang is ended by an alarm.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/base/loop.h"
#include "host/virtio/device.h"
#include "host/virtio/mem.h"
#include "host/virtio/queue.h"
#include "protocol/vhost_user.h"
#include "protocol/virtio.h"
#include "vmm/vhost_user.h"
#include "vmm/vhost_user_kinds.h"

#define BIT(n) (1ull << (n))
#define MEMORY_BYTES 0x10000u
#define HANGS_AFTER_S 30u
/* Of an eventfd: one more, and a write waits. */
#define FULL 0xfffffffffffffffeull
#define DRIVER_STATUS \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK)

/* The other process, as far as it matters: a thread. */
struct backend {
	int socket;
	pthread_t thread;
	bool spoils_kicks;
	int error; /* the eventfd that reports a broken ring; -1: not there yet */
	atomic_uint kicks;
};

struct world {
	struct backend backend;
	struct loop *loop;
	struct guest_mem *mem;
	struct guest_mem_region region;
	struct virtio_device *device;
	struct virtio_queue_fds fds[1];
};

struct request {
	struct vhost_user_header header;
	uint8_t payload[512];
	int fd;
};

static bool receive(int from, struct request *r)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * VHOST_USER_MAX_REGIONS)];
		struct cmsghdr align;
	} control;
	struct iovec v = {.iov_base = &r->header, .iov_len = sizeof(r->header)};
	struct msghdr m = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *c;

	r->fd = -1;
	if (recvmsg(from, &m, MSG_WAITALL | MSG_CMSG_CLOEXEC) != (ssize_t)sizeof(r->header))
		return false;
	c = CMSG_FIRSTHDR(&m);
	if (c)
		memcpy(&r->fd, CMSG_DATA(c), sizeof(r->fd));
	return r->header.size <= sizeof(r->payload) &&
	       (!r->header.size || recv(from, r->payload, r->header.size, MSG_WAITALL) == (ssize_t)r->header.size);
}

static void spoil(int fd)
{
	const uint64_t full = FULL;

	(void)!write(fd, &full, sizeof(full));
}

static void *serve(void *arg)
{
	struct backend *b = arg;
	struct request r;

	while (receive(b->socket, &r)) {
		struct {
			struct vhost_user_header header;
			uint32_t number[2];
		} reply = {.header = {.request = r.header.request,
				      .flags = VHOST_USER_VERSION | VHOST_USER_REPLY,
				      .size = sizeof(uint64_t)}};
		uint64_t number = 0;
		bool answers = r.header.flags & VHOST_USER_NEED_REPLY;

		switch (r.header.request) {
		case VHOST_USER_GET_FEATURES:
			number = BIT(VIRTIO_F_VERSION_1) | BIT(VHOST_USER_F_PROTOCOL_FEATURES);
			answers = true;
			break;
		case VHOST_USER_GET_PROTOCOL_FEATURES:
			number = BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK);
			answers = true;
			break;
		case VHOST_USER_GET_VRING_BASE:
			answers = true; /* the index is 0, as is what else it says */
			break;
		case VHOST_USER_SET_VRING_KICK:
			if (b->spoils_kicks)
				spoil(r.fd);
			b->kicks++;
			break;
		case VHOST_USER_SET_VRING_ERR:
			if (b->error >= 0)
				close(b->error);
			b->error = r.fd;
			r.fd = -1;
			break;
		default:
			break;
		}
		memcpy(reply.number, &number, sizeof(number));
		if (r.fd >= 0)
			close(r.fd);
		if (answers && send(b->socket, &reply, sizeof(reply), MSG_NOSIGNAL) < 0)
			break;
	}
	close(b->socket);
	return NULL;
}

static int connect_backend(void *owner)
{
	struct backend *b = owner;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	b->socket = pair[1];
	assert_int_equal(pthread_create(&b->thread, NULL, serve, b), 0);
	return pair[0];
}

struct status_call {
	struct world *w;
	uint8_t status;
};

static void write_status(void *arg)
{
	const struct status_call *c = arg;
	const struct virtq_setup setups[VIRTIO_DEVICE_MAX_QUEUES] = {
		{.size = 8, .desc_gpa = 0x1000, .driver_gpa = 0x2000, .device_gpa = 0x3000}};

	if (c->status)
		virtio_device_set_features(c->w->device, BIT(VIRTIO_F_VERSION_1));
	virtio_device_set_status(c->w->device, c->status, setups);
}

/* As a processor of the guest's does. */
static void set_status(struct world *w, uint8_t status)
{
	struct status_call c = {w, status};

	loop_call(w->loop, write_status, &c);
}

static void attach(void *arg)
{
	struct world *w = arg;

	assert_int_equal(w->device->ops->outside->attach(w->device, w->fds), 0);
}

static void open_world(struct world *w, bool spoils_kicks)
{
	const struct vhost_user_setup setup = {.kind = vhost_user_find_kind("rng"),
					       .socket = "its process",
					       .connect = connect_backend,
					       .owner = &w->backend};

	memset(w, 0, sizeof(*w));
	alarm(HANGS_AFTER_S);
	w->backend.spoils_kicks = spoils_kicks;
	w->backend.error = -1;
	assert_int_equal(guest_mem_create(&w->mem), 0);
	w->region = (struct guest_mem_region){.size_bytes = MEMORY_BYTES, .fd = memfd_create("guest", MFD_CLOEXEC)};
	assert_int_equal(ftruncate(w->region.fd, MEMORY_BYTES), 0);
	w->region.host = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, w->region.fd, 0);
	assert_ptr_not_equal(w->region.host, MAP_FAILED);
	assert_int_equal(guest_mem_add(w->mem, &w->region), 0);
	assert_int_equal(loop_create("vhost-user", &w->loop), 0);
	assert_int_equal(vhost_user_create(&setup, w->loop, w->mem, &w->device), 0);
	w->fds[0].doorbell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	w->fds[0].call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_int_equal(loop_start(w->loop), 0);
	loop_call(w->loop, attach, w);
}

static void destroy_device(void *arg)
{
	virtio_device_destroy(arg);
}

static void close_world(struct world *w)
{
	loop_call(w->loop, destroy_device, w->device);
	loop_destroy(w->loop);
	assert_int_equal(pthread_join(w->backend.thread, NULL), 0);
	if (w->backend.error >= 0)
		close(w->backend.error);
	close(w->fds[0].doorbell);
	close(w->fds[0].call);
	guest_mem_destroy(w->mem);
	munmap(w->region.host, MEMORY_BYTES);
	close(w->region.fd);
	alarm(0);
}

static void a_doorbell_that_others_filled_holds_nobody_up(void **state)
{
	struct world w;
	uint64_t count = 0;

	(void)state;
	open_world(&w, true);
	set_status(&w, DRIVER_STATUS);
	assert_int_equal(w.backend.kicks, 1);
	/* It rings all the same. */
	assert_int_equal(read(w.fds[0].doorbell, &count, sizeof(count)), sizeof(count));
	assert_true(count >= FULL);
	set_status(&w, 0);
	set_status(&w, DRIVER_STATUS);
	assert_int_equal(w.backend.kicks, 2);
	assert_int_equal(w.device->status, DRIVER_STATUS);
	close_world(&w);
}

static void a_start_rings_once(void **state)
{
	struct world w;
	uint64_t count = 0;

	(void)state;
	open_world(&w, false);
	set_status(&w, DRIVER_STATUS);
	assert_int_equal(read(w.fds[0].doorbell, &count, sizeof(count)), sizeof(count));
	assert_int_equal(count, 1);
	close_world(&w);
}

/* Handled between the wakeup of the error eventfd and its turn. */
static void empty_again(struct loop_task *t)
{
	const struct world *w = t->owner;
	uint64_t count;

	assert_int_equal(read(w->backend.error, &count, sizeof(count)), sizeof(count));
	assert_int_equal(fcntl(w->backend.error, F_SETFL, 0), 0);
}

struct trick {
	struct world *w;
	struct loop_task task;
};

static void ring_and_empty(void *arg)
{
	struct trick *k = arg;
	const uint64_t one = 1;

	k->task = (struct loop_task){.run = empty_again, .owner = k->w};
	loop_post(k->w->loop, &k->task);
	assert_int_equal(write(k->w->backend.error, &one, sizeof(one)), sizeof(one));
}

static void an_error_that_others_took_back_holds_nobody_up(void **state)
{
	struct world w;
	struct trick k = {.w = &w};

	(void)state;
	open_world(&w, false);
	set_status(&w, DRIVER_STATUS);
	loop_call(w.loop, ring_and_empty, &k);
	set_status(&w, 0);
	set_status(&w, DRIVER_STATUS);
	assert_int_equal(w.device->status, DRIVER_STATUS);
	close_world(&w);
}

static void ring_error(void *arg)
{
	const struct world *w = arg;
	const uint64_t one = 1;

	assert_int_equal(write(w->backend.error, &one, sizeof(one)), sizeof(one));
	/* Before the loop has looked at it. */
	write_status(&(struct status_call){(struct world *)(uintptr_t)w, 0});
	write_status(&(struct status_call){(struct world *)(uintptr_t)w, DRIVER_STATUS});
}

static void nothing(void *arg)
{
	(void)arg;
}

/* The guest was quicker than the report: it has reset the device already. */
static void an_error_of_before_a_reset_breaks_nothing(void **state)
{
	struct world w;

	(void)state;
	open_world(&w, false);
	set_status(&w, DRIVER_STATUS);
	loop_call(w.loop, ring_error, &w);
	for (unsigned i = 0; i < 4; i++)
		loop_call(w.loop, nothing, NULL);
	assert_int_equal(w.device->status, DRIVER_STATUS);
	close_world(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_start_rings_once),
		cmocka_unit_test(an_error_of_before_a_reset_breaks_nothing),
		cmocka_unit_test(an_error_that_others_took_back_holds_nobody_up),
		cmocka_unit_test(a_doorbell_that_others_filled_holds_nobody_up),
	};

	return cmocka_run_group_tests_name("vhost_user", tests, NULL, NULL);
}
