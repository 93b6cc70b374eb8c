// SPDX-License-Identifier: MIT
#include "host/vhost/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/vhost/sandbox_parts.h"

#define MIB (1024ull * 1024)

static const struct {
	const char *name, *cure;
} parts[SANDBOX_PART_COUNT] = {
	[SANDBOX_USER_NAMESPACE] =
		{"user namespace",
		 "allow user namespaces: sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, "
		 "kernel.apparmor_restrict_unprivileged_userns"},
	[SANDBOX_MOUNT_NAMESPACE] = {"mount namespace", "allow it: sysctl user.max_mnt_namespaces"},
	[SANDBOX_PID_NAMESPACE] = {"pid namespace", "allow it: sysctl user.max_pid_namespaces"},
	[SANDBOX_NET_NAMESPACE] = {"net namespace", "allow it: sysctl user.max_net_namespaces"},
	[SANDBOX_IPC_NAMESPACE] = {"ipc namespace", "allow it: sysctl user.max_ipc_namespaces"},
	[SANDBOX_UTS_NAMESPACE] = {"uts namespace", "allow it: sysctl user.max_uts_namespaces"},
	[SANDBOX_TREE] = {"file tree of its own", "use Linux 5.12 or later and let the program mount in its namespace"},
	[SANDBOX_LANDLOCK] = {"Landlock", "use a kernel with CONFIG_SECURITY_LANDLOCK and landlock in its lsm= list"},
	[SANDBOX_IDENTITY] = {"user other than root",
			      "start it as another user, or let it write no files (--display png:)"},
	[SANDBOX_LIMITS] = {"resource limits", "raise the hard limits it was started with (ulimit -H -a)"},
	[SANDBOX_CAPABILITIES] = {"dropping of capabilities", "start it as another user"},
	[SANDBOX_SECCOMP] = {"seccomp filter", "use a kernel with CONFIG_SECCOMP_FILTER"},
};

int sandbox_mode_parse(const char *text, enum sandbox_mode *out)
{
	static const char *const names[] = {
		[SANDBOX_AUTO] = "auto", [SANDBOX_STRICT] = "strict", [SANDBOX_OFF] = "off"};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(text, names[i])) {
			*out = (enum sandbox_mode)i;
			return 0;
		}
	}
	return -EINVAL;
}

int sandbox_create(const struct sandbox_config *config, struct sandbox **out)
{
	struct sandbox *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->config = *config;
	/* Until they are there. */
	for (unsigned p = 0; p <= SANDBOX_UTS_NAMESPACE; p++)
		s->missing[p] = ENOTSUP;
	err = sandbox_find_files(s);
	if (err) {
		sandbox_destroy(s);
		return err;
	}
	sandbox_choose_user(s);
	*out = s;
	return 0;
}

void sandbox_destroy(struct sandbox *s)
{
	if (!s)
		return;
	sandbox_forget_files(s);
	free(s);
}

/* ---- what is missing ---- */

const char *sandbox_missing(struct sandbox *s)
{
	size_t used = 0;

	s->missing_text[0] = '\0';
	for (unsigned p = 0; p < SANDBOX_PART_COUNT && used < sizeof(s->missing_text); p++) {
		if (s->missing[p])
			used += (size_t)snprintf(s->missing_text + used, sizeof(s->missing_text) - used, "%s%s (%s)",
						 used ? ", " : "", parts[p].name, strerror(s->missing[p]));
	}
	return s->missing_text;
}

/* The first missing part: the others often follow from it. */
static const char *cure(const struct sandbox *s)
{
	unsigned p = 0;

	while (p < SANDBOX_PART_COUNT - 1 && !s->missing[p])
		p++;
	return parts[p].cure;
}

static int refuse_if_strict(struct sandbox *s)
{
	const char *missing = sandbox_missing(s);

	if (s->config.mode != SANDBOX_STRICT || !*missing)
		return 0;
	log_line(LOG_TOPIC_VHOST, LOG_ERROR, "sandbox: strict, but there is no %s; %s; or use --sandbox=auto", missing,
		 cure(s));
	return -EPERM;
}

/* ---- namespaces, in a child of their own ---- */

/* Whoever kills workers, such as a kernel that is out of memory, may hit one that is being made. */
#define SPAWN_TRIES 3u

static const int namespaces[] = {
	[SANDBOX_USER_NAMESPACE] = CLONE_NEWUSER, [SANDBOX_MOUNT_NAMESPACE] = CLONE_NEWNS,
	[SANDBOX_PID_NAMESPACE] = CLONE_NEWPID,	  [SANDBOX_NET_NAMESPACE] = CLONE_NEWNET,
	[SANDBOX_IPC_NAMESPACE] = CLONE_NEWIPC,	  [SANDBOX_UTS_NAMESPACE] = CLONE_NEWUTS,
};

/* What goes over the socket between spawn() and the child. */
enum word { WORD_MAP = 1, WORD_MAPPED, WORD_UNMAPPED, WORD_GO, WORD_READY };

static int say(int fd, int word)
{
	ssize_t n;

	do
		n = send(fd, &word, sizeof(word), MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n == sizeof(word) ? 0 : -EPIPE;
}

static int hear(int fd)
{
	ssize_t n;
	int word;

	do
		n = read(fd, &word, sizeof(word));
	while (n < 0 && errno == EINTR);
	return n == sizeof(word) ? word : -EPIPE;
}

/*
 * In a user namespace of its own. Only the parent, which is root, can map anybody but who we are; @fd asks it. A root of
 * a container may map nobody else: then it stays who it is.
 */
static int enter_user_namespace(struct sandbox *s, int fd)
{
	int err;

	/* A process that has changed its user may not write its own maps otherwise. */
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	if (unshare(CLONE_NEWUSER))
		return -errno;
	if (!s->becomes)
		return sandbox_map_user(s, 0, false);
	if (say(fd, WORD_MAP) == 0 && hear(fd) == WORD_MAPPED) {
		err = sandbox_become_user(s);
		s->mapped = !err;
		return err;
	}
	s->missing[SANDBOX_IDENTITY] = EPERM;
	s->becomes = false;
	s->uid = 0;
	s->gid = getegid();
	return sandbox_map_user(s, 0, false);
}

static void enter_namespaces(struct sandbox *s, int fd)
{
	s->missing[SANDBOX_USER_NAMESPACE] = -enter_user_namespace(s, fd);
	for (unsigned p = SANDBOX_MOUNT_NAMESPACE; p <= SANDBOX_UTS_NAMESPACE; p++)
		s->missing[p] = unshare(namespaces[p]) ? errno : 0;
}

/* Between the caller and the worker, for a new pid namespace is that of the next child. */
static _Noreturn void be_between(struct sandbox *s, int (*run)(struct sandbox *s, void *arg), void *arg, int own_fd,
				 int fd)
{
	pid_t pid;
	int status;

	if (s->config.mode != SANDBOX_OFF)
		enter_namespaces(s, own_fd);
	pid = fork();
	if (pid != 0) {
		/* The caller adopts the worker now. */
		say(own_fd, pid < 0 ? -errno : pid);
		_exit(0);
	}
	/* The caller hears the end of the one between, should it have no time to say who we are. */
	close(own_fd);
	/* A caller that died before the signal was asked for does not hear the last word. */
	if (hear(fd) != WORD_GO || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) || say(fd, WORD_READY))
		_exit(EXIT_FAILURE);
	close(fd);
	status = run(s, arg);
	fflush(NULL);
	_exit(status);
}

/* The child's pid, or a negative errno. */
static pid_t wait_for_child(const struct sandbox *s, pid_t between, int fd)
{
	int word = hear(fd);

	if (word == WORD_MAP && s->becomes) {
		say(fd, sandbox_map_user(s, between, true) ? WORD_UNMAPPED : WORD_MAPPED);
		word = hear(fd);
	}
	while (waitpid(between, NULL, 0) < 0 && errno == EINTR)
		;
	return word;
}

/* -EPIPE: a child was killed before it was ready. */
static int spawn_once(struct sandbox *s, int (*run)(struct sandbox *s, void *arg), void *arg, struct sandbox_child *out)
{
	int ends[2], between_ends[2];
	pid_t between;
	int err = 0;

	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return -errno;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, between_ends)) {
		err = -errno;
		close(ends[1]);
		goto close_end;
	}
	between = fork();
	if (between == 0) {
		close(ends[0]);
		close(between_ends[0]);
		be_between(s, run, arg, between_ends[1], ends[1]);
	}
	close(ends[1]);
	close(between_ends[1]);
	out->pid = between < 0 ? -errno : wait_for_child(s, between, between_ends[0]);
	close(between_ends[0]);
	if (out->pid < 0) {
		err = out->pid;
		goto close_end;
	}
	out->pidfd = (int)syscall(SYS_pidfd_open, out->pid, 0);
	if (out->pidfd < 0 || say(ends[0], WORD_GO) || hear(ends[0]) != WORD_READY) {
		err = out->pidfd < 0 ? -errno : -EPIPE;
		kill(out->pid, SIGKILL);
		waitpid(out->pid, NULL, 0);
		if (out->pidfd >= 0)
			close(out->pidfd);
	}
close_end:
	close(ends[0]);
	return err;
}

int sandbox_spawn(struct sandbox *s, int (*run)(struct sandbox *s, void *arg), void *arg, struct sandbox_child *out)
{
	unsigned left = SPAWN_TRIES;
	int err;

	fflush(NULL);
	do
		err = spawn_once(s, run, arg, out);
	while (err == -EPIPE && --left > 0);
	if (err == -EPIPE)
		log_line(LOG_TOPIC_VHOST, LOG_ERROR,
			 "sandbox: a process was killed %u times before it began; see the kernel's log", SPAWN_TRIES);
	else if (err)
		log_line(LOG_TOPIC_VHOST, LOG_ERROR,
			 "sandbox: can't start a process: %s; close programs, or raise ulimit -u", strerror(-err));
	return err;
}

/* ---- the worker, before drivers are loaded ---- */

/*
 * Beyond the hard limit that is there none is raised. Files: a memfd of the largest picture (16384x16384) fits, with what is
 * said of it behind it (host/virtio/object.c). Locked memory: FFmpeg brings libgcrypt, which complains without. Message
 * queues are of no use here; processes are threads, and are counted by user, so only where the user is one of our own
 * namespace.
 */
static const struct {
	unsigned resource;
	rlim_t most;   /* of processes: as the profile says */
	bool own_user; /* only in a user namespace */
} limits[] = {
	{RLIMIT_CORE, 0, false},	   {RLIMIT_NOFILE, 4096, false},
	{RLIMIT_FSIZE, 1025 * MIB, false}, {RLIMIT_MEMLOCK, 64 * 1024, false},
	{RLIMIT_MSGQUEUE, 0, false},	   {RLIMIT_NPROC, 0, true},
};

static int apply_limits(const struct sandbox *s)
{
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		const rlim_t most = limits[i].resource == RLIMIT_NPROC ? s->config.profile->processes : limits[i].most;
		struct rlimit now;

		if (limits[i].own_user && !sandbox_has(s, SANDBOX_USER_NAMESPACE))
			continue;
		if (getrlimit(limits[i].resource, &now))
			return -errno;
		if (now.rlim_max == RLIM_INFINITY || now.rlim_max > most)
			now.rlim_max = most;
		/* Programs start with a low one, for select(). */
		now.rlim_cur = now.rlim_max;
		if (setrlimit(limits[i].resource, &now))
			return -errno;
	}
	/* A file that would grow too large is an error then, not an end. */
	signal(SIGXFSZ, SIG_IGN);
	return 0;
}

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static int close_others(int *keep, size_t count)
{
	unsigned next = 3;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		close(null);
	}
	if (count)
		qsort(keep, count, sizeof(*keep), by_number);
	for (size_t i = 0; i < count; i++) {
		if (keep[i] < (int)next)
			continue;
		if ((unsigned)keep[i] > next && close_range(next, (unsigned)keep[i] - 1, 0))
			return -errno;
		next = (unsigned)keep[i] + 1;
	}
	return close_range(next, ~0u, 0) ? -errno : 0;
}

/* A directory has two links and one for each directory in it. */
static bool has_threads(void)
{
	struct stat st;

	return stat("/proc/self/task", &st) == 0 && st.st_nlink > 3;
}

static void keep_shader_cache(const struct sandbox *s)
{
	static const char *const directories[] = {"MESA_SHADER_CACHE_DIR", "MESA_GLSL_CACHE_DIR",
						  "__GL_SHADER_DISK_CACHE_PATH"};
	static const char *const sizes[] = {"MESA_SHADER_CACHE_MAX_SIZE", "MESA_GLSL_CACHE_MAX_SIZE"};
	const bool there = s->config.shader_cache_bytes && sandbox_has(s, SANDBOX_TREE);
	char size[32];

	/* Mesa counts file sizes, the file system pages. */
	snprintf(size, sizeof(size), "%lluK", (unsigned long long)(s->config.shader_cache_bytes / 1024 / 4 * 3));
	for (unsigned i = 0; there && i < sizeof(directories) / sizeof(directories[0]); i++)
		setenv(directories[i], SANDBOX_CACHE, 1);
	for (unsigned i = 0; there && i < sizeof(sizes) / sizeof(sizes[0]); i++)
		setenv(sizes[i], size, 1);
	setenv("MESA_SHADER_CACHE_DISABLE", there ? "false" : "true", 1);
	setenv("MESA_GLSL_CACHE_DISABLE", there ? "false" : "true", 1);
	setenv("__GL_SHADER_DISK_CACHE", there ? "1" : "0", 1);
}

static int become_other_user(const struct sandbox *s)
{
	if (!s->becomes || s->mapped)
		return s->missing[SANDBOX_IDENTITY];
	return -sandbox_become_user(s);
}

int sandbox_prepare(struct sandbox *s, int *keep, size_t keep_count)
{
	int err;

	if (s->config.mode == SANDBOX_OFF)
		return 0;
	if (has_threads()) {
		log_line(LOG_TOPIC_VHOST, LOG_ERROR,
			 "sandbox: the program has threads already, which would stay outside; "
			 "a mistake in it: please report it");
		return -EBUSY;
	}
	err = close_others(keep, keep_count);
	if (err) {
		log_line(LOG_TOPIC_VHOST, LOG_ERROR, "sandbox: can't close descriptors: %s; use Linux 5.9 or later",
			 strerror(-err));
		return err;
	}
	s->missing[SANDBOX_TREE] = sandbox_has(s, SANDBOX_MOUNT_NAMESPACE) ? -sandbox_make_tree(s) : ENOTSUP;
	s->missing[SANDBOX_IDENTITY] = become_other_user(s);
	/* Another user's process forgets it. Whoever died just now has closed what the worker would serve. */
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	s->missing[SANDBOX_LIMITS] = -apply_limits(s);
	/* A service has none, and there is no list of users any more in which libraries would look for it. */
	if (sandbox_has(s, SANDBOX_TREE))
		setenv("HOME", "/", 0);
	keep_shader_cache(s);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		s->missing[SANDBOX_LANDLOCK] = s->missing[SANDBOX_SECCOMP] = errno;
	else
		s->missing[SANDBOX_LANDLOCK] = -sandbox_apply_landlock(s);
	s->missing[SANDBOX_CAPABILITIES] = -sandbox_drop_capabilities();
	return refuse_if_strict(s);
}

/* ---- the worker, when all is loaded ---- */

int sandbox_lock(struct sandbox *s)
{
	const char *missing;

	if (s->config.mode == SANDBOX_OFF) {
		log_line(LOG_TOPIC_VHOST, LOG_WARN,
			 "sandbox: off; a guest that breaks its device reaches all that this user can");
		return 0;
	}
	if (sandbox_has(s, SANDBOX_SECCOMP))
		s->missing[SANDBOX_SECCOMP] = -sandbox_apply_seccomp(s);
	missing = sandbox_missing(s);
	if (s->config.mode == SANDBOX_STRICT && *missing)
		return refuse_if_strict(s);
	if (*missing)
		log_line(LOG_TOPIC_VHOST, LOG_WARN, "sandbox: without %s; %s", missing, cure(s));
	else
		log_line(LOG_TOPIC_VHOST, LOG_INFO, "sandbox: complete");
	return 0;
}
