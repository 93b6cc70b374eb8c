// SPDX-License-Identifier: MIT
/*
 * Memory: none is left for a worker; a worker that follows one that died hears of the guest's from the keeper; and the
 * frontend's, in which requests outlive the keeper.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "protocol/vhost_user.h"
#include "tests/device/rings.h"
#include "tests/lib/echo.h"
#include "tests/lib/fake_guest.h"
#include "tests/lib/keeper_world.h"
#include "tests/lib/tap.h"
#include "tests/lib/vhost_peer.h"

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

/* Until the kernel puts an end to it. */
static void eat_memory(struct keeper_shared *s)
{
	const size_t bytes = 64u << 20;
	unsigned char *at;

	(void)s;
	while ((at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) != MAP_FAILED)
		memset(at, 0x5a, bytes);
}

/* By the kernel, as on a machine that has no memory left. */
static void a_worker_that_eats_all_memory_is_replaced(void **state)
{
	struct memory_group g;
	char pid[16];
	struct keeper_world w;

	(void)state;
	if (!make_memory_group(&g))
		tap_skip("no control group for memory can be made here (needs root)");
	keeper_world_begin(&w, &rings[1], KEEPER_WELL);
	w.shared->taken_over = eat_memory;
	keeper_world_start(&w);
	assert_int_equal(keeper_world_serve(&w, 0, 100, NULL), 0);
	snprintf(pid, sizeof(pid), "%d", (int)w.shared->worker);
	assert_true(write_file(g.path, "cgroup.procs", pid));
	/* The request in which it happened is lost, and no other. */
	assert_int_equal(keeper_world_serve(&w, 0, 0, NULL), 1);
	assert_int_equal(w.shared->workers, 2);
	assert_int_equal(keeper_world_serve(&w, 1, 20, NULL), 0);
	assert_int_equal(keeper_world_end(&w), 0);
	rmdir(g.path);
}

/* ---- what others hold ---- */

static uint64_t get_status(struct keeper_world *w)
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
	struct keeper_world w;
	unsigned slots;
	int fd = memfd_create("more", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(ftruncate(fd, 65536), 0);
	keeper_world_begin(&w, &rings[1], KEEPER_WELL);
	w.peer->say_status = true;
	keeper_world_start(&w);
	assert_int_equal(get_status(&w), 15);
	assert_true(vhost_peer_call(w.peer, VHOST_USER_GET_MAX_MEM_SLOTS, NULL, 0, &a));
	slots = (unsigned)a.payload.u64;
	assert_in_range(slots, 32, 509);
	/* All that fit, added while rings run; two are the guest's own. */
	for (unsigned i = 2; i < slots; i++) {
		assert_int_equal(vhost_peer_tell(w.peer, VHOST_USER_ADD_MEM_REG, &more, sizeof(more), &fd, 1), 0);
		if (i % 50 == 0)
			assert_true(keeper_world_serve(&w, 0, 0, keeper_world_die) <= 1);
		more.region.gpa += 65536;
		more.region.user += 65536;
	}
	assert_int_equal(vhost_peer_tell(w.peer, VHOST_USER_ADD_MEM_REG, &more, sizeof(more), &fd, 1), ENOSPC);
	assert_int_not_equal(vhost_peer_tell(w.peer, VHOST_USER_REM_MEM_REG, &more, sizeof(more), NULL, 0), 0);
	keeper_world_die(&w);
	assert_int_equal(get_status(&w), 15);
	assert_int_equal(keeper_world_serve(&w, 1, 20, NULL), 0);
	/* Each of them is known to this one, once. */
	for (unsigned i = 2; i < slots; i++) {
		more.region.gpa -= 65536;
		more.region.user -= 65536;
		assert_int_equal(vhost_peer_tell(w.peer, VHOST_USER_REM_MEM_REG, &more, sizeof(more), NULL, 0), 0);
		if (i % 50 == 0)
			keeper_world_die(&w);
	}
	assert_int_not_equal(vhost_peer_tell(w.peer, VHOST_USER_REM_MEM_REG, &more, sizeof(more), NULL, 0), 0);
	assert_int_equal(keeper_world_serve(&w, 2, 40, NULL), 0);
	close(fd);
	assert_int_equal(keeper_world_end(&w), 0);
}

/* It may be the frontend's mistake or the guest's; it is not the next worker's, nor the end of the program. */
static void a_ring_whose_memory_went_ends_no_worker(void **state)
{
	const struct vhost_user_mem_table nothing = {0};
	struct keeper_world w;

	(void)state;
	keeper_world_begin(&w, &rings[1], KEEPER_WELL);
	w.peer->say_status = true;
	keeper_world_start(&w);
	assert_int_equal(keeper_world_serve(&w, 0, 0, NULL), 0);
	assert_int_equal(vhost_peer_tell(w.peer, VHOST_USER_SET_MEM_TABLE, &nothing, 8, NULL, 0), 0);
	keeper_world_die(&w);
	assert_int_equal(get_status(&w), 15);
	assert_int_equal(w.shared->workers, 2);
	assert_true(keeper_world_log_has(&w, "a ring can't go on"));
	assert_int_equal(keeper_world_end(&w), 0);
}

static void the_frontend_s_memory_makes_good_the_death_of_the_keeper(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < RING_KINDS; kind++) {
		struct keeper_world w;

		keeper_world_begin(&w, &rings[kind], KEEPER_WELL);
		assert_true(vhost_peer_handshake(w.peer));
		assert_true(vhost_peer_get_inflight(w.peer, 256));
		assert_int_equal(fake_guest_start(w.peer->guest, &w.peer->device), 0);
		for (unsigned i = 0; i < 3; i++) {
			assert_true(keeper_world_serve(&w, 0, 20 * i, keeper_world_die) <= 1);
			assert_int_equal(keeper_world_serve(&w, 0, 20 * i + 8, i ? keeper_world_lose_all : NULL), 0);
			assert_int_equal(keeper_world_serve(&w, 1, 20 * i + 100, NULL), 0);
		}
		assert_int_equal(keeper_world_end(&w), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_worker_that_eats_all_memory_is_replaced),
		cmocka_unit_test(what_was_said_of_status_and_memory_holds_after_a_death),
		cmocka_unit_test(a_ring_whose_memory_went_ends_no_worker),
		cmocka_unit_test(the_frontend_s_memory_makes_good_the_death_of_the_keeper),
	};

	return cmocka_run_group_tests_name("keeper memory", tests, NULL, NULL);
}
