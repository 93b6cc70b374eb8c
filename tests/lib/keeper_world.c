// SPDX-License-Identifier: MIT
#include "tests/lib/keeper_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/base/step.h"
#include "host/vhost/keeper.h"
#include "host/vhost/sandbox.h"
#include "host/vhost/server.h"
#include "host/vhost/worker.h"
#include "tests/lib/echo.h"
#include "tests/lib/fake_guest.h"
#include "tests/lib/tap.h"
#include "tests/lib/vhost_peer.h"

#define LOST 'x'

/* Of those that are not to hang, however slow the machine is. */
#define NEVER_HANGS_NS 15000000000ull

/* ---- the worker ---- */

struct job {
	struct keeper_shared *shared;
	struct loop *loop;
	struct echo *echo;
	struct worker_pulse pulse;
};

static void put(struct chain *c, char answer)
{
	if (writer_copy(chain_writer(c), &answer, 1))
		abort();
	chain_set_stage(c, CHAIN_APPLIED);
}

static struct worker_memory *memory;

void keeper_world_pretend(void)
{
	for (;;) {
		atomic_store((_Atomic uint64_t *)&memory->pulse_ns, loop_now_ns());
		usleep(10000);
	}
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
		if (number == KEEPER_TAKEN_OVER && j->shared->workers == 1 && j->shared->taken_over)
			j->shared->taken_over(j->shared);
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

static void made_progress(void *owner)
{
	worker_pulse_beat(&((struct job *)owner)->pulse);
}

/* Longer than any answer may take of one that goes on. */
static void begin_slowly(struct echo *e)
{
	const struct job *j = e->owner;

	for (unsigned left = 12; left; left--) {
		usleep(j->shared->act * 100000);
		virtio_device_progress(&e->device);
	}
}

static int work(void *owner, const struct worker_place *place)
{
	struct keeper_shared *s = owner;
	struct job j = {.shared = s};
	struct guest_mem *mem;
	struct vhost_server *server;
	struct vhost_server_config config = {
		.fd = place->link,
		.in_band = s->mood == KEEPER_IN_BAND,
		.inflight = place->memory->rings,
		.progress = made_progress,
		.ended = ended,
		.owner = &j,
	};
	unsigned number = ++s->workers;

	memory = place->memory;
	s->degraded = place->degraded;
	if (s->mood == KEEPER_CAN_NOT_START)
		return 7;
	if (s->mood == KEEPER_TALKS_NONSENSE && number % 2) {
		for (unsigned i = 0; i < 100; i++) {
			if (send(place->link, "nonsense nonsense nonsense", 26, MSG_NOSIGNAL) < 0)
				break;
		}
		pause();
	}
	if (s->mood == KEEPER_DIES_AT_STEPS && number == 1)
		step_die_at(s->die_at);
	if (loop_create("worker", &j.loop) || guest_mem_create(&mem) || echo_create(j.loop, mem, &j.echo))
		return 1;
	if (s->mood == KEEPER_COUNTS_IN_CONFIG)
		j.echo->config[1] = (uint8_t)number;
	if (s->mood == KEEPER_BEGINS_SLOWLY && number == 2)
		j.echo->start = begin_slowly;
	j.echo->handle = handle;
	j.echo->owner = &j;
	config.device = &j.echo->device;
	config.mem = mem;
	if (vhost_server_create(&config, &server))
		return 1;
	worker_pulse_start(&j.pulse, place->memory, j.loop);
	if (sandbox_lock(place->sandbox))
		return 1;
	snprintf(s->missing, sizeof(s->missing), "%s", sandbox_missing(place->sandbox));
	s->worker = getpid();
	s->starts++;
	/* Ready once it has answered; the tests that want this kill it then. */
	if (s->mood == KEEPER_DIES_WHEN_READY && number > 1) {
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
static int start_keeper(struct keeper_world *w)
{
	const enum keeper_mood mood = w->shared->mood;
	const struct sandbox_config sandbox = {.mode = mood == KEEPER_IN_SANDBOX ? SANDBOX_AUTO : SANDBOX_OFF,
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
			.in_band = mood == KEEPER_IN_BAND,
			.config_bytes = 8,
			.journal_bytes = 64 << 10,
			.max_deaths = 5,
			.hang_ns = mood == KEEPER_DIES_AT_STEPS ? NEVER_HANGS_NS : KEEPER_HANG_NS,
			.work = work,
			.owner = w->shared,
		};

		tap_begin_child();
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

static void share(struct keeper_world *w, enum keeper_mood mood)
{
	*w = (struct keeper_world){0};
	w->shared = mmap(NULL, sizeof(*w->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(w->shared, MAP_FAILED);
	w->shared->mood = mood;
	w->log = tmpfile();
	assert_non_null(w->log);
}

void keeper_world_begin(struct keeper_world *w, const struct fake_guest_options *options, enum keeper_mood mood)
{
	share(w, mood);
	w->peer = vhost_peer_create_remote(options, start_keeper(w));
}

void keeper_world_begin_dying(struct keeper_world *w, const struct fake_guest_options *options, unsigned step,
			      unsigned number)
{
	share(w, KEEPER_DIES_AT_STEPS);
	/* The worker reads it when it starts. */
	snprintf(w->shared->die_at, sizeof(w->shared->die_at), "%u:%u", step, number);
	w->peer = vhost_peer_create_remote(options, start_keeper(w));
}

void keeper_world_die(struct keeper_world *w)
{
	pid_t pid = w->shared->worker;

	if (pid > 0)
		kill(pid, SIGKILL);
}

void keeper_world_stop(struct keeper_world *w)
{
	kill(w->shared->worker, SIGSTOP);
}

static int wait_for_keeper(struct keeper_world *w)
{
	int status;

	assert_int_equal(waitpid(w->keeper, &status, 0), w->keeper);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void clean_up(struct keeper_world *w)
{
	virtio_device_finish(&w->peer->device);
	vhost_peer_destroy(w->peer);
	munmap(w->shared, sizeof(*w->shared));
	fclose(w->log);
}

int keeper_world_end(struct keeper_world *w)
{
	int status;

	vhost_peer_disconnect(w->peer);
	status = wait_for_keeper(w);
	clean_up(w);
	return status;
}

int keeper_world_end_by_itself(struct keeper_world *w)
{
	int status = wait_for_keeper(w);

	vhost_peer_disconnect(w->peer);
	clean_up(w);
	return status;
}

void keeper_world_lose_all(struct keeper_world *w)
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

	for (unsigned i = 0; i < KEEPER_REQUESTS; i++) {
		if (!requests[i]->done)
			return false;
	}
	return true;
}

unsigned keeper_world_serve(struct keeper_world *w, unsigned queue, unsigned first,
			    void (*disturb)(struct keeper_world *w))
{
	struct fake_request *requests[KEEPER_REQUESTS];
	/* With the keeper goes what says how far a request got. */
	const unsigned most = disturb == keeper_world_lose_all ? 2 : 1;
	unsigned lost = 0;

	for (unsigned i = 0; i < KEEPER_REQUESTS; i++) {
		const uint8_t number = (uint8_t)(first + i);

		w->shared->executed[number] = 0;
		requests[i] = fake_guest_add(w->peer->guest, queue, &number, 1, 4);
		fake_guest_kick(w->peer->guest, queue);
		if (disturb && i == KEEPER_REQUESTS / 2)
			disturb(w);
	}
	assert_true(fake_guest_run_until(w->peer->guest, all_done, requests, 30000));
	for (unsigned i = 0; i < KEEPER_REQUESTS; i++) {
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

void keeper_world_start(struct keeper_world *w)
{
	assert_true(vhost_peer_handshake(w->peer));
	assert_int_equal(fake_guest_start(w->peer->guest, &w->peer->device), 0);
}

bool keeper_world_log_has(struct keeper_world *w, const char *what)
{
	char text[8192];
	ssize_t n = pread(fileno(w->log), text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return strstr(text, what) != NULL;
}
