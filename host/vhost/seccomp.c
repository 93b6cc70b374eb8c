// SPDX-License-Identifier: MIT
/*
 * The system calls of a worker once all is loaded (seccomp(2), by libseccomp). A call that is not in these tables kills
 * the process; the kernel's log then has a line "type=1326 ... syscall=NUMBER". Calls that libraries try and do without
 * get an error instead. A row may ask for values of arguments; several rows of one call are alternatives.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/vhost/sandbox_parts.h"

/* The bit alone: the C library's __O_TMPFILE has O_DIRECTORY with it, with which directories are listed. */
#define TMPFILE_BIT 020000000

/* An argument's bits in @mask must be @value; mask 0: whatever it is. */
struct test {
	unsigned char argument;
	uint64_t mask, value;
};

#define ANY                                                                                                            \
	{                                                                                                              \
		0, 0, 0                                                                                                \
	}
#define IS(n, v)                                                                                                       \
	{                                                                                                              \
		n, ~0ull, v                                                                                            \
	}
#define LOW_IS(n, v)                                                                                                   \
	{                                                                                                              \
		n, 0xffffffffull, v                                                                                    \
	} /* of an int, whose upper half is whatever it was */
#define HAS(n, bits)                                                                                                   \
	{                                                                                                              \
		n, bits, bits                                                                                          \
	}
#define LACKS(n, bits)                                                                                                 \
	{                                                                                                              \
		n, bits, 0                                                                                             \
	}
#define ONLY(n, bits)                                                                                                  \
	{                                                                                                              \
		n, 0xffffffffull & ~(uint64_t)(bits), 0                                                                \
	}

/* The call does nothing, and says that it is done. */
#define NOTHING (-1)

struct call {
	const char *name;
	int error; /* 0: allowed; NOTHING; else the errno that is returned */
	struct test tests[2];
};

#define PROT_ALL (PROT_READ | PROT_WRITE | PROT_EXEC)
/* Executable memory is what compilers of shaders make: allowed. Not: stacks that grow down, and what needs privileges. */
#define MAP_ALL                                                                                                        \
	(MAP_SHARED | MAP_PRIVATE | MAP_SHARED_VALIDATE | MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_ANONYMOUS |            \
	 MAP_NORESERVE | MAP_STACK | MAP_POPULATE | MAP_DENYWRITE | MAP_EXECUTABLE)
/* What pthread_create() asks for, in glibc; musl adds a bit without meaning. */
#define THREAD                                                                                                         \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS |             \
	 CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID)

#define PR_SET_NAME_VALUE 15
#define PR_GET_NAME_VALUE 16
#define KCMP_FILE_VALUE 0
#define TCGETS_VALUE 0x5401
#define FIONREAD_VALUE 0x541b
#define FIONBIO_VALUE 0x5421

static const struct call calls[] = {
	/* memory */
	{"brk", 0, {ANY}},
	{"mmap", 0, {ONLY(2, PROT_ALL), ONLY(3, MAP_ALL)}},
	{"mprotect", 0, {ONLY(2, PROT_ALL)}},
	{"munmap", 0, {ANY}},
	{"mremap", 0, {ANY}},
	{"madvise", 0, {ANY}},
	{"msync", 0, {ANY}},
	{"mincore", 0, {ANY}},
	{"membarrier", 0, {ANY}},
	{"memfd_create", 0, {ANY}},
	{"mlock", EPERM, {ANY}},
	{"munlock", EPERM, {ANY}},
	{"mbind", EPERM, {ANY}},
	{"get_mempolicy", EPERM, {ANY}},
	{"set_mempolicy", EPERM, {ANY}},
	{"shmget", ENOSYS, {ANY}},
	/* threads; of clone3 a filter can't see the flags, and glibc goes on with clone */
	{"clone", 0, {{0, 0xffffffffull & ~0x400000ull, THREAD}}},
	{"clone3", ENOSYS, {ANY}},
	{"exit", 0, {ANY}},
	{"exit_group", 0, {ANY}},
	{"futex", 0, {ANY}},
	{"futex_waitv", 0, {ANY}},
	{"set_robust_list", 0, {ANY}},
	{"get_robust_list", 0, {ANY}},
	{"rseq", 0, {ANY}},
	{"set_tid_address", 0, {ANY}},
	{"gettid", 0, {ANY}},
	{"getcpu", 0, {ANY}},
	{"sched_yield", 0, {ANY}},
	{"sched_getaffinity", 0, {ANY}},
	{"sched_setaffinity", 0, {IS(0, 0)}}, /* add_affinity() has the others */
	{"sched_getparam", 0, {ANY}},
	{"sched_getscheduler", 0, {ANY}},
	{"sched_get_priority_min", 0, {ANY}},
	{"sched_get_priority_max", 0, {ANY}},
	{"sched_setscheduler", EPERM, {ANY}},
	/*
	 * GLib gives each thread of a pool the settings of the first, which it has anyway, and complains where it can't. The
	 * thread is named by its number, and that may be one of another process where these are in sight.
	 */
	{"sched_getattr", 0, {ANY}},
	{"sched_setattr", NOTHING, {ANY}},
	{"setpriority", EPERM, {ANY}},
	{"getpriority", 0, {ANY}},
	{"arch_prctl", EINVAL, {ANY}},
	/* signals, to nobody but itself (tgkill is added with our number) */
	{"rt_sigaction", 0, {ANY}},
	{"rt_sigprocmask", 0, {ANY}},
	{"rt_sigreturn", 0, {ANY}},
	{"rt_sigtimedwait", 0, {ANY}},
	{"sigaltstack", 0, {ANY}},
	{"restart_syscall", 0, {ANY}},
	/* time */
	{"clock_gettime", 0, {ANY}},
	{"clock_getres", 0, {ANY}},
	{"clock_nanosleep", 0, {ANY}},
	{"nanosleep", 0, {ANY}},
	{"gettimeofday", 0, {ANY}},
	{"time", 0, {ANY}},
	{"times", 0, {ANY}},
	{"getrusage", 0, {ANY}},
	{"timerfd_create", 0, {ANY}},
	{"timerfd_settime", 0, {ANY}},
	{"timerfd_gettime", 0, {ANY}},
	/* descriptors */
	{"read", 0, {ANY}},
	{"write", 0, {ANY}},
	{"readv", 0, {ANY}},
	{"writev", 0, {ANY}},
	{"pread64", 0, {ANY}},
	{"pwrite64", 0, {ANY}},
	{"preadv", 0, {ANY}},
	{"pwritev", 0, {ANY}},
	{"lseek", 0, {ANY}},
	{"close", 0, {ANY}},
	{"close_range", 0, {ANY}},
	{"dup", 0, {ANY}},
	{"dup2", 0, {ANY}},
	{"dup3", 0, {ANY}},
	{"fstat", 0, {ANY}},
	{"ftruncate", 0, {ANY}},
	{"fallocate", 0, {ANY}},
	{"fadvise64", 0, {ANY}},
	{"pipe", 0, {ANY}},
	{"pipe2", 0, {ANY}},
	{"poll", 0, {ANY}},
	{"ppoll", 0, {ANY}},
	{"select", 0, {ANY}},
	{"pselect6", 0, {ANY}},
	{"eventfd2", 0, {ANY}},
	{"signalfd4", 0, {ANY}},
	{"epoll_create1", 0, {ANY}},
	{"epoll_ctl", 0, {ANY}},
	{"epoll_wait", 0, {ANY}},
	{"epoll_pwait", 0, {ANY}},
	{"epoll_pwait2", 0, {ANY}},
	{"fcntl", 0, {LOW_IS(1, F_DUPFD)}},
	{"fcntl", 0, {LOW_IS(1, F_DUPFD_CLOEXEC)}},
	{"fcntl", 0, {LOW_IS(1, F_GETFD)}},
	{"fcntl", 0, {LOW_IS(1, F_SETFD)}},
	{"fcntl", 0, {LOW_IS(1, F_GETFL)}},
	/*
	 * Whether a write waits is a flag of all who have the eventfd, or the socket: a worker must not have those wait whose
	 * interrupts and doorbells it has.
	 */
	{"fcntl", 0, {LOW_IS(1, F_SETFL), HAS(2, O_NONBLOCK)}},
	{"fcntl", EPERM, {LOW_IS(1, F_SETFL), LACKS(2, O_NONBLOCK)}},
	{"fcntl", 0, {LOW_IS(1, F_ADD_SEALS)}},
	{"fcntl", 0, {LOW_IS(1, F_GET_SEALS)}},
	{"kcmp", 0, {LOW_IS(2, KCMP_FILE_VALUE)}},
	/* ioctls of no driver; types of drivers are added from the profile */
	{"ioctl", ENOTTY, {LOW_IS(1, TCGETS_VALUE)}},
	{"ioctl", 0, {LOW_IS(1, FIONREAD_VALUE)}},
	/* The same flag; fcntl() is left to set it. */
	{"ioctl", EPERM, {LOW_IS(1, FIONBIO_VALUE)}},
	/* sockets that it was given; it makes and connects none */
	{"recvmsg", 0, {ANY}},
	{"recvfrom", 0, {ANY}},
	{"sendmsg", 0, {ANY}},
	{"sendto", 0, {IS(4, 0)}},
	{"accept4", 0, {ANY}},
	{"shutdown", 0, {ANY}},
	{"getsockopt", 0, {ANY}},
	/* GLib asks whether standard error leads to the journal, before its first warning. */
	{"getpeername", ENOTSOCK, {ANY}},
	/* files, to read; by name they are those of the tree and of Landlock's rules */
	{"stat", 0, {ANY}},
	{"lstat", 0, {ANY}},
	{"newfstatat", 0, {ANY}},
	{"statx", 0, {ANY}},
	{"statfs", 0, {ANY}},
	{"fstatfs", 0, {ANY}},
	{"access", 0, {ANY}},
	{"faccessat", 0, {ANY}},
	{"faccessat2", 0, {ANY}},
	{"readlink", 0, {ANY}},
	{"readlinkat", 0, {ANY}},
	{"getdents64", 0, {ANY}},
	{"getcwd", 0, {ANY}},
	{"openat2", ENOSYS, {ANY}},
	/* ORC, which compiles conversions to RGB, would have a file for its code; it goes on without, but not without this. */
	{"umask", 0, {ANY}},
	{"inotify_init1", EMFILE, {ANY}},
	{"perf_event_open", EACCES, {ANY}},
	/* who and where it is */
	{"getpid", 0, {ANY}},
	{"getppid", 0, {ANY}},
	{"getuid", 0, {ANY}},
	{"geteuid", 0, {ANY}},
	{"getgid", 0, {ANY}},
	{"getegid", 0, {ANY}},
	{"getgroups", 0, {ANY}},
	{"getresuid", 0, {ANY}},
	{"getresgid", 0, {ANY}},
	{"uname", 0, {ANY}},
	{"sysinfo", 0, {ANY}},
	{"getrandom", 0, {ANY}},
	{"getrlimit", 0, {ANY}},
	{"prlimit64", 0, {IS(2, 0)}},
	{"prctl", 0, {LOW_IS(0, PR_SET_NAME_VALUE)}},
	{"prctl", 0, {LOW_IS(0, PR_GET_NAME_VALUE)}},
};

/* Files are only read. */
static const struct call reading[] = {
	{"open", 0, {ONLY(1, ~(O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | TMPFILE_BIT))}},
	{"openat", 0, {ONLY(2, ~(O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | TMPFILE_BIT))}},
	{"open", EACCES, {HAS(1, O_RDWR)}},
	{"openat", EACCES, {HAS(2, O_RDWR)}},
};

/* Or written by who finds one that may be: a device. */
static const struct call reopening[] = {
	{"open", 0, {ONLY(1, ~(O_WRONLY | O_CREAT | O_TRUNC | TMPFILE_BIT))}},
	{"openat", 0, {ONLY(2, ~(O_WRONLY | O_CREAT | O_TRUNC | TMPFILE_BIT))}},
};

/* With either. */
static const struct call making_nothing[] = {
	{"open", EACCES, {HAS(1, O_WRONLY)}},
	{"open", EACCES, {HAS(1, O_CREAT)}},
	{"open", EACCES, {HAS(1, O_TRUNC)}},
	{"open", EACCES, {HAS(1, TMPFILE_BIT)}},
	{"openat", EACCES, {HAS(2, O_WRONLY)}},
	{"openat", EACCES, {HAS(2, O_CREAT)}},
	{"openat", EACCES, {HAS(2, O_TRUNC)}},
	{"openat", EACCES, {HAS(2, TMPFILE_BIT)}},
	{"mkdir", EACCES, {ANY}},
	{"mkdirat", EACCES, {ANY}},
	{"unlink", EACCES, {ANY}},
	{"unlinkat", EACCES, {ANY}},
};

/* With a directory to write into. */
static const struct call writing[] = {
	{"open", 0, {ANY}},	 {"openat", 0, {ANY}},	 {"mkdir", 0, {ANY}},  {"mkdirat", 0, {ANY}},
	{"unlink", 0, {ANY}},	 {"unlinkat", 0, {ANY}}, {"rename", 0, {ANY}}, {"renameat", 0, {ANY}},
	{"renameat2", 0, {ANY}}, {"flock", 0, {ANY}},	 {"fsync", 0, {ANY}},  {"fdatasync", 0, {ANY}},
};

static uint32_t action(int error)
{
	if (!error)
		return SCMP_ACT_ALLOW;
	return SCMP_ACT_ERRNO(error == NOTHING ? 0u : (uint16_t)error);
}

static int add(scmp_filter_ctx ctx, const struct call *c)
{
	int number = seccomp_syscall_resolve_name(c->name);
	struct scmp_arg_cmp compare[2];
	unsigned count = 0;

	/* This architecture has no such call. */
	if (number < 0)
		return 0;
	for (unsigned i = 0; i < 2 && c->tests[i].mask; i++)
		compare[count++] =
			SCMP_CMP64(c->tests[i].argument, SCMP_CMP_MASKED_EQ, c->tests[i].mask, c->tests[i].value);
	return seccomp_rule_add_array(ctx, action(c->error), number, count, count ? compare : NULL);
}

static int add_all(scmp_filter_ctx ctx, const struct call *list, size_t count)
{
	int err = 0;

	for (size_t i = 0; !err && i < count; i++)
		err = add(ctx, &list[i]);
	return err;
}

static int add_ioctls(scmp_filter_ctx ctx, const struct sandbox_ioctl *types)
{
	int err = 0;

	for (; !err && types->family; types++) {
		const struct call c = {"ioctl", 0, {{1, 0xff00, (uint64_t)types->type << 8}}};

		err = add(ctx, &c);
	}
	return err;
}

static int add_socket_pairs(scmp_filter_ctx ctx)
{
	const struct call pair = {"socketpair", 0, {LOW_IS(0, AF_UNIX)}};

	return add(ctx, &pair);
}

/* abort() signals itself. */
static int add_own(scmp_filter_ctx ctx)
{
	const struct call own = {"tgkill", 0, {LOW_IS(0, (uint64_t)getpid())}};

	return add(ctx, &own);
}

/* prctl() for anything else: tried by libraries, done without. */
static int add_prctl(scmp_filter_ctx ctx)
{
	int number = seccomp_syscall_resolve_name("prctl");
	int err = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EINVAL), number, 1, SCMP_A0_64(SCMP_CMP_LT, PR_SET_NAME_VALUE, 0));

	return err ? err
		   : seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EINVAL), number, 1,
				      SCMP_A0_64(SCMP_CMP_GT, PR_GET_NAME_VALUE, 0));
}

/*
 * Of a thread by its number, which may be one of another process. Mesa spreads its threads over all processors, where they
 * are already; it goes on without.
 */
static int add_affinity(scmp_filter_ctx ctx)
{
	return seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), seccomp_syscall_resolve_name("sched_setaffinity"), 1,
				SCMP_A0_64(SCMP_CMP_GT, 0, 0));
}

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

/* In a tree of its own, or by Landlock's rules, nothing but devices can be written. */
static bool may_reopen_devices(const struct sandbox *s)
{
	return s->config.profile->reopens_devices && (sandbox_has(s, SANDBOX_TREE) || sandbox_has(s, SANDBOX_LANDLOCK));
}

static int add_opening(scmp_filter_ctx ctx, const struct sandbox *s)
{
	int err = may_reopen_devices(s) ? add_all(ctx, reopening, COUNT(reopening))
					: add_all(ctx, reading, COUNT(reading));

	return err ? err : add_all(ctx, making_nothing, COUNT(making_nothing));
}

int sandbox_apply_seccomp(const struct sandbox *s)
{
	const bool writes = s->config.writable || (s->config.shader_cache_bytes && sandbox_has(s, SANDBOX_TREE));
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int err;

	if (!ctx)
		return -ENOMEM;
	/* All threads, or none and an error. A tree of comparisons instead of a list: faster. */
	err = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	if (!err)
		err = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (!err)
		err = add_all(ctx, calls, COUNT(calls));
	if (!err)
		err = writes ? add_all(ctx, writing, COUNT(writing)) : add_opening(ctx, s);
	if (!err)
		err = add_ioctls(ctx, s->config.profile->ioctls);
	if (!err && s->config.profile->socket_pairs)
		err = add_socket_pairs(ctx);
	if (!err)
		err = add_prctl(ctx);
	if (!err)
		err = add_affinity(ctx);
	if (!err)
		err = add_own(ctx);
	if (!err)
		err = seccomp_load(ctx);
	seccomp_release(ctx);
	return err;
}
