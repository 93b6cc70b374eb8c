// SPDX-License-Identifier: MIT
/*
 * The sandbox: every case runs in a worker that sandbox_spawn() starts, as this user, as nobody, and where user
 * namespaces are off. What is forbidden must end the worker with SIGSYS or give an error; what it needs must work.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/lib/elsewhere.h"
#include "tests/lib/sandbox_plan.h"
#include "tests/lib/tap.h"

#define SECRET "/etc/passwd"

#define KILLED (-SIGSYS)

/* Two words of the parent: the first a worker may use. */
static int kept, not_kept;
static char directory[] = "/tmp/mullion-sandbox-XXXXXX";

static int run(int (*before)(struct sandbox *s), int (*act)(struct sandbox *s))
{
	const struct sandbox_plan p = {.config = {.profile = &sandbox_gpu}, .keep = kept, .before = before, .act = act};

	return sandbox_plan_run(&p);
}

/* ---- forbidden ---- */

/* A call that must not come back. */
static int act_socket(struct sandbox *s)
{
	(void)s;
	return socket(AF_UNIX, SOCK_STREAM, 0) < 0 ? 1 : 2;
}

static int act_connect(struct sandbox *s)
{
	const struct sockaddr name = {.sa_family = AF_UNIX};

	(void)s;
	return connect(kept, &name, sizeof(name)) < 0 ? 1 : 2;
}

static int act_execve(struct sandbox *s)
{
	char *const argv[] = {(char *)(uintptr_t) "true", NULL};

	(void)s;
	execve("/usr/bin/true", argv, argv + 1);
	return 1;
}

static int act_ptrace(struct sandbox *s)
{
	(void)s;
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 ? 1 : 2;
}

static int act_kill(struct sandbox *s)
{
	(void)s;
	return kill(getppid(), 0) < 0 ? 1 : 2;
}

static int act_signal_other(struct sandbox *s)
{
	(void)s;
	return syscall(SYS_tgkill, getppid(), getppid(), 0) < 0 ? 1 : 2;
}

static int act_fork(struct sandbox *s)
{
	(void)s;
	return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) == 0 ? 1 : 2;
}

static int act_unshare(struct sandbox *s)
{
	(void)s;
	return unshare(CLONE_NEWUSER) ? 1 : 2;
}

static int act_foreign_ioctl(struct sandbox *s)
{
	(void)s;
	/* Puts a character into a terminal's input. */
	return ioctl(kept, TIOCSTI, "x") < 0 ? 1 : 2;
}

static int act_own_signals(struct sandbox *s)
{
	(void)s;
	return fcntl(kept, F_SETOWN, 1) < 0 ? 1 : 2;
}

static int act_io_uring(struct sandbox *s)
{
	(void)s;
	return syscall(SYS_io_uring_setup, 1, NULL) < 0 ? 1 : 2;
}

static int act_odd_mapping(struct sandbox *s)
{
	(void)s;
	return mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0) == MAP_FAILED ? 1 : 2;
}

static int act_raise_limit(struct sandbox *s)
{
	const struct rlimit one = {1, 1};

	(void)s;
	return setrlimit(RLIMIT_NOFILE, &one) ? 1 : 2;
}

static void *forbidden_in_thread(void *arg)
{
	(void)arg;
	return (void *)(uintptr_t)socket(AF_UNIX, SOCK_STREAM, 0);
}

static pthread_t early;
static pthread_barrier_t barrier;

static void *early_thread(void *arg)
{
	pthread_barrier_wait(&barrier);
	return forbidden_in_thread(arg);
}

/* One that was there before the lock. */
static int start_early(struct sandbox *s)
{
	(void)s;
	pthread_barrier_init(&barrier, NULL, 2);
	return pthread_create(&early, NULL, early_thread, NULL) ? 3 : GOOD;
}

static int act_let_early_go(struct sandbox *s)
{
	(void)s;
	pthread_barrier_wait(&barrier);
	pthread_join(early, NULL);
	return 1;
}

static const struct {
	const char *name;
	int (*before)(struct sandbox *s);
	int (*act)(struct sandbox *s);
} forbidden[] = {
	{"socket", NULL, act_socket},
	{"connect", NULL, act_connect},
	{"execve", NULL, act_execve},
	{"ptrace", NULL, act_ptrace},
	{"kill of the parent", NULL, act_kill},
	{"tgkill of the parent", NULL, act_signal_other},
	{"fork", NULL, act_fork},
	{"unshare", NULL, act_unshare},
	{"TIOCSTI", NULL, act_foreign_ioctl},
	{"F_SETOWN", NULL, act_own_signals},
	{"io_uring_setup", NULL, act_io_uring},
	{"mmap with MAP_LOCKED", NULL, act_odd_mapping},
	{"setrlimit", NULL, act_raise_limit},
	{"socket in a thread from before the lock", start_early, act_let_early_go},
};

static void forbidden_calls_kill(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
		int status = run(forbidden[i].before, forbidden[i].act);

		if (status != KILLED)
			print_message("%s: the worker ended with %d, not by SIGSYS\n", forbidden[i].name, status);
		assert_int_equal(status, KILLED);
	}
}

/* ---- ioctls ---- */

/* Types: bits 8 to 15 of the number. */
static unsigned ioctl_type;

/* None of a kernel's, so that whatever comes back is an error. */
static int act_ioctl(struct sandbox *s)
{
	(void)s;
	return ioctl(kept, ioctl_type << 8 | 0xeeul, 0) < 0 ? GOOD : 1;
}

static const struct {
	const char *driver;
	unsigned char type;
	bool gpu, video;
} ioctls[] = {
	{"drm", 'd', true, true},	    {"dma-buf", 'b', true, true},	   {"sync_file", '>', true, true},
	{"udmabuf", 'u', true, true},	    {"nvidia", 'F', true, true},	   {"nvidia-modeset", 'm', true, false},
	{"V4L2", 'V', false, true},	    {"media", '|', false, true},	   {"terminals", 'T', false, false},
	{"evdev", 'E', false, false},	    {"KVM", 0xae, false, false},	   {"vhost", 0xaf, false, false},
	{"sockets", 0x89, false, false},    {"block devices", 0x12, false, false}, {"file systems", 'f', false, false},
	{"namespaces", 0xb7, false, false}, {"seccomp", '!', false, false},	   {"fuse", 0xe5, false, false},
};

static void ioctls_are_those_of_the_listed_drivers(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * sizeof(ioctls) / sizeof(ioctls[0]); i++) {
		const bool video = i % 2, listed = video ? ioctls[i / 2].video : ioctls[i / 2].gpu;
		const struct sandbox_plan p = {
			.config = {.profile = video ? &sandbox_video : &sandbox_gpu}, .keep = kept, .act = act_ioctl};
		int status;

		ioctl_type = ioctls[i / 2].type;
		status = sandbox_plan_run(&p);
		if (status != (listed ? GOOD : KILLED))
			fail_msg("%s of %s: %d", ioctls[i / 2].driver, video ? "a codec's worker" : "a GPU's", status);
	}
}

/* ---- files ---- */

static int act_read_secret(struct sandbox *s)
{
	(void)s;
	return open(SECRET, O_RDONLY) < 0 ? GOOD : 1;
}

/* Before the lock, too: a driver has no business there. */
static int before_lock_secret(struct sandbox *s)
{
	return act_read_secret(s);
}

static void files_of_the_host_are_out_of_reach(void **state)
{
	(void)state;
	assert_int_equal(run(before_lock_secret, act_read_secret), GOOD);
}

static int act_write(struct sandbox *s)
{
	(void)s;
	if (open("/dev/null", O_RDWR) >= 0 || errno != EACCES)
		return 1;
	if (open("/usr/lib/mullion-test", O_WRONLY | O_CREAT, 0600) >= 0 || errno != EACCES)
		return 2;
	return mkdir("/usr/lib/mullion-test", 0700) == 0 ? 3 : GOOD;
}

static void nothing_is_opened_for_writing(void **state)
{
	(void)state;
	assert_int_equal(run(NULL, act_write), GOOD);
}

/* Codecs open the device for each stream. */
static int act_reopen(struct sandbox *s)
{
	int fd = open("/dev/null", O_RDWR);

	(void)s;
	if (fd < 0 || write(fd, "x", 1) != 1)
		return 1;
	if (open("/dev/null", O_WRONLY) >= 0 || errno != EACCES)
		return 2;
	if (open("/etc/ld.so.cache", O_RDWR) >= 0 || open("/etc/ld.so.cache", O_RDONLY) < 0)
		return 3;
	if (open(SECRET, O_RDWR) >= 0 || open("/tmp", O_RDWR | __O_TMPFILE, 0600) >= 0)
		return 4;
	return open("/usr/lib/mullion-test", O_RDWR | O_CREAT, 0600) >= 0 || errno != EACCES ? 5 : GOOD;
}

/* Where their root is the host's they see names of its devices, to find their own, and nothing of the devices. */
static int before_reopen(struct sandbox *s)
{
	(void)s;
	if (open("/sys/class/net/lo/", O_RDONLY) >= 0 || open("/sys/class/net/lo/mtu", O_RDONLY) >= 0)
		return 6;
	return open("/sys/class", O_RDONLY) < 0 && errno != ENOENT ? 7 : GOOD;
}

static const struct sandbox_plan reopen = {
	.config = {.profile = &sandbox_video}, .before = before_reopen, .act = act_reopen};

static void codecs_write_to_devices_and_to_nothing_else(void **state)
{
	(void)state;
	assert_int_equal(sandbox_plan_run(&reopen), GOOD);
}

static int before_write(struct sandbox *s)
{
	char path[128];

	(void)s;
	snprintf(path, sizeof(path), "%s/frame", directory);
	if (open("/usr/lib/mullion-test", O_WRONLY | O_CREAT, 0600) >= 0)
		return 1;
	return open(path, O_WRONLY | O_CREAT, 0600) < 0 ? 2 : GOOD;
}

static int act_write_there(struct sandbox *s)
{
	char path[128];
	int fd;

	(void)s;
	snprintf(path, sizeof(path), "%s/frame", directory);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || write(fd, "x", 1) != 1 || open("/tmp/mullion-test", O_WRONLY | O_CREAT, 0600) >= 0)
		return 1;
	if (open("/usr/lib/mullion-test", O_WRONLY | O_CREAT, 0600) >= 0)
		return 2;
	return unlink(path) ? 3 : GOOD;
}

static void the_directory_given_is_written_and_no_other(void **state)
{
	const struct sandbox_plan p = {
		.config = {.profile = &sandbox_gpu, .writable = directory},
		.before = before_write,
		.act = act_write_there,
	};

	(void)state;
	assert_int_equal(sandbox_plan_run(&p), GOOD);
}

static int act_shader_cache(struct sandbox *s)
{
	static char block[65536];
	const char *where = getenv("MESA_SHADER_CACHE_DIR");
	char path[128];
	size_t written = 0;
	ssize_t n;
	int fd;

	/* Without a tree of its own there is no place for one. */
	if (strstr(sandbox_missing(s), "file tree"))
		return strcmp(getenv("MESA_SHADER_CACHE_DISABLE"), "true") == 0 ? GOOD : 1;
	snprintf(path, sizeof(path), "%s/x", where ? where : "");
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	if (fd < 0)
		return 2;
	while (written < 4u << 20 && (n = write(fd, block, sizeof(block))) > 0)
		written += (size_t)n;
	/* It is full at 1 MiB. */
	return written <= 1u << 20 && written >= 1u << 19 && errno == ENOSPC ? GOOD : 3;
}

static void shader_cache_has_an_end(void **state)
{
	const struct sandbox_plan p = {
		.config = {.profile = &sandbox_gpu, .shader_cache_bytes = 1 << 20},
		.act = act_shader_cache,
	};

	(void)state;
	assert_int_equal(sandbox_plan_run(&p), GOOD);
}

/* ---- what must go on ---- */

static void *add_one(void *arg)
{
	__atomic_fetch_add((int *)arg, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static int act_allowed(struct sandbox *s)
{
	static const unsigned char code[] = {
#ifdef __x86_64__
		0xb8, 42, 0, 0, 0, 0xc3, /* mov $42, %eax; ret */
#else
		0x40, 0x05, 0x80, 0x52, 0xc0, 0x03, 0x5f, 0xd6, /* mov w0, #42; ret */
#endif
	};
	int counter = 0, ends[2];
	pthread_t threads[3];
	uint64_t one = 1;
	char *memory;
	int fd;

	(void)s;
	for (unsigned i = 0; i < 3; i++)
		if (pthread_create(&threads[i], NULL, add_one, &counter))
			return 1;
	for (unsigned i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	if (counter != 3)
		return 2;
	/* As a compiler of shaders does. */
	memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return 3;
	memcpy(memory, code, sizeof(code));
	__builtin___clear_cache(memory, memory + sizeof(code));
	if (mprotect(memory, 4096, PROT_READ | PROT_EXEC) || ((int (*)(void))(uintptr_t)memory)() != 42)
		return 4;
	fd = memfd_create("frame", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || ftruncate(fd, 1 << 20) || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) ||
	    mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED)
		return 5;
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0 || write(fd, &one, sizeof(one)) != sizeof(one) || read(fd, &one, sizeof(one)) != sizeof(one))
		return 6;
	if (pipe(ends) || write(ends[1], "x", 1) != 1)
		return 7;
	/* A driver's file, and probes that are answered. */
	fd = open("/sys/devices/system/cpu/possible", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, &one, 1) != 1)
		return 8;
	if (open("/usr/lib", O_RDONLY | O_DIRECTORY | O_CLOEXEC) < 0 || access("/usr/lib", R_OK) || isatty(fd) ||
	    prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0) == 0)
		return 9;
	return prctl(PR_SET_NAME, "named", 0, 0, 0) ? 10 : GOOD;
}

/* Of a picture that other devices of the guest see, with its tail; and of one that is too large. */
static int act_large_files(struct sandbox *s)
{
	int fd = memfd_create("picture", MFD_CLOEXEC);

	(void)s;
	if (fd < 0 || ftruncate(fd, (off_t)16384 * 16384 * 4 + 4096))
		return 1;
	return ftruncate(fd, (off_t)1 << 31) == 0 || errno != EFBIG ? 2 : GOOD;
}

static void the_largest_picture_has_room_and_a_larger_one_is_an_error(void **state)
{
	(void)state;
	assert_int_equal(run(NULL, act_large_files), GOOD);
}

static void what_a_driver_needs_works(void **state)
{
	(void)state;
	assert_int_equal(run(NULL, act_allowed), GOOD);
}

/* As struct sched_attr of the kernel's first version; glibc has none. */
struct scheduling {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

static int set_scheduling(pid_t thread, uint32_t policy, int32_t nice)
{
	const struct scheduling all = {.size = sizeof(all), .policy = policy, .nice = nice};

	return (int)syscall(SYS_sched_setattr, thread, &all, 0);
}

/* The parent is in sight where there is no namespace of processes; it is of the same user. */
static int act_scheduling(struct sandbox *s)
{
	const pid_t threads[] = {(pid_t)syscall(SYS_gettid), getppid()};
	cpu_set_t all;

	(void)s;
	if (sched_getaffinity(0, sizeof(all), &all) || sched_setaffinity(0, sizeof(all), &all))
		return 1;
	for (size_t i = 0; i < sizeof(threads) / sizeof(threads[0]) && threads[i]; i++) {
		const int nice = getpriority(PRIO_PROCESS, (id_t)threads[i]), policy = sched_getscheduler(threads[i]);

		if (sched_setaffinity(threads[i], sizeof(all), &all) == 0 || errno != EPERM)
			return 2;
		/* GLib must not have a reason to complain. */
		if (set_scheduling(threads[i], SCHED_BATCH, 19))
			return 3;
		if (getpriority(PRIO_PROCESS, (id_t)threads[i]) != nice || sched_getscheduler(threads[i]) != policy)
			return 4;
	}
	return GOOD;
}

static void no_thread_is_slowed_down_by_its_number(void **state)
{
	(void)state;
	assert_int_equal(run(NULL, act_scheduling), GOOD);
}

/* Of the eventfd that VMM and worker both have. */
static int act_make_others_wait(struct sandbox *s)
{
	const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int no = 0, yes = 1;

	(void)s;
	if (fd < 0 || fcntl(fd, F_SETFL, 0) == 0 || errno != EPERM)
		return 1;
	/* With all other bits, and with what the kernel cuts off: an int is what it takes. */
	if (syscall(SYS_fcntl, fd, F_SETFL, ~(unsigned long)O_NONBLOCK) == 0 || errno != EPERM)
		return 2;
	if (syscall(SYS_fcntl, fd, 1ul << 32 | F_SETFL, 0) == 0 || errno != EPERM)
		return 3;
	if (ioctl(fd, FIONBIO, &no) == 0 || errno != EPERM || ioctl(fd, FIONBIO, &yes) == 0 || errno != EPERM)
		return 4;
	if (!(fcntl(fd, F_GETFL) & O_NONBLOCK))
		return 5;
	return fcntl(kept, F_SETFL, fcntl(kept, F_GETFL) | O_NONBLOCK) || !(fcntl(kept, F_GETFL) & O_NONBLOCK) ? 6
													       : GOOD;
}

static void what_others_share_is_not_made_to_wait(void **state)
{
	const struct sandbox_plan codecs = {
		.config = {.profile = &sandbox_video}, .keep = kept, .act = act_make_others_wait};

	(void)state;
	assert_int_equal(run(NULL, act_make_others_wait), GOOD);
	assert_int_equal(sandbox_plan_run(&codecs), GOOD);
}

static int act_abort(struct sandbox *s)
{
	(void)s;
	abort();
}

static void abort_ends_it_by_another_signal(void **state)
{
	int status = run(NULL, act_abort);

	(void)state;
	/* Process 1 of a pid namespace has no default actions; abort() then goes on to an instruction that faults. */
	assert_true(status == -SIGABRT || status == -SIGSEGV || status == -SIGILL || status == -SIGTRAP);
}

/* ---- the state of the process ---- */

static int before_state(struct sandbox *s)
{
	struct rlimit core;

	(void)s;
	if (fcntl(kept, F_GETFD) < 0 || fcntl(not_kept, F_GETFD) >= 0)
		return 1;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 2;
	return getrlimit(RLIMIT_CORE, &core) || core.rlim_max != 0 ? 3 : GOOD;
}

static int act_state(struct sandbox *s)
{
	bool whole = !strstr(sandbox_missing(s), "pid namespace");

	if (geteuid() == 0 && !strstr(sandbox_missing(s), "user other than root"))
		return 4;
	return whole && getpid() != 1 ? 5 : GOOD;
}

static void only_given_descriptors_and_no_privileges_are_left(void **state)
{
	(void)state;
	assert_int_equal(run(before_state, act_state), GOOD);
}

static int act_capabilities(struct sandbox *s)
{
	char line[256];
	FILE *f = fopen("/proc/self/status", "re");
	unsigned long long effective = 1;

	/* Where /proc can't be mounted it can't be asked. */
	if (!f)
		return strstr(sandbox_missing(s), "pid namespace") ? 1 : GOOD;
	while (fgets(line, sizeof(line), f) && sscanf(line, "CapEff: %llx", &effective) != 1)
		;
	fclose(f);
	return effective ? 2 : GOOD;
}

static void no_capability_is_left(void **state)
{
	(void)state;
	assert_int_equal(run(NULL, act_capabilities), GOOD);
}

/* ---- strict ---- */

static void strict_starts_only_whole(void **state)
{
	struct sandbox_plan p = {.config = {.profile = &sandbox_gpu, .mode = SANDBOX_STRICT}};
	bool whole = run(NULL, NULL) == GOOD;
	int status = sandbox_plan_run(&p);

	(void)state;
	assert_true(whole);
	/* As the host can; nothing between. */
	assert_true(status == GOOD || status == STOPPED);
}

/* ---- other users ---- */

static int all_here(void)
{
	for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++)
		if (run(forbidden[i].before, forbidden[i].act) != KILLED)
			return 10 + (int)i;
	if (run(NULL, act_read_secret) != GOOD)
		return 30;
	if (run(NULL, act_write) != GOOD)
		return 31;
	if (run(NULL, act_allowed) != GOOD)
		return 32;
	if (run(before_state, act_state) != GOOD)
		return 33;
	if (run(NULL, act_scheduling) != GOOD)
		return 34;
	return run(NULL, act_capabilities) != GOOD ? 35 : sandbox_plan_run(&reopen) != GOOD ? 36 : GOOD;
}

static int strict_here(void)
{
	const struct sandbox_plan p = {.config = {.profile = &sandbox_gpu, .mode = SANDBOX_STRICT}};

	return sandbox_plan_run(&p);
}

static void all_of_it_as_another_user(void **state)
{
	(void)state;
	if (geteuid() != 0)
		tap_skip("needs root, to be another user; as the one it is, the other cases ran");
	assert_int_equal(elsewhere_as_nobody(all_here), GOOD);
}

static void all_of_it_without_user_namespaces(void **state)
{
	int status = elsewhere_without_user_namespaces(all_here);

	(void)state;
	if (status >= 100)
		tap_skip("no user namespace to turn them off in");
	assert_int_equal(status, GOOD);
	assert_int_equal(elsewhere_without_user_namespaces(strict_here), STOPPED);
}

/* ---- */

static int start(void **state)
{
	(void)state;
	kept = open("/dev/null", O_RDWR | O_CLOEXEC);
	not_kept = open("/dev/null", O_RDWR | O_CLOEXEC);
	return kept < 0 || not_kept < 0 || !mkdtemp(directory) || chmod(directory, 0777);
}

static int stop(void **state)
{
	(void)state;
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forbidden_calls_kill),
		cmocka_unit_test(ioctls_are_those_of_the_listed_drivers),
		cmocka_unit_test(files_of_the_host_are_out_of_reach),
		cmocka_unit_test(nothing_is_opened_for_writing),
		cmocka_unit_test(codecs_write_to_devices_and_to_nothing_else),
		cmocka_unit_test(the_directory_given_is_written_and_no_other),
		cmocka_unit_test(shader_cache_has_an_end),
		cmocka_unit_test(what_a_driver_needs_works),
		cmocka_unit_test(the_largest_picture_has_room_and_a_larger_one_is_an_error),
		cmocka_unit_test(no_thread_is_slowed_down_by_its_number),
		cmocka_unit_test(what_others_share_is_not_made_to_wait),
		cmocka_unit_test(abort_ends_it_by_another_signal),
		cmocka_unit_test(only_given_descriptors_and_no_privileges_are_left),
		cmocka_unit_test(no_capability_is_left),
		cmocka_unit_test(strict_starts_only_whole),
		cmocka_unit_test(all_of_it_as_another_user),
		cmocka_unit_test(all_of_it_without_user_namespaces),
	};

	return cmocka_run_group_tests_name("sandbox", tests, start, stop);
}
