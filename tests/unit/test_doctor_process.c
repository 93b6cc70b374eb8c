// SPDX-License-Identifier: MIT
/* mullion doctor --pid: what it says of a worker in its sandbox, of one outside, and of what can't be looked at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/vhost/sandbox.h"
#include "tests/lib/elsewhere.h"
#include "tests/lib/tap.h"
#include "vmm/doctor.h"

#define MAX_LINES 64u

static struct line {
	char verdict[8], name[32], text[1024];
} lines[MAX_LINES];
static unsigned line_count;

static void take(void *owner, const char *verdict, const char *name, const char *text, const char *cure)
{
	struct line *l = &lines[line_count];

	(void)owner;
	assert_true(line_count < MAX_LINES);
	/* What is wrong comes with a cure. */
	if (strcmp(verdict, "ok") != 0)
		assert_true(cure && *cure);
	for (const char *c = text; *c; c++)
		assert_in_range(*c, 0x20, 0x7e);
	snprintf(l->verdict, sizeof(l->verdict), "%s", verdict);
	snprintf(l->name, sizeof(l->name), "%s", name);
	snprintf(l->text, sizeof(l->text), "%s", text);
	line_count++;
}

static bool look(long pid)
{
	line_count = 0;
	return doctor_process(pid, take, NULL);
}

/* The only line of that name. */
static const struct line *line(const char *name)
{
	const struct line *found = NULL;

	for (unsigned i = 0; i < line_count; i++) {
		if (!strcmp(lines[i].name, name)) {
			assert_null(found);
			found = &lines[i];
		}
	}
	if (!found)
		fail_msg("no line is named %s", name);
	return found;
}

static void assert_line(const char *name, const char *verdict, const char *part)
{
	assert_string_equal(line(name)->verdict, verdict);
	if (!strstr(line(name)->text, part))
		fail_msg("%s: \"%s\" has no \"%s\"", name, line(name)->text, part);
}

/* ---- a worker ---- */

/* Tells what its sandbox lacks, then waits. */
static int wait_inside(struct sandbox *s, void *arg)
{
	const int word = *(const int *)arg;
	int keep[] = {word};
	const char *missing;

	if (sandbox_prepare(s, keep, 1) || sandbox_lock(s))
		return 1;
	missing = sandbox_missing(s);
	if (send(word, missing, strlen(missing) + 1, MSG_NOSIGNAL) < 0)
		return 2;
	poll(NULL, 0, -1);
	return 3;
}

static pid_t start_worker(enum sandbox_mode mode, char missing[512])
{
	const struct sandbox_config config = {.mode = mode, .profile = &sandbox_gpu};
	struct sandbox_child child;
	struct sandbox *s;
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(sandbox_create(&config, &s), 0);
	assert_int_equal(sandbox_spawn(s, wait_inside, &ends[1], &child), 0);
	close(ends[1]);
	assert_true(recv(ends[0], missing, 512, 0) > 0);
	close(ends[0]);
	close(child.pidfd);
	sandbox_destroy(s);
	return child.pid;
}

static void stop_worker(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(elsewhere_wait(pid), -SIGKILL);
}

static void a_worker_in_its_sandbox_is_said_to_be(void **state)
{
	char missing[512];
	pid_t pid = start_worker(SANDBOX_AUTO, missing);

	(void)state;
	assert_true(look(pid) || *missing);
	if (*missing) {
		stop_worker(pid);
		printf("# without %s\n", missing);
		tap_skip("the sandbox is not complete on this host");
	}
	assert_line("seccomp", "ok", "filter");
	assert_line("no new privileges", "ok", "set");
	assert_line("capabilities", "ok", "none");
	assert_line("namespaces", "ok", " user mnt pid net ipc uts");
	assert_line("files", "ok", "read-only tmpfs");
	assert_line("limits", "ok", "core 0");
	assert_line("descriptors", "ok", "1 socket");
	assert_line("descriptors", "ok", "/dev/null");
	assert_line("process", "ok", "child of");
	/* It is not root, whoever runs this. */
	assert_line("user", "ok", "");
	stop_worker(pid);
}

static void a_parent_is_looked_at_for_its_children(void **state)
{
	char missing[512], word[32];
	pid_t first = start_worker(SANDBOX_AUTO, missing), second = start_worker(SANDBOX_OFF, missing);
	unsigned processes = 0, filters = 0, none = 0;

	(void)state;
	/* One of them is outside. */
	assert_false(look(getpid()));
	assert_string_equal(lines[0].name, "process");
	snprintf(word, sizeof(word), " %d", (int)first);
	assert_non_null(strstr(lines[0].text, word));
	snprintf(word, sizeof(word), " %d", (int)second);
	assert_non_null(strstr(lines[0].text, word));
	for (unsigned i = 0; i < line_count; i++) {
		processes += !strcmp(lines[i].name, "process");
		filters += !strcmp(lines[i].name, "seccomp") && !strcmp(lines[i].verdict, "ok");
		none += !strcmp(lines[i].name, "seccomp") && !strcmp(lines[i].verdict, "fail");
	}
	assert_int_equal(processes, 3);
	assert_int_equal(filters + none, 2);
	assert_true(none >= 1);
	stop_worker(first);
	stop_worker(second);
}

static void a_process_outside_is_not_confined(void **state)
{
	char missing[512];
	pid_t pid = start_worker(SANDBOX_OFF, missing);

	(void)state;
	assert_false(look(pid));
	assert_line("seccomp", "fail", "no filter");
	assert_line("no new privileges", "fail", "not set");
	assert_line("namespaces", "warn", "none");
	assert_line("files", "warn", "the host");
	assert_line("user", geteuid() ? "ok" : "warn", geteuid() ? "" : "root");
	stop_worker(pid);
}

/* In a process with a filter that lets all through, as units of systemd have some. */
static int look_below_a_filter(void)
{
	struct sock_filter all[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	const struct sock_fprog program = {1, all};
	char missing[512];
	int wrong = 0;
	pid_t pid;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		return 100;
	pid = start_worker(SANDBOX_OFF, missing);
	look(pid);
	if (strcmp(line("seccomp")->verdict, "fail") != 0 ||
	    !strstr(line("seccomp")->text, "no filter but its parent's"))
		wrong = 1;
	stop_worker(pid);
	pid = start_worker(SANDBOX_AUTO, missing);
	look(pid);
	if (strcmp(line("seccomp")->verdict, "ok") != 0 ||
	    !strstr(line("seccomp")->text, "filter (1 besides its parent's)"))
		wrong |= strstr(missing, "seccomp") ? 0 : 2;
	stop_worker(pid);
	return wrong;
}

static void a_filter_of_the_parent_is_not_the_worker_s(void **state)
{
	pid_t pid;
	int status;

	(void)state;
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		tap_begin_child();
		_exit(look_below_a_filter());
	}
	status = elsewhere_wait(pid);
	if (status == 100)
		tap_skip("no seccomp filters here");
	assert_int_equal(status, 0);
}

/* ---- names that a process chooses, and what it holds ---- */

static int named_badly(const char *path)
{
	int fd;

	fd = open("/proc/self/comm", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "\x1b[31mred\xff", 9) != 9 || open(path, O_RDWR) < 0)
		return 1;
	return 0;
}

static void names_are_shown_without_their_tricks(void **state)
{
	static const char ready = 'r';
	char path[] = "/tmp/mullion-doctor-XXXXXX", bad[64], word;
	int ends[2], fd = mkstemp(path);
	pid_t pid;

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	snprintf(bad, sizeof(bad), "%s\x1b[2J", path);
	assert_int_equal(rename(path, bad), 0);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		if (named_badly(bad) || write(ends[1], &ready, 1) != 1)
			_exit(1);
		pause();
		_exit(2);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &word, 1), 1);
	close(ends[0]);
	/* Its assertion is in take(). */
	look(pid);
	assert_line("process", "ok", "?[31mred?");
	/* And a file that it could write into is told. */
	assert_line("descriptors", "warn", path);
	stop_worker(pid);
	unlink(bad);
}

/* ---- what can't be looked at ---- */

static void a_process_that_is_not_there_is_one_line(void **state)
{
	siginfo_t over;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(0);
	/* Neither one that is over, nor one that is gone. */
	assert_int_equal(waitid(P_PID, (id_t)pid, &over, WEXITED | WNOWAIT), 0);
	assert_false(look(pid));
	assert_int_equal(line_count, 1);
	assert_line("process", "fail", "there is no process");
	assert_int_equal(elsewhere_wait(pid), 0);
	assert_false(look(pid));
	assert_int_equal(line_count, 1);
	assert_line("process", "fail", "there is no process");
}

static int look_at_root(void)
{
	bool confined = look(1);

	return confined || line_count != 1 || !strstr(lines[0].text, "no permission") ? 1 : 0;
}

static void a_process_of_another_user_is_one_line(void **state)
{
	(void)state;
	if (geteuid() == 0) {
		assert_int_equal(elsewhere_as_nobody(look_at_root), 0);
	} else {
		assert_false(look(1));
		assert_int_equal(line_count, 1);
		assert_line("process", "fail", "no permission");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_worker_in_its_sandbox_is_said_to_be),
		cmocka_unit_test(a_parent_is_looked_at_for_its_children),
		cmocka_unit_test(a_process_outside_is_not_confined),
		cmocka_unit_test(a_filter_of_the_parent_is_not_the_worker_s),
		cmocka_unit_test(names_are_shown_without_their_tricks),
		cmocka_unit_test(a_process_that_is_not_there_is_one_line),
		cmocka_unit_test(a_process_of_another_user_is_one_line),
	};

	return cmocka_run_group_tests_name("doctor_process", tests, NULL, NULL);
}
