// SPDX-License-Identifier: MIT
#include "tests/lib/gpu3d_deaths.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/virtio/journal.h"
#include "tests/lib/gpu3d.h"
#include "tests/lib/journal_open.h"
#include "tests/lib/tap.h"

#define GUEST_BYTES (64u << 20)
#define USED_BYTES (16u << 20) /* of it, by the first process at most */
#define NO_3D 77

struct gpu3d_deaths gpu3d_deaths;

void gpu3d_require(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "test: %s\n", what);
	_exit(1);
}

void gpu3d_process(struct gpu3d **t, bool first, bool with_journal, void (*work)(void))
{
	int log = memfd_create("log", MFD_CLOEXEC), status;
	pid_t pid;

	assert_true(log >= 0);
	gpu3d_deaths.last->ended = false;
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct journal *j = NULL;
		const char *why;
		char at[16];

		tap_begin_child();
		dup2(log, STDERR_FILENO);
		snprintf(at, sizeof(at), "%u:1", gpu3d_deaths.dies_at);
		step_die_at(at);
		gpu3d_require(!with_journal || journal_open(gpu3d_deaths.journal_fd, &j) == 0, "opening the journal");
		if (gpu3d_create_on(t, gpu3d_deaths.guest, "virgl", j, &why) < 0)
			_exit(NO_3D);
		if (first)
			gpu3d_boot(*t);
		else
			gpu3d_take_over(*t, USED_BYTES);
		work();
		gpu3d_deaths.last->ended = true;
		kill(getpid(), SIGKILL);
	}
	waitpid(pid, &status, 0);
	memset(gpu3d_deaths.last->log, 0, sizeof(gpu3d_deaths.last->log));
	assert_true(pread(log, gpu3d_deaths.last->log, sizeof(gpu3d_deaths.last->log) - 1, 0) >= 0);
	close(log);
	if (WIFEXITED(status) && WEXITSTATUS(status) == NO_3D) {
		print_message("no 3D here\n");
		skip();
	}
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		fail_msg("the process ended by itself (0x%x): %s", status, gpu3d_deaths.last->log);
}

int gpu3d_deaths_setup(void **state)
{
	struct gpu3d_deaths *d = &gpu3d_deaths;

	(void)state;
	d->last = mmap(NULL, sizeof(*d->last), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (d->last == MAP_FAILED)
		return -1;
	d->dies_at = STEP_COUNT;
	d->guest = fake_guest_create(&(struct fake_guest_options){.memory_bytes = GUEST_BYTES});
	d->journal_fd = journal_memfd(8u << 20);
	return d->journal_fd < 0 ? -1 : 0;
}

int gpu3d_deaths_teardown(void **state)
{
	(void)state;
	close(gpu3d_deaths.journal_fd);
	fake_guest_destroy(gpu3d_deaths.guest);
	munmap(gpu3d_deaths.last, sizeof(*gpu3d_deaths.last));
	return 0;
}
