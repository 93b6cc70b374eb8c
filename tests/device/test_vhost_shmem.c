// SPDX-License-Identifier: MIT
/*
 * Shared memory over vhost-user: a device behind the server asks a frontend, which is the test, to map; directly, and
 * through a keeper whose worker dies meanwhile.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/vhost/keeper.h"
#include "host/vhost/sandbox.h"
#include "host/vhost/server.h"
#include "host/vhost/shmem.h"
#include "host/vhost/worker.h"
#include "protocol/virtio.h"
#include "tests/lib/echo.h"
#include "tests/lib/tap.h"
#include "tests/lib/vhost_peer.h"

#define REPLY (VHOST_USER_VERSION | VHOST_USER_REPLY)

/* What a device asked for, as the frontend gets it. */
struct asked {
	struct vhost_user_header header;
	struct vhost_user_shmem_map map;
	int fd; /* -1: none came */
};

/* The next request on the backend channel of @p; it must be there within 5 s. */
static struct asked next_asked(struct vhost_peer *p)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct asked a = {.fd = -1};
	struct iovec v = {&a.header, sizeof(a.header)};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	struct pollfd wait = {.fd = p->backend_fd, .events = POLLIN};

	for (unsigned i = 0; i < 500 && poll(&wait, 1, 0) == 0; i++) {
		vhost_peer_settle(p);
		usleep(10000);
	}
	assert_int_equal(recvmsg(p->backend_fd, &m, MSG_DONTWAIT), sizeof(a.header));
	if (CMSG_FIRSTHDR(&m))
		memcpy(&a.fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(a.fd));
	assert_int_equal(a.header.size, sizeof(a.map));
	assert_int_equal(recv(p->backend_fd, &a.map, sizeof(a.map), 0), sizeof(a.map));
	assert_true(a.header.flags & VHOST_USER_NEED_REPLY);
	return a;
}

static void answer(struct vhost_peer *p, uint32_t request, uint64_t result)
{
	uint8_t wire[sizeof(struct vhost_user_header) + sizeof(result)];
	const struct vhost_user_header h = {.request = request, .flags = REPLY, .size = sizeof(result)};

	memcpy(wire, &h, sizeof(h));
	memcpy(wire + sizeof(h), &result, sizeof(result));
	assert_int_equal(send(p->backend_fd, wire, sizeof(wire), MSG_NOSIGNAL), sizeof(wire));
	vhost_peer_settle(p);
}

/* ---- the server ---- */

static struct done {
	struct virtio_shmem_request *request;
	int err;
	unsigned count;
} done;

static void is_done(struct virtio_shmem_request *r, int err)
{
	done.request = r;
	done.err = err;
	done.count++;
}

static struct vhost_peer *begin(void)
{
	struct fake_guest_options o = {0};
	struct vhost_peer *p = vhost_peer_create(&o, false, false);

	done = (struct done){0};
	assert_true(vhost_peer_handshake(p));
	assert_true(p->protocol & VIRTIO_BIT(VHOST_USER_PROTOCOL_F_SHMEM));
	return p;
}

static int make_memory(void)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0 && !ftruncate(fd, 0x10000) && !fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
	assert_int_equal(pwrite(fd, "mine", 4, 0), 4);
	return fd;
}

static void the_frontend_learns_of_the_region(void **state)
{
	struct vhost_peer *p = begin();
	struct vhost_answer a;

	(void)state;
	assert_true(vhost_peer_call(p, VHOST_USER_GET_SHMEM_CONFIG, NULL, 0, &a));
	assert_int_equal(a.header.size, sizeof(struct vhost_user_shmem_config));
	for (unsigned id = 0; id < VHOST_USER_SHMEM_IDS; id++) {
		const struct vhost_user_shmem_config *c = (const void *)a.payload.bytes;

		assert_int_equal(c->count, 1);
		assert_int_equal(c->sizes[id], id == VHOST_PEER_SHMEM ? VHOST_PEER_SHMEM_BYTES : 0);
	}
	vhost_peer_destroy(p);
}

static void a_map_is_asked_and_answered(void **state)
{
	struct vhost_peer *p = begin();
	int fd = make_memory();
	struct virtio_shmem_request r = {.offset = 0x3000,
					 .length = 0x2000,
					 .fd = fd,
					 .fd_offset = 0x1000,
					 .writable = true,
					 .done = is_done};
	struct asked a;
	char byte[4];

	(void)state;
	assert_int_equal(virtio_shmem_map(&p->echo->device, &r), -EINPROGRESS);
	a = next_asked(p);
	assert_int_equal(a.header.request, VHOST_USER_BACKEND_SHMEM_MAP);
	assert_int_equal(a.map.id, VHOST_PEER_SHMEM);
	assert_int_equal(a.map.offset, 0x3000);
	assert_int_equal(a.map.length, 0x2000);
	assert_int_equal(a.map.fd_offset, 0x1000);
	assert_int_equal(a.map.flags, VHOST_USER_SHMEM_WRITABLE);
	assert_int_equal(pread(a.fd, byte, 4, 0), 4);
	assert_memory_equal(byte, "mine", 4);
	close(a.fd);
	assert_int_equal(done.count, 0);
	answer(p, VHOST_USER_BACKEND_SHMEM_MAP, 0);
	assert_int_equal(done.count, 1);
	assert_ptr_equal(done.request, &r);
	assert_int_equal(done.err, 0);

	r.writable = false;
	assert_int_equal(virtio_shmem_map(&p->echo->device, &r), -EINPROGRESS);
	a = next_asked(p);
	assert_int_equal(a.map.flags, 0);
	close(a.fd);
	answer(p, VHOST_USER_BACKEND_SHMEM_MAP, EEXIST);
	assert_int_equal(done.err, -EEXIST);
	/* Frontends say what they like, as long as it is not 0. */
	assert_int_equal(virtio_shmem_unmap(&p->echo->device, &r), -EINPROGRESS);
	a = next_asked(p);
	assert_int_equal(a.header.request, VHOST_USER_BACKEND_SHMEM_UNMAP);
	assert_int_equal(a.fd, -1);
	answer(p, VHOST_USER_BACKEND_SHMEM_UNMAP, UINT64_MAX);
	assert_int_equal(done.err, -EIO);
	assert_int_equal(done.count, 3);
	close(fd);
	vhost_peer_destroy(p);
}

static void a_cancelled_map_that_succeeds_is_undone(void **state)
{
	struct vhost_peer *p = begin();
	int fd = make_memory();
	struct virtio_shmem_request r = {.length = 0x1000, .fd = fd, .writable = true, .done = is_done}, other = r;
	struct asked a;

	(void)state;
	other.offset = 0x8000;
	assert_int_equal(virtio_shmem_map(&p->echo->device, &r), -EINPROGRESS);
	assert_int_equal(virtio_shmem_map(&p->echo->device, &other), -EINPROGRESS);
	virtio_shmem_cancel(&p->echo->device, &r);
	virtio_shmem_cancel(&p->echo->device, &r);
	memset(&r, 0xee, sizeof(r));
	close(next_asked(p).fd);
	close(next_asked(p).fd);
	answer(p, VHOST_USER_BACKEND_SHMEM_MAP, 0);
	assert_int_equal(done.count, 0);
	answer(p, VHOST_USER_BACKEND_SHMEM_MAP, 0);
	assert_int_equal(done.count, 1);
	assert_ptr_equal(done.request, &other);
	a = next_asked(p);
	assert_int_equal(a.header.request, VHOST_USER_BACKEND_SHMEM_UNMAP);
	assert_int_equal(a.map.offset, 0);
	assert_int_equal(a.map.length, 0x1000);
	answer(p, VHOST_USER_BACKEND_SHMEM_UNMAP, 0);
	assert_int_equal(done.count, 1);
	close(fd);
	vhost_peer_destroy(p);
}

static void a_wrong_answer_ends_the_channel_and_what_waits(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < 3; kind++) {
		struct vhost_peer *p = begin();
		int fd = make_memory();
		struct virtio_shmem_request r = {.length = 0x1000, .fd = fd, .done = is_done};

		assert_int_equal(virtio_shmem_map(&p->echo->device, &r), -EINPROGRESS);
		close(next_asked(p).fd);
		if (kind == 0)
			answer(p, VHOST_USER_BACKEND_SHMEM_UNMAP, 0);
		else if (kind == 1)
			answer(p, 77, 0); /* of something that was not asked: no answer to this */
		if (kind == 1)
			assert_int_equal(done.count, 0);
		if (kind) {
			close(p->backend_fd);
			p->backend_fd = -1;
			vhost_peer_settle(p);
		}
		assert_int_equal(done.count, 1);
		assert_int_equal(done.err, -EIO);
		assert_int_equal(virtio_shmem_map(&p->echo->device, &r), -EOPNOTSUPP);
		/* An answer that nobody waits for. */
		close(fd);
		vhost_peer_destroy(p);
	}
}

static void a_frontend_without_regions_is_asked_nothing(void **state)
{
	struct fake_guest_options o = {0};
	struct vhost_peer *p = vhost_peer_create(&o, false, false);
	struct virtio_shmem_request r = {.length = 0x1000, .fd = make_memory(), .done = is_done};
	uint64_t protocol;

	(void)state;
	assert_true(vhost_peer_handshake(p));
	protocol = p->protocol & ~VIRTIO_BIT(VHOST_USER_PROTOCOL_F_SHMEM);
	assert_int_equal(vhost_peer_tell(p, VHOST_USER_SET_PROTOCOL_FEATURES, &protocol, sizeof(protocol), NULL, 0), 0);
	assert_int_equal(virtio_shmem_map(&p->echo->device, &r), -EOPNOTSUPP);
	assert_int_equal(virtio_shmem_unmap(&p->echo->device, &r), -EOPNOTSUPP);
	close(r.fd);
	vhost_peer_destroy(p);
}

static void so_many_questions_have_a_limit(void **state)
{
	struct vhost_peer *p = begin();
	static struct virtio_shmem_request r[VHOST_SHMEM_MAX_ASKED + 1];
	unsigned asked = 0;

	(void)state;
	for (unsigned i = 0; i <= VHOST_SHMEM_MAX_ASKED; i++) {
		r[i] = (struct virtio_shmem_request){.offset = i * 0x1000ull, .length = 0x1000, .done = is_done};
		if (virtio_shmem_unmap(&p->echo->device, &r[i]) == -EINPROGRESS)
			asked++;
	}
	assert_true(asked > 0 && asked <= VHOST_SHMEM_MAX_ASKED);
	for (unsigned i = 0; i < asked; i++) {
		next_asked(p);
		answer(p, VHOST_USER_BACKEND_SHMEM_UNMAP, 0);
	}
	assert_int_equal(done.count, asked);
	vhost_peer_destroy(p);
}

/* ---- through a keeper ---- */

struct shared {
	atomic_int worker;
	atomic_uint workers, answers;
	atomic_int err; /* of the last */
};

struct job {
	struct shared *shared;
	struct loop *loop;
	struct virtio_shmem_request request;
	int memory;
};

static void worker_is_done(struct virtio_shmem_request *r, int err)
{
	struct job *j = r->owner;

	j->shared->err = err;
	j->shared->answers++;
}

/* Each request of the guest: map, and answer it at once. */
static void ask(struct echo *e, unsigned queue, struct chain *c)
{
	struct job *j = e->owner;

	(void)queue;
	chain_set_stage(c, CHAIN_EXECUTING);
	j->request = (struct virtio_shmem_request){
		.length = 0x1000, .fd = j->memory, .writable = true, .done = worker_is_done, .owner = j};
	if (virtio_shmem_map(&e->device, &j->request) != -EINPROGRESS)
		abort();
	if (writer_copy(chain_writer(c), "!", 1))
		abort();
	chain_set_stage(c, CHAIN_APPLIED);
	chain_finish(c);
}

static void ended(void *owner)
{
	loop_stop(((struct job *)owner)->loop);
}

static int work(void *owner, const struct worker_place *place)
{
	struct job j = {.shared = owner, .memory = place->shared};
	struct vhost_server_config config = {
		.fd = place->link, .inflight = place->memory->rings, .ended = ended, .owner = &j};
	struct worker_pulse pulse;
	struct guest_mem *mem;
	struct vhost_server *server;
	struct echo *e;

	if (loop_create("worker", &j.loop) || guest_mem_create(&mem) || echo_create(j.loop, mem, &e))
		return 1;
	e->handle = ask;
	e->owner = &j;
	virtio_device_set_shmem(&e->device, 5, 0x200000);
	config.device = &e->device;
	config.mem = mem;
	if (vhost_server_create(&config, &server))
		return 1;
	worker_pulse_start(&pulse, place->memory, j.loop);
	j.shared->worker = getpid();
	j.shared->workers++;
	loop_run(j.loop);
	vhost_server_destroy(server);
	virtio_device_destroy(&e->device);
	guest_mem_destroy(mem);
	loop_destroy(j.loop);
	return 0;
}

static void wait_for(const atomic_uint *counter, unsigned least, struct vhost_peer *p)
{
	for (unsigned i = 0; i < 2000 && *counter < least; i++) {
		vhost_peer_settle(p);
		usleep(5000);
	}
	assert_true(*counter >= least);
}

static void request(struct vhost_peer *p)
{
	char answered;

	assert_int_equal(fake_guest_request(p->guest, 0, "?", 1, &answered, 1, NULL), 0);
	assert_int_equal(answered, '!');
}

/* @nonsense: how the frontend's channel ends. */
static void keep(bool nonsense)
{
	const struct sandbox_config off = {.mode = SANDBOX_OFF, .profile = &sandbox_gpu};
	struct fake_guest_options o = {0};
	struct vhost_peer *p;
	struct vhost_answer config;
	struct shared *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const struct vhost_user_shmem_config *c = (const void *)config.payload.bytes;
	struct asked first, second;
	int pair[2], status;
	pid_t keeper;

	assert_ptr_not_equal(s, MAP_FAILED);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	keeper = fork();
	if (!keeper) {
		struct keeper_config k = {.name = "echo",
					  .fd = pair[1],
					  .config_bytes = 8,
					  .journal_bytes = 64 << 10,
					  .shared_bytes = 0x200000,
					  .max_deaths = 5,
					  .work = work,
					  .owner = s};

		tap_begin_child();
		close(pair[0]);
		if (sandbox_create(&off, &k.sandbox))
			_exit(98);
		_exit(keeper_run(&k));
	}
	close(pair[1]);
	p = vhost_peer_create_remote(&o, pair[0]);
	assert_true(vhost_peer_handshake(p));
	assert_true(p->protocol & VIRTIO_BIT(VHOST_USER_PROTOCOL_F_SHMEM));
	assert_true(vhost_peer_call(p, VHOST_USER_GET_SHMEM_CONFIG, NULL, 0, &config));
	assert_int_equal(c->count, 1);
	assert_int_equal(c->sizes[5], 0x200000);
	assert_int_equal(fake_guest_start(p->guest, &p->device), 0);

	request(p);
	first = next_asked(p);
	assert_int_equal(first.header.request, VHOST_USER_BACKEND_SHMEM_MAP);
	assert_int_equal(first.map.id, 5);
	/* The memory is the keeper's, and sealed as a frontend wants it. */
	assert_true(fcntl(first.fd, F_GET_SEALS) & F_SEAL_SHRINK);
	assert_int_equal(lseek(first.fd, 0, SEEK_END), 0x200000);
	assert_int_equal(pwrite(first.fd, "kept", 4, 0), 4);
	close(first.fd);
	answer(p, VHOST_USER_BACKEND_SHMEM_MAP, EEXIST);
	wait_for(&s->answers, 1, p);
	assert_int_equal(s->err, -EEXIST);

	/* Who asked is dead when the answer comes: the next one does not get it for its own. */
	request(p);
	close(next_asked(p).fd);
	kill(s->worker, SIGKILL);
	wait_for(&s->workers, 2, p);
	request(p);
	second = next_asked(p);
	{
		char text[4];

		assert_int_equal(pread(second.fd, text, 4, 0), 4);
		assert_memory_equal(text, "kept", 4);
	}
	close(second.fd);
	answer(p, VHOST_USER_BACKEND_SHMEM_MAP, ENOSPC);
	answer(p, VHOST_USER_BACKEND_SHMEM_MAP, 0);
	wait_for(&s->answers, 2, p);
	assert_int_equal(s->err, 0);

	/* A frontend whose channel is gone has no more to say; nor has one that answers what it was not asked. */
	request(p);
	close(next_asked(p).fd);
	if (nonsense) {
		answer(p, VHOST_USER_BACKEND_SHMEM_UNMAP, 0);
		wait_for(&s->answers, 3, p);
	}
	close(p->backend_fd);
	p->backend_fd = -1;
	wait_for(&s->answers, 3, p);
	assert_int_equal(s->err, -EIO);
	request(p);
	wait_for(&s->answers, 4, p);
	assert_int_equal(s->err, -EOPNOTSUPP);
	assert_int_equal(s->workers, 2);

	vhost_peer_disconnect(p);
	assert_int_equal(waitpid(keeper, &status, 0), keeper);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	virtio_device_finish(&p->device);
	vhost_peer_destroy(p);
	munmap(s, sizeof(*s));
}

static void a_keeper_passes_on_maps_and_answers(void **state)
{
	(void)state;
	keep(false);
}

static void a_keeper_leaves_nobody_without_an_answer(void **state)
{
	(void)state;
	keep(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_frontend_learns_of_the_region),
		cmocka_unit_test(a_map_is_asked_and_answered),
		cmocka_unit_test(a_cancelled_map_that_succeeds_is_undone),
		cmocka_unit_test(a_wrong_answer_ends_the_channel_and_what_waits),
		cmocka_unit_test(a_frontend_without_regions_is_asked_nothing),
		cmocka_unit_test(so_many_questions_have_a_limit),
		cmocka_unit_test(a_keeper_passes_on_maps_and_answers),
		cmocka_unit_test(a_keeper_leaves_nobody_without_an_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
