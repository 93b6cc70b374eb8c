// SPDX-License-Identifier: MIT
/*
 * mullion doctor --pid: what keeps a process in, by what the kernel says of it (proc(5)). A device's worker is to have
 * all of host/vhost/sandbox.h; its keeper, which has it as a child, has nothing. Names are of a process's own choosing,
 * which may have been taken over: only what is printable of them is shown.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/types.h>
#include <unistd.h>

#include "vmm/doctor.h"

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#endif
#define LANDLOCK_VERSION 1u /* a flag: which interface the kernel has */

#define OK "ok"
#define WARN "warn"
#define FAIL "fail"

#define LINE_BYTES 1024
#define MIB (1024ull * 1024)
/* mullion, a keeper, a worker; and one more. */
#define MAX_DEPTH 3u
#define MAX_CHILDREN 64u
#define SECCOMP_FILTERED 2u
/* Documentation/admin-guide/devices.txt */
#define DRM_MAJOR 226
#define NVIDIA_MAJOR 195

struct subject {
	long pid;
	doctor_report *report;
	void *owner;
	bool confined; /* no line said fail */
};

/* What /proc/N/status says, of all threads together. */
struct status {
	char name[64];
	long parent;
	unsigned uid, gid; /* the effective ones */
	bool is_over;	   /* it waits for its parent to hear so */
	unsigned threads;
	unsigned seccomp, filters, no_new_privs; /* the least of all threads */
	uint64_t capabilities;			 /* effective, permitted, inheritable or ambient, of any thread */
	uint64_t bounding;
};

__attribute__((format(printf, 5, 6))) static void say(struct subject *s, const char *verdict, const char *name,
						      const char *cure, const char *format, ...)
{
	char text[LINE_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	for (char *c = text; *c; c++) {
		if (!isprint((unsigned char)*c))
			*c = '?';
	}
	if (!strcmp(verdict, FAIL))
		s->confined = false;
	s->report(s->owner, verdict, name, text, cure);
}

__attribute__((format(printf, 3, 4))) static void append(char *text, size_t bytes, const char *format, ...)
{
	const size_t used = strlen(text);
	va_list args;

	va_start(args, format);
	vsnprintf(text + used, bytes - used, format, args);
	va_end(args);
}

static FILE *open_file(long pid, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/proc/%ld/%s", pid, name);
	return fopen(path, "re");
}

/* ---- status ---- */

static void take_status_line(struct status *st, const char *line)
{
	unsigned long long number;
	unsigned a, b;

	if (sscanf(line, "Name:\t%63[^\n]", st->name) == 1 || sscanf(line, "PPid:\t%ld", &st->parent) == 1)
		return;
	if (!strncmp(line, "State:\tZ", 8))
		st->is_over = true;
	else if (sscanf(line, "Threads:\t%u", &a) == 1)
		st->is_over &= a <= 1; /* its other threads may go on without the first */
	else if (sscanf(line, "Uid:\t%u\t%u", &a, &b) == 2)
		st->uid = b;
	else if (sscanf(line, "Gid:\t%u\t%u", &a, &b) == 2)
		st->gid = b;
	else if (sscanf(line, "Seccomp:\t%u", &a) == 1)
		st->seccomp = a < st->seccomp ? a : st->seccomp;
	else if (sscanf(line, "Seccomp_filters:\t%u", &a) == 1)
		st->filters = a < st->filters ? a : st->filters;
	else if (sscanf(line, "NoNewPrivs:\t%u", &a) == 1)
		st->no_new_privs = a < st->no_new_privs ? a : st->no_new_privs;
	else if (sscanf(line, "CapBnd:\t%llx", &number) == 1)
		st->bounding |= number;
	else if (!strncmp(line, "Cap", 3) && sscanf(line, "Cap%*3s:\t%llx", &number) == 1)
		st->capabilities |= number;
}

static int read_thread(long pid, const char *thread, struct status *st)
{
	char name[64], line[LINE_BYTES];
	FILE *f;

	if (thread)
		snprintf(name, sizeof(name), "task/%.20s/status", thread);
	f = open_file(pid, thread ? name : "status");
	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f))
		take_status_line(st, line);
	fclose(f);
	return 0;
}

static int read_status(long pid, struct status *out)
{
	struct status st = {.seccomp = UINT_MAX, .filters = UINT_MAX, .no_new_privs = UINT_MAX};
	char path[64];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%ld/task", pid);
	d = opendir(path);
	if (!d)
		return errno == ENOENT ? -ESRCH : -errno;
	while ((e = readdir(d))) {
		/* A thread may end meanwhile. */
		if (isdigit((unsigned char)e->d_name[0]) && read_thread(pid, e->d_name, &st) == 0)
			st.threads++;
	}
	closedir(d);
	/* The name of the process is that of its first thread. */
	st.is_over = false;
	if (!st.threads || read_thread(pid, NULL, &st) || st.is_over)
		return -ESRCH;
	*out = st;
	return 0;
}

/* A filter is inherited: a unit of systemd, or a container, has put some on the parent as well, and they let much through. */
static void check_seccomp(struct subject *s, const struct status *st, const struct status *parent)
{
	const bool filtered = st->seccomp == SECCOMP_FILTERED;
	const unsigned inherited =
		parent->seccomp == SECCOMP_FILTERED && parent->filters != UINT_MAX ? parent->filters : 0;

	if (filtered && st->filters <= inherited)
		say(s, FAIL, "seccomp", "use --sandbox auto or strict; or look again once it serves",
		    "no filter but its parent's (%u), or it hasn't finished its start", inherited);
	else if (filtered && st->filters != UINT_MAX)
		say(s, OK, "seccomp", NULL, "filter (%u%s) in %s (%u)", st->filters - inherited,
		    inherited ? " besides its parent's" : "", st->threads > 1 ? "all threads" : "its only thread",
		    st->threads);
	else if (filtered)
		say(s, OK, "seccomp", NULL, "filter in all threads (%u)", st->threads);
	else
		say(s, FAIL, "seccomp", "use --sandbox auto or strict; the kernel needs CONFIG_SECCOMP_FILTER",
		    "no filter: every system call may be made (or it hasn't finished its start)");
}

static void check_privileges(struct subject *s, const struct status *st)
{
	if (st->no_new_privs == 1)
		say(s, OK, "no new privileges", NULL, "set");
	else
		say(s, FAIL, "no new privileges", "use --sandbox auto or strict",
		    "not set: a set-user-id program would give it more");
	if (!st->capabilities)
		say(s, OK, "capabilities", NULL, "none (bounding set %llx)", (unsigned long long)st->bounding);
	else
		say(s, FAIL, "capabilities", "start it as a user other than root, with --sandbox auto or strict",
		    "it has some (%llx, bounding set %llx)", (unsigned long long)st->capabilities,
		    (unsigned long long)st->bounding);
	if (st->uid)
		say(s, OK, "user", NULL, "%u, group %u", st->uid, st->gid);
	else
		say(s, WARN, "user", "start it as another user, or let it write no files (--display png:)",
		    "root, whose files are its own, group %u", st->gid);
}

/* ---- namespaces and files ---- */

static int read_namespace(const char *pid, const char *name, char out[64])
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%s/ns/%s", pid, name);
	n = readlink(path, out, 63);
	if (n < 0)
		return -errno;
	out[n] = '\0';
	return 0;
}

static bool is_own(long pid, const char *name)
{
	char number[32], ours[64], theirs[64];

	snprintf(number, sizeof(number), "%ld", pid);
	return !read_namespace("self", name, ours) && !read_namespace(number, name, theirs) &&
	       strcmp(ours, theirs) != 0;
}

static void check_namespaces(struct subject *s)
{
	static const char *const names[] = {"user", "mnt", "pid", "net", "ipc", "uts"};
	char own[64] = "", shared[64] = "";

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char *list = is_own(s->pid, names[i]) ? own : shared;

		append(list, sizeof(own), " %s", names[i]);
	}
	if (!*shared)
		say(s, OK, "namespaces", NULL, "of its own:%s", own);
	else
		say(s, WARN, "namespaces", "allow user namespaces: sysctl user.max_user_namespaces",
		    "ours:%s; of its own:%s", shared, *own ? own : " none");
}

/* A line of mountinfo is "ID PARENT DEVICE ROOT POINT OPTIONS [FIELD...] - TYPE SOURCE SUPER". */
static void check_mounts(struct subject *s)
{
	char line[4 * LINE_BYTES], point[LINE_BYTES], options[256], type[64] = "?";
	FILE *f = open_file(s->pid, "mountinfo");
	unsigned mounts = 0;
	bool read_only = false;

	while (f && fgets(line, sizeof(line), f)) {
		const char *end = strstr(line, " - ");

		mounts++;
		if (end && sscanf(line, "%*s %*s %*s %*s %1023s %255s", point, options) == 2 && !strcmp(point, "/")) {
			read_only = !strncmp(options, "ro", 2);
			sscanf(end, " - %63s", type);
		}
	}
	if (f)
		fclose(f);
	if (is_own(s->pid, "mnt") && read_only && !strcmp(type, "tmpfs"))
		say(s, OK, "files", NULL, "a tree of its own: read-only tmpfs, %u mounts", mounts);
	else
		say(s, WARN, "files", "use Linux 5.12 or later and let the program mount in its namespace",
		    "the tree of the host (root: %s, %u mounts)", type, mounts);
}

static void check_landlock(struct subject *s)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION);

	if (version > 0)
		say(s, OK, "Landlock", NULL,
		    "version %ld in this kernel, which does not tell whom it binds; the worker's first line does",
		    version);
	else
		say(s, WARN, "Landlock", "use a kernel with CONFIG_SECURITY_LANDLOCK and landlock in its lsm= list",
		    "not in this kernel");
}

/* ---- limits ---- */

static const char *limit_text(unsigned long long value, bool is_bytes, char *text, size_t bytes)
{
	if (value == ULLONG_MAX)
		snprintf(text, bytes, "unlimited");
	else if (is_bytes && value >= MIB)
		snprintf(text, bytes, "%llu MiB", value / MIB);
	else
		snprintf(text, bytes, "%llu", value);
	return text;
}

static void check_limits(struct subject *s)
{
	static const struct {
		const char *key, *name;
		bool is_bytes;
		unsigned long long most;
	} rows[] = {
		{"Max core file size", "core", true, 0},
		{"Max open files", "open files", false, 4096},
		{"Max file size", "file size", true, 1025 * MIB},
	};
	char line[LINE_BYTES], text[LINE_BYTES] = "", number[32];
	FILE *f = open_file(s->pid, "limits");
	bool good = true;

	while (f && fgets(line, sizeof(line), f)) {
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			const size_t n = strlen(rows[i].key);
			unsigned long long hard = ULLONG_MAX;

			if (strncmp(line, rows[i].key, n) != 0 || sscanf(line + n, "%*s %31s", number) != 1)
				continue;
			if (strcmp(number, "unlimited") != 0)
				hard = strtoull(number, NULL, 10);
			good &= hard <= rows[i].most;
			append(text, sizeof(text), "%s%s %s", *text ? ", " : "", rows[i].name,
			       limit_text(hard, rows[i].is_bytes, number, sizeof(number)));
		}
	}
	if (f)
		fclose(f);
	say(s, good && *text ? OK : WARN, "limits", good && *text ? NULL : "use --sandbox auto or strict", "%s",
	    *text ? text : "can't be read");
}

/* ---- descriptors ---- */

enum kind {
	SOCKET,
	MEMFD,
	EVENTFD,
	EPOLL,
	TIMERFD,
	SIGNALFD,
	GPU,
	DMABUF,
	PIPE,
	NULLS,
	DEVICE,
	FOLDER,
	FILES,
	OTHER,
	KINDS
};

/* The first row that fits. */
static const struct {
	const char *prefix; /* of what the link in /proc/N/fd says; NULL: of no use */
	mode_t type;	    /* or its type; 0: of no use */
	enum kind kind;
} kinds[] = {
	{"anon_inode:[eventfd]", 0, EVENTFD},
	{"anon_inode:[eventpoll]", 0, EPOLL},
	{"anon_inode:[timerfd]", 0, TIMERFD},
	{"anon_inode:[signalfd]", 0, SIGNALFD},
	{"/memfd:", 0, MEMFD},
	{"/dmabuf:", 0, DMABUF},
	{NULL, S_IFSOCK, SOCKET},
	{NULL, S_IFIFO, PIPE},
	{NULL, S_IFBLK, DEVICE},
	{NULL, S_IFDIR, FOLDER},
	{NULL, S_IFREG, FILES},
};

static const char *const kind_names[KINDS] = {
	[SOCKET] = "socket",   [MEMFD] = "memfd",	[EVENTFD] = "eventfd",	   [EPOLL] = "epoll",
	[TIMERFD] = "timerfd", [SIGNALFD] = "signalfd", [GPU] = "GPU node",	   [DMABUF] = "dma-buf",
	[PIPE] = "pipe",       [NULLS] = "/dev/null",	[DEVICE] = "other device", [FOLDER] = "directory",
	[FILES] = "file",      [OTHER] = "other",
};

/* By number: what was opened before the file tree was changed has another name since. */
static enum kind device_kind(dev_t number)
{
	switch (major(number)) {
	case DRM_MAJOR:
	case NVIDIA_MAJOR:
		return GPU;
	default:
		return number == makedev(1, 3) ? NULLS : DEVICE;
	}
}

static enum kind kind_of(const char *link, const struct stat *st)
{
	const mode_t type = st->st_mode & S_IFMT;

	if (type == S_IFCHR)
		return device_kind(st->st_rdev);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (kinds[i].prefix ? !strncmp(link, kinds[i].prefix, strlen(kinds[i].prefix)) : type == kinds[i].type)
			return kinds[i].kind;
	}
	return OTHER;
}

static bool is_written(long pid, const char *number)
{
	char name[64], line[LINE_BYTES];
	unsigned flags = O_RDWR;
	FILE *f;

	snprintf(name, sizeof(name), "fdinfo/%.20s", number);
	f = open_file(pid, name);
	while (f && fgets(line, sizeof(line), f) && sscanf(line, "flags:\t%o", &flags) != 1)
		;
	if (f)
		fclose(f);
	return (flags & O_ACCMODE) != O_RDONLY;
}

static void check_descriptors(struct subject *s)
{
	char path[64], link[PATH_MAX], text[LINE_BYTES] = "", doubtful[LINE_BYTES / 2] = "";
	unsigned counts[KINDS] = {0}, all = 0;
	struct dirent *e;
	struct stat st;
	ssize_t n;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%ld/fd", s->pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		enum kind kind;

		n = readlinkat(dirfd(d), e->d_name, link, sizeof(link) - 1);
		if (n < 0 || fstatat(dirfd(d), e->d_name, &st, 0))
			continue;
		link[n] = '\0';
		kind = kind_of(link, &st);
		counts[kind]++;
		all++;
		/* Its output goes where it was started. */
		if (atoi(e->d_name) > STDERR_FILENO &&
		    (kind == FOLDER || (kind == FILES && is_written(s->pid, e->d_name))))
			append(doubtful, sizeof(doubtful), " %s (%.100s)", e->d_name, link);
	}
	if (d)
		closedir(d);
	for (unsigned k = 0; k < KINDS; k++) {
		if (counts[k])
			append(text, sizeof(text), "%s%u %s", *text ? ", " : "", counts[k], kind_names[k]);
	}
	if (*doubtful)
		say(s, WARN, "descriptors", "close them before it starts", "%u: %s; open to it stay%s", all, text,
		    doubtful);
	else
		say(s, d ? OK : WARN, "descriptors", d ? NULL : "look again", d ? "%u: %s" : "can't be read", all,
		    text);
}

/* ---- processes ---- */

static unsigned find_children(long pid, long children[MAX_CHILDREN])
{
	DIR *d = opendir("/proc");
	unsigned count = 0;
	struct dirent *e;

	while (d && count < MAX_CHILDREN && (e = readdir(d))) {
		struct status st = {.name = ""};
		long other = strtol(e->d_name, NULL, 10);

		if (other > 0 && read_thread(other, NULL, &st) == 0 && st.parent == pid && !st.is_over)
			children[count++] = other;
	}
	if (d)
		closedir(d);
	return count;
}

/* A process that can't be looked at. */
static void refuse(struct subject *s, int err)
{
	if (err == -ESRCH || err == -ENOENT)
		say(s, FAIL, "process", "pgrep mullion lists those there are", "there is no process %ld", s->pid);
	else if (err == -EACCES || err == -EPERM)
		say(s, FAIL, "process", "use the user who started it, or root", "no permission to look at process %ld",
		    s->pid);
	else
		say(s, FAIL, "process", "see that /proc is mounted", "process %ld can't be looked at: %s", s->pid,
		    strerror(-err));
}

static void check(struct subject *s, unsigned depth)
{
	struct status st = {.name = ""}, parent = {.name = "?"};
	long children[MAX_CHILDREN];
	unsigned count;
	char number[32], link[64], list[LINE_BYTES / 2] = "";
	int err = read_status(s->pid, &st);

	snprintf(number, sizeof(number), "%ld", s->pid);
	if (!err)
		err = read_namespace(number, "user", link);
	if (err) {
		refuse(s, err);
		return;
	}
	count = depth < MAX_DEPTH ? find_children(s->pid, children) : 0;
	if (count) {
		const long pid = s->pid;

		for (unsigned i = 0; i < count; i++)
			append(list, sizeof(list), " %ld", children[i]);
		say(s, OK, "process", NULL, "%ld, %s, is the parent of%s: it keeps the sandbox, and is not in one", pid,
		    st.name, list);
		for (unsigned i = 0; i < count; i++) {
			s->pid = children[i];
			check(s, depth + 1);
		}
		s->pid = pid;
		return;
	}
	read_status(st.parent, &parent);
	say(s, OK, "process", NULL, "%ld, %s, is a child of %ld (%s)", s->pid, st.name, st.parent, parent.name);
	check_seccomp(s, &st, &parent);
	check_privileges(s, &st);
	check_namespaces(s);
	check_mounts(s);
	check_landlock(s);
	check_limits(s);
	check_descriptors(s);
}

bool doctor_process(long pid, doctor_report *report, void *owner)
{
	struct subject s = {.pid = pid, .report = report, .owner = owner, .confined = true};

	check(&s, 0);
	return s.confined;
}
