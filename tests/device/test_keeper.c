// SPDX-License-Identifier: MIT
/*
 * The keeper and its workers: an echo device in a process that dies, hangs or talks nonsense, and a guest that is not to
 * notice. The keeper is a process too; the frontend and the guest are the test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/base/step.h"
#include "host/vhost/keeper.h"
#include "host/vhost/sandbox.h"
#include "host/vhost/server.h"
#include "host/vhost/worker.h"
#include "protocol/vhost_user.h"
#include "tests/device/rings.h"
#include "tests/lib/echo.h"
#include "tests/lib/fake_guest.h"
#include "tests/lib/tap.h"
#include "tests/lib/vhost_peer.h"

#define REQUESTS 8u
#define LOST 'x'

/* The request during which a worker that was taken over does what it may not. */
#define TAKEN_OVER 3

enum mood {
	WELL,
	CAN_NOT_START,
	TALKS_NONSENSE,
	DIES_AT_STEPS,
	DIES_WHEN_READY,
	IN_BAND,
	TAKEN_OVER_IN_SANDBOX,
	EATS_MEMORY,
	COUNTS_IN_CONFIG,
};

/* Seen by test, keeper and workers. */
struct shared {
	atomic_int worker; /* the process that serves now; 0: none yet */
	atomic_uint workers;
	atomic_bool degraded;
	enum mood mood;
	char die_at[32]; /* of the first worker, for DIES_AT_STEPS */
	atomic_uint executed[256];
	atomic_uint starts; /* of devices */

	/* For TAKEN_OVER_IN_SANDBOX. */
	unsigned forbidden; /* what the first worker does: a row of the table */
	atomic_int result;  /* what came of it: 0 it was done, else an errno; CAME_NOT_BACK */
	char missing[512];  /* of the sandbox */
};

#define CAME_NOT_BACK -1

struct world {
	struct shared *shared;
	struct vhost_peer *peer;
	pid_t keeper;
	FILE *log; /* what keeper and workers say */
};

/* ---- the worker ---- */

struct job {
	struct shared *shared;
	struct loop *loop;
	struct echo *echo;
};

static void put(struct chain *c, char answer)
{
	if (writer_copy(chain_writer(c), &answer, 1))
		abort();
	chain_set_stage(c, CHAIN_APPLIED);
}

/* ---- what a worker may not do; harmless where it may ---- */

static int or_errno(long result)
{
	return result < 0 ? errno : 0;
}

static int make_socket(void)
{
	return or_errno(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int start_program(void)
{
	char *const argv[] = {(char *)(uintptr_t) "true", NULL};

	return or_errno(execve("/usr/bin/true", argv, argv + 1));
}

static int trace(void)
{
	return or_errno(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int start_process(void)
{
	const long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(0);
	return or_errno(pid);
}

static int signal_another(void)
{
	return or_errno(kill(getppid(), 0));
}

static int read_memory_of_another(void)
{
	return or_errno(syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0));
}

static int write_password_file(void)
{
	return or_errno(open("/etc/passwd", O_WRONLY | O_APPEND | O_CLOEXEC));
}

static int read_password_file(void)
{
	return or_errno(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
}

static const struct {
	const char *name;
	int (*act)(void);
	bool kills; /* else it gets an error, and goes on */
} forbidden[] = {
	{"socket", make_socket, true},
	{"execve", start_program, true},
	{"ptrace", trace, true},
	{"fork", start_process, true},
	{"kill", signal_another, true},
	{"process_vm_readv", read_memory_of_another, true},
	{"writing /etc/passwd", write_password_file, false},
	{"reading /etc/passwd", read_password_file, false},
};

/* Until the kernel puts an end to it. */
static void eat_memory(void)
{
	const size_t bytes = 64u << 20;
	unsigned char *at;

	while ((at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) != MAP_FAILED)
		memset(at, 0x5a, bytes);
}

static void be_taken_over(struct shared *s)
{
	if (s->mood == EATS_MEMORY && s->workers == 1)
		eat_memory();
	if (s->mood == TAKEN_OVER_IN_SANDBOX && s->workers == 1)
		s->result = forbidden[s->forbidden].act();
}

/* A request is a number; its answer is the number plus one. */
static void handle(struct echo *e, unsigned queue, struct chain *c)
{
	struct job *j = e->owner;
	uint8_t number;

	(void)queue;
	switch (chain_stage(c)) {
	case CHAIN_TAKEN:
		chain_set_stage(c, CHAIN_EXECUTING);
		if (read_obj(chain_reader(c), &number))
			abort();
		j->shared->executed[number]++;
		if (number == TAKEN_OVER)
			be_taken_over(j->shared);
		put(c, (char)(number + 1));
		break;
	case CHAIN_EXECUTING:
		put(c, LOST);
		break;
	case CHAIN_APPLIED:
		break;
	}
	chain_finish(c);
}

static void ended(void *owner)
{
	loop_stop(((struct job *)owner)->loop);
}

static int work(void *owner, const struct worker_place *place)
{
	struct shared *s = owner;
	struct job j = {.shared = s};
	struct guest_mem *mem;
	struct vhost_server *server;
	struct worker_pulse pulse;
	struct vhost_server_config config = {
		.fd = place->link,
		.in_band = s->mood == IN_BAND,
		.inflight = place->memory->rings,
		.ended = ended,
		.owner = &j,
	};
	unsigned number = ++s->workers;

	s->degraded = place->degraded;
	if (s->mood == CAN_NOT_START)
		return 7;
	if (s->mood == TALKS_NONSENSE && number % 2) {
		for (unsigned i = 0; i < 100; i++) {
			if (send(place->link, "nonsense nonsense nonsense", 26, MSG_NOSIGNAL) < 0)
				break;
		}
		pause();
	}
	if (s->mood == DIES_AT_STEPS && number == 1)
		step_die_at(s->die_at);
	if (loop_create("worker", &j.loop) || guest_mem_create(&mem) || echo_create(j.loop, mem, &j.echo))
		return 1;
	if (s->mood == COUNTS_IN_CONFIG)
		j.echo->config[1] = (uint8_t)number;
	j.echo->handle = handle;
	j.echo->owner = &j;
	config.device = &j.echo->device;
	config.mem = mem;
	if (vhost_server_create(&config, &server))
		return 1;
	worker_pulse_start(&pulse, place->memory, j.loop);
	if (sandbox_lock(place->sandbox))
		return 1;
	snprintf(s->missing, sizeof(s->missing), "%s", sandbox_missing(place->sandbox));
	s->worker = getpid();
	s->starts++;
	/* Ready once it has answered; the tests that want this kill it then. */
	if (s->mood == DIES_WHEN_READY && number > 1) {
		for (unsigned i = 0; i < 20; i++)
			loop_run_once(j.loop, 5);
		raise(SIGKILL);
	}
	loop_run(j.loop);
	vhost_server_destroy(server);
	virtio_device_destroy(&j.echo->device);
	guest_mem_destroy(mem);
	loop_destroy(j.loop);
	return 0;
}

/* ---- the test ---- */

/* Start a keeper; returns our end of its socket. */
static int start_keeper(struct world *w)
{
	const enum mood mood = w->shared->mood;
	const struct sandbox_config sandbox = {.mode = mood == TAKEN_OVER_IN_SANDBOX ? SANDBOX_AUTO : SANDBOX_OFF,
					       .profile = &sandbox_gpu};
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	w->keeper = fork();
	assert_true(w->keeper >= 0);
	if (!w->keeper) {
		struct keeper_config config = {
			.name = "echo",
			.fd = pair[1],
			.control = -1,
			.screen = -1,
			.in_band = mood == IN_BAND,
			.config_bytes = 8,
			.journal_bytes = 64 << 10,
			.max_deaths = 5,
			.hang_ns = 1500000000ull,
			.work = work,
			.owner = w->shared,
		};

		close(pair[0]);
		if (dup2(fileno(w->log), STDERR_FILENO) < 0)
			_exit(99);
		if (sandbox_create(&sandbox, &config.sandbox))
			_exit(98);
		_exit(keeper_run(&config));
	}
	close(pair[1]);
	return pair[0];
}

static void begin(struct world *w, const struct fake_guest_options *options, enum mood mood)
{
	*w = (struct world){0};
	w->shared = mmap(NULL, sizeof(*w->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(w->shared, MAP_FAILED);
	w->shared->mood = mood;
	w->log = tmpfile();
	assert_non_null(w->log);
	w->peer = vhost_peer_create_remote(options, start_keeper(w));
}

static void die(struct world *w)
{
	pid_t pid = w->shared->worker;

	if (pid > 0)
		kill(pid, SIGKILL);
}

static int wait_for_keeper(struct world *w)
{
	int status;

	assert_int_equal(waitpid(w->keeper, &status, 0), w->keeper);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void clean_up(struct world *w)
{
	virtio_device_finish(&w->peer->device);
	vhost_peer_destroy(w->peer);
	munmap(w->shared, sizeof(*w->shared));
	fclose(w->log);
}

/* The frontend leaves. Returns the exit status of the keeper. */
static int end(struct world *w)
{
	int status;

	vhost_peer_disconnect(w->peer);
	status = wait_for_keeper(w);
	clean_up(w);
	return status;
}

/* The keeper ends by itself. */
static int end_by_itself(struct world *w)
{
	int status = wait_for_keeper(w);

	vhost_peer_disconnect(w->peer);
	clean_up(w);
	return status;
}

/* The keeper with its worker, in the midst of requests; the frontend starts another, and gives it what it has. */
static void lose_all(struct world *w)
{
	fake_guest_run_until(w->peer->guest, NULL, NULL, 1);
	kill(w->shared->worker, SIGSTOP);
	kill(w->keeper, SIGKILL);
	assert_int_equal(waitpid(w->keeper, NULL, 0), w->keeper);
	vhost_peer_reconnect(w->peer, start_keeper(w));
	assert_true(vhost_peer_handshake(w->peer));
	w->peer->resume = true;
	for (unsigned q = 0; q < ECHO_QUEUES; q++) {
		w->peer->base[q] = 0;
		assert_int_equal(
			virtio_device_start_queue(&w->peer->device, q, &fake_guest_ring(w->peer->guest, q)->setup), 0);
	}
}

static bool all_done(void *arg)
{
	struct fake_request **requests = arg;

	for (unsigned i = 0; i < REQUESTS; i++) {
		if (!requests[i]->done)
			return false;
	}
	return true;
}

/* Some requests on a queue, with @disturb in their midst. Returns how many were lost. */
static unsigned serve(struct world *w, unsigned queue, unsigned first, void (*disturb)(struct world *w))
{
	struct fake_request *requests[REQUESTS];
	/* With the keeper goes what says how far a request got. */
	const unsigned most = disturb == lose_all ? 2 : 1;
	unsigned lost = 0;

	for (unsigned i = 0; i < REQUESTS; i++) {
		const uint8_t number = (uint8_t)(first + i);

		w->shared->executed[number] = 0;
		requests[i] = fake_guest_add(w->peer->guest, queue, &number, 1, 4);
		fake_guest_kick(w->peer->guest, queue);
		if (disturb && i == REQUESTS / 2)
			disturb(w);
	}
	assert_true(fake_guest_run_until(w->peer->guest, all_done, requests, 30000));
	for (unsigned i = 0; i < REQUESTS; i++) {
		const uint8_t number = (uint8_t)(first + i);

		assert_false(requests[i]->lost);
		assert_int_equal(requests[i]->used_len, 1);
		assert_true(w->shared->executed[number] <= most);
		if (requests[i]->out[0] == LOST && (uint8_t)LOST != (uint8_t)(number + 1)) {
			lost++;
		} else {
			assert_int_equal(requests[i]->out[0], (uint8_t)(number + 1));
			assert_true(w->shared->executed[number] >= 1);
		}
		fake_guest_free_request(w->peer->guest, requests[i]);
	}
	return lost;
}

static void start(struct world *w)
{
	assert_true(vhost_peer_handshake(w->peer));
	assert_int_equal(fake_guest_start(w->peer->guest, &w->peer->device), 0);
}

static void a_guest_does_not_notice_that_workers_die(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < RING_KINDS; kind++) {
		struct world w;
		unsigned lost = 0;

		begin(&w, &rings[kind], WELL);
		start(&w);
		for (unsigned i = 0; i < 4; i++) {
			lost += serve(&w, i % ECHO_QUEUES, 16 * i, NULL);
			assert_int_equal(lost, 0);
		}
		for (unsigned i = 0; i < 4; i++)
			lost += serve(&w, i % ECHO_QUEUES, 16 * i, die);
		/* At most the one that was executing. */
		assert_true(lost <= 4);
		assert_true(w.shared->workers >= 4);
		assert_false(w.shared->degraded);
		assert_int_equal(end(&w), 0);
	}
}

static void a_worker_that_dies_at_a_step_is_replaced(void **state)
{
	(void)state;
#ifndef MULLION_STEPS
	print_message("SKIP: built without STEPS=1, so nothing dies at a step\n");
	skip();
#endif
	for (unsigned step = 0; step < STEP_RECOVERING; step++) {
		struct world w;

		if (step == STEP_EXECUTED || step == STEP_RECORDED)
			continue; /* the echo device passes neither */
		begin(&w, &rings[step % RING_KINDS], DIES_AT_STEPS);
		snprintf(w.shared->die_at, sizeof(w.shared->die_at), "%u:5", step);
		start(&w);
		assert_true(serve(&w, 0, 0, NULL) <= 1);
		assert_int_equal(w.shared->workers, 2);
		assert_int_equal(serve(&w, 0, 100, NULL), 0);
		assert_int_equal(end(&w), 0);
	}
}

static void stop(struct world *w)
{
	kill(w->shared->worker, SIGSTOP);
}

static void a_worker_that_hangs_is_replaced(void **state)
{
	struct world w;

	(void)state;
	begin(&w, &rings[1], WELL);
	start(&w);
	assert_true(serve(&w, 0, 0, stop) <= 1);
	assert_int_equal(w.shared->workers, 2);
	assert_int_equal(end(&w), 0);
}

/* ---- out of memory ---- */

/* A control group of this machine's for memory, of either version. */
struct memory_group {
	char path[128];
	const char *limit; /* the file */
};

static bool write_file(const char *folder, const char *name, const char *text)
{
	char path[192];
	bool good;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "we");
	if (!f)
		return false;
	good = fputs(text, f) >= 0;
	return !fclose(f) && good;
}

static bool make_memory_group(struct memory_group *g)
{
	static const struct {
		const char *root, *limit;
	} kinds[] = {
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"},
		{"/sys/fs/cgroup", "memory.max"},
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		snprintf(g->path, sizeof(g->path), "%s/mullion-test-%d", kinds[i].root, (int)getpid());
		g->limit = kinds[i].limit;
		if (mkdir(g->path, 0755))
			continue;
		if (write_file(g->path, g->limit, "67108864"))
			return true;
		rmdir(g->path);
	}
	return false;
}

/* By the kernel, as on a machine that has no memory left. */
static void a_worker_that_eats_all_memory_is_replaced(void **state)
{
	struct memory_group g;
	char pid[16];
	struct world w;

	(void)state;
	if (!make_memory_group(&g))
		tap_skip("no control group for memory can be made here (needs root)");
	begin(&w, &rings[1], EATS_MEMORY);
	start(&w);
	assert_int_equal(serve(&w, 0, 100, NULL), 0);
	snprintf(pid, sizeof(pid), "%d", (int)w.shared->worker);
	assert_true(write_file(g.path, "cgroup.procs", pid));
	/* The request in which it happened is lost, and no other. */
	assert_int_equal(serve(&w, 0, 0, NULL), 1);
	assert_int_equal(w.shared->workers, 2);
	assert_int_equal(serve(&w, 1, 20, NULL), 0);
	assert_int_equal(end(&w), 0);
	rmdir(g.path);
}

/* ---- resets, status, memory ---- */

/* The guest's driver starts over, and the worker dies, or does not come to the end of it. */
static void a_death_during_a_reset_is_made_good(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < RING_KINDS; kind++) {
		struct world w;

		begin(&w, &rings[kind], WELL);
		w.peer->say_reset = kind & 1;
		w.peer->say_status = kind & 2;
		start(&w);
		for (unsigned i = 0; i < 4; i++) {
			struct fake_request *left;
			const uint8_t number = 200;

			assert_true(serve(&w, 0, 0, i ? die : NULL) <= 1);
			/* Not answered when it all begins anew. */
			stop(&w);
			left = fake_guest_add(w.peer->guest, 1, &number, 1, 4);
			fake_guest_kick(w.peer->guest, 1);
			/* Once by its time limit. */
			if (i || kind)
				die(&w);
			assert_int_equal(fake_guest_start(w.peer->guest, &w.peer->device), 0);
			assert_true(left->lost);
			fake_guest_free_request(w.peer->guest, left);
			assert_int_equal(serve(&w, 1, 50, NULL), 0);
		}
		/* The one that was told of the rings first may have done them. */
		assert_true(w.shared->executed[200] <= 4);
		assert_int_equal(end(&w), 0);
	}
}

/* Half way through one: some rings are stopped, some are not. */
static void a_death_half_way_through_a_reset_is_made_good(void **state)
{
	(void)state;
#ifndef MULLION_STEPS
	print_message("SKIP: built without STEPS=1, so nothing dies at a step\n");
	skip();
#endif
	for (unsigned rings_stopped = 1; rings_stopped <= ECHO_QUEUES; rings_stopped++) {
		for (unsigned how = 0; how < 2 * RING_KINDS; how++) {
			struct world w;

			begin(&w, &rings[how / 2], DIES_AT_STEPS);
			snprintf(w.shared->die_at, sizeof(w.shared->die_at), "%u:%u", STEP_STOPPED, rings_stopped);
			w.peer->say_reset = how % 2;
			start(&w);
			for (unsigned q = 0; q < ECHO_QUEUES; q++)
				assert_int_equal(serve(&w, q, 16 * q, NULL), 0);
			assert_int_equal(w.shared->workers, 1);
			assert_int_equal(fake_guest_start(w.peer->guest, &w.peer->device), 0);
			for (unsigned q = 0; q < ECHO_QUEUES; q++)
				assert_int_equal(serve(&w, q, 16 * q + 64, NULL), 0);
			assert_int_equal(w.shared->workers, 2);
			assert_int_equal(end(&w), 0);
		}
	}
}

static uint64_t get_status(struct world *w)
{
	struct vhost_answer a;

	assert_true(vhost_peer_call(w->peer, VHOST_USER_GET_STATUS, NULL, 0, &a));
	return a.payload.u64;
}

static void what_was_said_of_status_and_memory_holds_after_a_death(void **state)
{
	struct vhost_user_mem_reg more = {
		.region = {.gpa = 0x4000000000, .size = 65536, .user = VHOST_PEER_USER + 0x4000000000}};
	struct vhost_answer a;
	struct world w;
	unsigned slots;
	int fd = memfd_create("more", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(ftruncate(fd, 65536), 0);
	begin(&w, &rings[1], WELL);
	w.peer->say_status = true;
	start(&w);
	assert_int_equal(get_status(&w), 15);
	assert_true(vhost_peer_call(w.peer, VHOST_USER_GET_MAX_MEM_SLOTS, NULL, 0, &a));
	slots = (unsigned)a.payload.u64;
	assert_in_range(slots, 32, 509);
	/* All that fit, added while rings run; two are the guest's own. */
	for (unsigned i = 2; i < slots; i++) {
		assert_int_equal(vhost_peer_tell(w.peer, VHOST_USER_ADD_MEM_REG, &more, sizeof(more), &fd, 1), 0);
		if (i % 50 == 0)
			assert_true(serve(&w, 0, 0, die) <= 1);
		more.region.gpa += 65536;
		more.region.user += 65536;
	}
	die(&w);
	assert_int_equal(get_status(&w), 15);
	assert_int_equal(serve(&w, 1, 20, NULL), 0);
	/* Each of them is known to this one, once. */
	for (unsigned i = 2; i < slots; i++) {
		more.region.gpa -= 65536;
		more.region.user -= 65536;
		assert_int_equal(vhost_peer_tell(w.peer, VHOST_USER_REM_MEM_REG, &more, sizeof(more), NULL, 0), 0);
		if (i % 50 == 0)
			die(&w);
	}
	assert_int_not_equal(vhost_peer_tell(w.peer, VHOST_USER_REM_MEM_REG, &more, sizeof(more), NULL, 0), 0);
	assert_int_equal(serve(&w, 2, 40, NULL), 0);
	close(fd);
	assert_int_equal(end(&w), 0);
}

/* A change that the worker before may not have told is told by the keeper, one that isn't is not. */
static void another_config_space_is_told(void **state)
{
	static const enum mood moods[] = {WELL, COUNTS_IN_CONFIG};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct vhost_user_header header = {0};
		struct world w;
		ssize_t n;

		begin(&w, &rings[0], moods[i]);
		start(&w);
		serve(&w, 0, 0, die);
		n = recv(w.peer->backend_fd, &header, sizeof(header), MSG_DONTWAIT);
		assert_int_equal(n, i ? (ssize_t)sizeof(header) : -1);
		assert_int_equal(header.request, i ? VHOST_USER_BACKEND_CONFIG_CHANGE_MSG : 0);
		assert_int_equal(end(&w), 0);
	}
}

/* The messages of a whole session, with the worker killed at each of them. */
static void a_death_during_any_message_is_made_good(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		struct world w;
		uint8_t space[8];

		begin(&w, &rings[round], WELL);
		assert_true(vhost_peer_handshake(w.peer));
		die(&w);
		assert_int_equal(fake_guest_start(w.peer->guest, &w.peer->device), 0);
		serve(&w, 0, 0, die);
		for (unsigned q = 0; q < ECHO_QUEUES; q++) {
			/* Sent while the worker dies: the answer comes from the next one, or from the memory. */
			if (q == round)
				die(&w);
			virtio_device_stop_queue(&w.peer->device, q);
		}
		fake_guest_read_config(w.peer->guest, 0, space, sizeof(space));
		w.peer->resume = true;
		for (unsigned q = 0; q < ECHO_QUEUES; q++) {
			if (q == round)
				die(&w);
			assert_int_equal(virtio_device_start_queue(&w.peer->device, q,
								   &fake_guest_ring(w.peer->guest, q)->setup),
					 0);
		}
		assert_true(serve(&w, round, 50, NULL) <= 1);
		assert_int_equal(end(&w), 0);
	}
}

static void a_ring_that_is_disabled_is_not_forgotten(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < RING_KINDS; kind++) {
		const struct vhost_user_vring_state off = {.index = 0, .num = 0};
		struct world w;

		begin(&w, &rings[kind], WELL);
		start(&w);
		assert_int_equal(serve(&w, 0, 0, NULL), 0);
		assert_int_equal(vhost_peer_tell(w.peer, VHOST_USER_SET_VRING_ENABLE, &off, sizeof(off), NULL, 0), 0);
		die(&w);
		/* As QEMU stops a device: the next worker knows where the ring stands. */
		virtio_device_stop_queue(&w.peer->device, 0);
		if (!rings[kind].packed)
			assert_int_equal(w.peer->base[0], REQUESTS);
		w.peer->resume = true;
		assert_int_equal(
			virtio_device_start_queue(&w.peer->device, 0, &fake_guest_ring(w.peer->guest, 0)->setup), 0);
		assert_int_equal(serve(&w, 0, 50, NULL), 0);
		assert_int_equal(w.shared->workers, 2);
		assert_int_equal(end(&w), 0);
	}
}

static bool is_seen(void *arg)
{
	struct world *w = ((void **)arg)[0];
	const struct fake_request *r = ((void **)arg)[1];

	fake_guest_poll(w->peer->guest, 0);
	return r->done;
}

static void a_ring_without_descriptors_goes_on_too(void **state)
{
	struct world w;

	(void)state;
	begin(&w, &rings[1], IN_BAND);
	w.peer->in_band = true;
	start(&w);
	for (uint8_t i = 0; i < 6; i++) {
		struct fake_request *r = fake_guest_add(w.peer->guest, 0, &i, 1, 4);

		fake_guest_kick(w.peer->guest, 0);
		assert_true(fake_guest_run_until(w.peer->guest, is_seen, (void *[]){&w, r}, 30000));
		assert_false(r->lost);
		assert_int_equal(r->out[0], i + 1);
		assert_int_equal(w.shared->executed[i], 1);
		fake_guest_free_request(w.peer->guest, r);
		if (i % 2)
			die(&w);
	}
	assert_int_equal(end(&w), 0);
}

static void the_frontend_s_memory_makes_good_the_death_of_the_keeper(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < RING_KINDS; kind++) {
		struct world w;

		begin(&w, &rings[kind], WELL);
		assert_true(vhost_peer_handshake(w.peer));
		assert_true(vhost_peer_get_inflight(w.peer, 256));
		assert_int_equal(fake_guest_start(w.peer->guest, &w.peer->device), 0);
		for (unsigned i = 0; i < 3; i++) {
			assert_true(serve(&w, 0, 20 * i, die) <= 1);
			assert_int_equal(serve(&w, 0, 20 * i + 8, i ? lose_all : NULL), 0);
			assert_int_equal(serve(&w, 1, 20 * i + 100, NULL), 0);
		}
		assert_int_equal(end(&w), 0);
	}
}

static bool has_successor(void *arg)
{
	struct world *w = arg;

	return w->shared->starts >= 2;
}

/* The device has stopped its rings by itself: the next one stops them in the same place, and takes a reset. */
static void a_guest_that_broke_its_ring_gets_its_reset(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < 2; kind++) {
		struct world w;
		const uint16_t far = 9999;
		const struct fake_ring *ring;

		begin(&w, &rings[kind], WELL);
		start(&w);
		assert_int_equal(serve(&w, 0, 0, NULL), 0);
		assert_int_equal(serve(&w, 1, 0, NULL), 0);
		ring = fake_guest_ring(w.peer->guest, 1);
		memcpy((uint8_t *)fake_guest_ptr(w.peer->guest, ring->setup.driver_gpa, 4) + 2, &far, sizeof(far));
		fake_guest_force_kick(w.peer->guest, 1);
		fake_guest_run_until(w.peer->guest, NULL, NULL, 50);
		die(&w);
		assert_true(fake_guest_run_until(w.peer->guest, has_successor, &w, 30000));
		/* And one after it, which learns it all from the keeper. */
		die(&w);
		assert_int_equal(fake_guest_start(w.peer->guest, &w.peer->device), 0);
		assert_int_equal(serve(&w, 1, 50, NULL), 0);
		assert_int_equal(end(&w), 0);
	}
}

static void a_worker_that_can_not_start_ends_the_program(void **state)
{
	struct world w;

	(void)state;
	begin(&w, NULL, CAN_NOT_START);
	assert_int_equal(end_by_itself(&w), 7);
}

/* The first one: nothing is known of the device yet, so there is nothing to go on with. */
static void a_first_worker_that_talks_nonsense_ends_the_program(void **state)
{
	struct world w;

	(void)state;
	begin(&w, NULL, TALKS_NONSENSE);
	assert_int_equal(end_by_itself(&w), EXIT_FAILURE);
}

static void a_later_worker_that_talks_nonsense_is_replaced(void **state)
{
	struct world w;

	(void)state;
	begin(&w, &rings[1], WELL);
	start(&w);
	w.shared->mood = TALKS_NONSENSE;
	/* The second talks sense, the third doesn't, the fourth does. */
	serve(&w, 0, 0, die);
	serve(&w, 0, 50, die);
	assert_int_equal(w.shared->workers, 4);
	assert_int_equal(end(&w), 0);
}

static void many_deaths_end_in_doing_with_less_then_in_giving_up(void **state)
{
	struct world w;

	(void)state;
	begin(&w, NULL, WELL);
	start(&w);
	for (unsigned i = 0; i < 5; i++)
		serve(&w, 0, 16 * i, die);
	serve(&w, 0, 100, NULL);
	assert_true(w.shared->degraded);
	w.shared->mood = DIES_WHEN_READY;
	die(&w);
	assert_int_equal(end_by_itself(&w), EXIT_FAILURE);
}

static bool log_has(struct world *w, const char *what)
{
	char text[8192];
	ssize_t n = pread(fileno(w->log), text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return strstr(text, what) != NULL;
}

/* One that a guest took over, in the midst of its requests. */
static void what_a_worker_may_not_do_ends_it_or_fails_and_the_guest_goes_on(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
		struct world w;

		begin(&w, &rings[i % RING_KINDS], TAKEN_OVER_IN_SANDBOX);
		w.shared->forbidden = i;
		w.shared->result = CAME_NOT_BACK;
		start(&w);
		/* A request before: the first worker is ready then, and has said what its sandbox lacks. */
		assert_int_equal(serve(&w, 0, 100, NULL), 0);
		if (*w.shared->missing) {
			printf("# without %s\n", w.shared->missing);
			end(&w);
			tap_skip("the sandbox is not complete on this host");
		}
		/* At most the request in which it happened is lost, and it is not done again. */
		if (serve(&w, 0, 0, NULL) != forbidden[i].kills)
			fail_msg("%s: it was not the one request that got an error", forbidden[i].name);
		if (w.shared->workers != (forbidden[i].kills ? 2 : 1) ||
		    (forbidden[i].kills ? w.shared->result != CAME_NOT_BACK : w.shared->result <= 0) ||
		    log_has(&w, "that its sandbox forbids") != forbidden[i].kills)
			fail_msg("%s: %u workers, result %d", forbidden[i].name, w.shared->workers, w.shared->result);
		for (unsigned n = 0; n < 4; n++)
			assert_int_equal(serve(&w, n % ECHO_QUEUES, 16 * n + 128, NULL), 0);
		assert_int_equal(end(&w), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_does_not_notice_that_workers_die),
		cmocka_unit_test(a_worker_that_dies_at_a_step_is_replaced),
		cmocka_unit_test(another_config_space_is_told),
		cmocka_unit_test(a_worker_that_hangs_is_replaced),
		cmocka_unit_test(a_worker_that_eats_all_memory_is_replaced),
		cmocka_unit_test(a_death_during_a_reset_is_made_good),
		cmocka_unit_test(a_death_half_way_through_a_reset_is_made_good),
		cmocka_unit_test(what_was_said_of_status_and_memory_holds_after_a_death),
		cmocka_unit_test(a_death_during_any_message_is_made_good),
		cmocka_unit_test(a_ring_that_is_disabled_is_not_forgotten),
		cmocka_unit_test(a_ring_without_descriptors_goes_on_too),
		cmocka_unit_test(the_frontend_s_memory_makes_good_the_death_of_the_keeper),
		cmocka_unit_test(a_guest_that_broke_its_ring_gets_its_reset),
		cmocka_unit_test(a_worker_that_can_not_start_ends_the_program),
		cmocka_unit_test(a_first_worker_that_talks_nonsense_ends_the_program),
		cmocka_unit_test(a_later_worker_that_talks_nonsense_is_replaced),
		cmocka_unit_test(many_deaths_end_in_doing_with_less_then_in_giving_up),
		cmocka_unit_test(what_a_worker_may_not_do_ends_it_or_fails_and_the_guest_goes_on),
	};

	return cmocka_run_group_tests_name("keeper", tests, NULL, NULL);
}
