// SPDX-License-Identifier: MIT
/*
 * The keeper's spare worker: it takes over with all that the one before had written down, serves nobody before, and is
 * gone with the guest. The device counts in its journal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/vhost/keeper_parts.h"
#include "host/vhost/sandbox.h"
#include "host/vhost/server.h"
#include "host/vhost/worker.h"
#include "host/virtio/journal.h"
#include "tests/lib/echo.h"
#include "tests/lib/tap.h"
#include "tests/lib/vhost_peer.h"

struct shared {
	atomic_int worker; /* who serves */
	atomic_int spare;  /* who stands by */
	atomic_uint starts, spares; /* each worker is one of the two */
	atomic_bool degraded;
};

struct job {
	struct shared *shared;
	struct loop *loop;
	struct journal *journal;
	struct worker_pulse pulse;
	const struct worker_place *place;
	bool begun;
};

/* Count one more, and answer how many there are. */
static void count(struct echo *e, unsigned queue, struct chain *c)
{
	struct job *j = e->owner;
	struct journal_stats stats;
	struct journal_key key = {.type = 1};
	uint8_t n;

	(void)queue;
	chain_set_stage(c, CHAIN_EXECUTING);
	journal_get_stats(j->journal, &stats);
	key.id[0] = (uint32_t)stats.records;
	if (journal_put(j->journal, &key, "x", 1))
		abort();
	journal_commit(j->journal, 0);
	n = (uint8_t)(stats.records + 1);
	if (writer_copy(chain_writer(c), &n, 1))
		abort();
	chain_set_stage(c, CHAIN_APPLIED);
	chain_finish(c);
}

static void begun(void *owner)
{
	struct job *j = owner;

	if (j->begun)
		return;
	j->begun = true;
	worker_pulse_start(&j->pulse, j->place->memory, j->loop);
	if (journal_load(j->journal))
		abort();
	j->shared->worker = getpid();
	j->shared->degraded = j->place->degraded;
}

static void ended(void *owner)
{
	loop_stop(((struct job *)owner)->loop);
}

static void leave(int signal)
{
	(void)signal;
	_exit(1);
}

static int work(void *owner, const struct worker_place *place)
{
	struct job j = {.shared = owner, .place = place};
	struct vhost_server_config config = {
		.fd = place->link, .inflight = place->memory->rings, .begun = begun, .ended = ended, .owner = &j};
	struct guest_mem *mem;
	struct vhost_server *server;
	struct echo *e;

	signal(SIGUSR1, leave);
	if (loop_create("worker", &j.loop) || guest_mem_create(&mem) || echo_create(j.loop, mem, &e) ||
	    journal_map(place->journal, &j.journal))
		return 1;
	e->handle = count;
	e->owner = &j;
	config.device = &e->device;
	config.mem = mem;
	if (vhost_server_create(&config, &server))
		return 1;
	if (place->spare) {
		j.shared->spare = getpid();
		j.shared->spares++;
	} else {
		j.shared->starts++;
		begun(&j);
	}
	loop_run(j.loop);
	if (place->spare && !j.begun)
		abort(); /* it must not end in order */
	vhost_server_destroy(server);
	virtio_device_destroy(&e->device);
	journal_close(j.journal);
	guest_mem_destroy(mem);
	loop_destroy(j.loop);
	return 0;
}

struct world {
	struct shared *shared;
	struct vhost_peer *peer;
	pid_t keeper;
};

static void begin(struct world *w, unsigned max_deaths)
{
	const struct sandbox_config off = {.mode = SANDBOX_OFF, .profile = &sandbox_gpu};
	struct fake_guest_options o = {0};
	int pair[2];

	w->shared = mmap(NULL, sizeof(*w->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(w->shared, MAP_FAILED);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	w->keeper = fork();
	if (!w->keeper) {
		struct keeper_config k = {.name = "echo",
					  .fd = pair[1],
					  .control = -1,
					  .screen = -1,
					  .config_bytes = 8,
					  .journal_bytes = 64 << 10,
					  .max_deaths = max_deaths,
					  .hang_ns = 3000000000ull,
					  .spare = true,
					  .work = work,
					  .owner = w->shared};

		tap_begin_child();
		close(pair[0]);
		if (sandbox_create(&off, &k.sandbox))
			_exit(98);
		_exit(keeper_run(&k));
	}
	close(pair[1]);
	w->peer = vhost_peer_create_remote(&o, pair[0]);
	assert_true(vhost_peer_handshake(w->peer));
	assert_int_equal(fake_guest_start(w->peer->guest, &w->peer->device), 0);
}

static int end(struct world *w)
{
	int status, spare = w->shared->spare;

	vhost_peer_disconnect(w->peer);
	assert_int_equal(waitpid(w->keeper, &status, 0), w->keeper);
	assert_true(WIFEXITED(status));
	/* The keeper has waited for it. */
	assert_true(!spare || (kill(spare, 0) < 0 && errno == ESRCH));
	virtio_device_finish(&w->peer->device);
	vhost_peer_destroy(w->peer);
	munmap(w->shared, sizeof(*w->shared));
	return WEXITSTATUS(status);
}

static void wait_until(const atomic_uint *counter, unsigned least)
{
	for (unsigned i = 0; i < 6000 && *counter < least; i++)
		usleep(5000);
	assert_true(*counter >= least);
}

static void wait_for_end(pid_t pid)
{
	for (unsigned i = 0; i < 1000 && kill(pid, 0) == 0; i++)
		usleep(5000);
	assert_true(kill(pid, 0) < 0 && errno == ESRCH);
}

static uint8_t request(struct world *w)
{
	uint8_t n = 0;

	assert_int_equal(fake_guest_request(w->peer->guest, 0, "?", 1, &n, 1, NULL), 0);
	return n;
}

static void the_spare_one_takes_over(void **state)
{
	struct world w;

	(void)state;
	begin(&w, 20);
	for (unsigned i = 0; i < 4; i++) {
		int spare;

		assert_int_equal(request(&w), 3 * i + 1);
		wait_until(&w.shared->spares, i + 1);
		spare = w.shared->spare;
		assert_int_not_equal(spare, w.shared->worker);
		/* What is counted while it stands by, it finds. */
		assert_int_equal(request(&w), 3 * i + 2);
		kill(w.shared->worker, SIGKILL);
		assert_int_equal(request(&w), 3 * i + 3);
		assert_int_equal(w.shared->worker, spare);
	}
	assert_int_equal(end(&w), 0);
}

static void without_one_yet_another_is_started(void **state)
{
	struct world w;

	(void)state;
	begin(&w, 20);
	assert_int_equal(request(&w), 1);
	wait_until(&w.shared->spares, 1);
	/* Two in a row: only the first finds one. */
	kill(w.shared->worker, SIGKILL);
	assert_int_equal(request(&w), 2);
	kill(w.shared->worker, SIGKILL);
	assert_int_equal(request(&w), 3);
	assert_int_equal(end(&w), 0);
}

static void a_spare_one_that_dies_is_no_loss(void **state)
{
	struct world w;
	int worker;

	(void)state;
	begin(&w, 20);
	assert_int_equal(request(&w), 1);
	wait_until(&w.shared->spares, 1);
	worker = w.shared->worker;
	kill(w.shared->spare, SIGKILL);
	usleep(200000); /* until the keeper knows */
	assert_int_equal(request(&w), 2);
	assert_int_equal(w.shared->worker, worker);
	w.shared->spare = 0;
	kill(worker, SIGKILL);
	assert_int_equal(request(&w), 3);
	assert_int_equal(end(&w), 0);
}

/* As after a reset of the GPU, which hits all who have contexts there: it would end as well, and be another death. */
static void after_one_that_ended_by_itself_it_is_not_used(void **state)
{
	struct world w;
	int spare;

	(void)state;
	begin(&w, 20);
	assert_int_equal(request(&w), 1);
	wait_until(&w.shared->spares, 1);
	spare = w.shared->spare;
	kill(w.shared->worker, SIGUSR1);
	assert_int_equal(request(&w), 2);
	assert_int_not_equal(w.shared->worker, spare);
	wait_for_end(spare);
	/* Another spare one may be there already. */
	assert_int_equal(w.shared->starts, 2);
	assert_int_equal(end(&w), 0);
}

/* One that is to do less is another. */
static void after_too_many_deaths_it_is_not_used(void **state)
{
	struct world w;
	int spare;

	(void)state;
	begin(&w, 1);
	assert_int_equal(request(&w), 1);
	wait_until(&w.shared->spares, 1);
	spare = w.shared->spare;
	w.shared->spare = 0;
	kill(w.shared->worker, SIGKILL);
	assert_int_equal(request(&w), 2);
	assert_true(w.shared->degraded);
	assert_int_not_equal(w.shared->worker, spare);
	assert_int_equal(end(&w), 0);
}

/* Standing by is no hang, and it keeps no pulse for the one that works. */
static void a_hang_is_seen_with_one_standing_by(void **state)
{
	struct world w;
	int spare;

	(void)state;
	begin(&w, 20);
	assert_int_equal(request(&w), 1);
	wait_until(&w.shared->spares, 1);
	spare = w.shared->spare;
	kill(w.shared->worker, SIGSTOP);
	for (unsigned i = 0; i < 4000 && w.shared->worker != spare; i++)
		usleep(5000);
	assert_int_equal(w.shared->worker, spare);
	assert_int_equal(request(&w), 2);
	assert_int_equal(end(&w), 0);
}

_Noreturn static int stand_by(void *owner, const struct worker_place *place)
{
	(void)owner;
	(void)place;
	for (;;)
		pause();
}

/* One that is killed in the midst of a driver may take its time; meanwhile the frontend is answered. */
static void nobody_waits_for_the_end_of_one_that_is_dropped(void **state)
{
	const struct sandbox_config off = {.mode = SANDBOX_OFF, .profile = &sandbox_gpu};
	struct keeper_config config = {
		.name = "inside", .control = -1, .screen = -1, .max_deaths = 5, .spare = true, .work = stand_by};
	struct keeper *k = calloc(1, sizeof(*k));
	pid_t pid;
	int link, control;

	(void)state;
	assert_int_equal(sandbox_create(&off, &config.sandbox), 0);
	assert_int_equal(loop_create("keeper", &k->loop), 0);
	assert_int_equal(worker_memory_create(&k->memory), 0);
	k->config = &config;
	k->worker.loop = k->loop;
	k->journal = k->shared = k->control = -1;
	lease_init(&k->lease);
	k->ready = k->lease.was_enabled = true;
	keeper_look_for_spare(k);
	pid = k->spare.pid;
	assert_true(pid > 0);
	keeper_drop_spare(k);
	assert_int_equal(k->spare.pid, pid);
	/* It is as if there were none, but there is no other yet. */
	assert_false(keeper_take_spare(k, &link, &control));
	keeper_look_for_spare(k);
	keeper_drop_spare(k);
	for (unsigned i = 0; i < 100 && k->spare.pid; i++)
		loop_run_once(k->loop, 50);
	assert_int_equal(k->spare.pid, 0);
	wait_for_end(pid);
	/* The next one may be taken. */
	k->spare_due_ns = 0;
	keeper_look_for_spare(k);
	assert_int_not_equal(k->spare.pid, pid);
	assert_true(keeper_take_spare(k, &link, &control));
	close(link);
	worker_stop(&k->worker, 0);
	worker_memory_destroy(k->memory);
	loop_destroy(k->loop);
	sandbox_destroy(config.sandbox);
	free(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_spare_one_takes_over),
		cmocka_unit_test(without_one_yet_another_is_started),
		cmocka_unit_test(a_spare_one_that_dies_is_no_loss),
		cmocka_unit_test(after_one_that_ended_by_itself_it_is_not_used),
		cmocka_unit_test(after_too_many_deaths_it_is_not_used),
		cmocka_unit_test(a_hang_is_seen_with_one_standing_by),
		cmocka_unit_test(nobody_waits_for_the_end_of_one_that_is_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
