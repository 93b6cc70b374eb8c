// SPDX-License-Identifier: MIT
/* mullion doctor: what this host has to keep a device's worker in (host/vhost/sandbox.h), and the programs that have one. */
#include <errno.h>
#include <limits.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/doctor.h"
#include "vmm/module.h"

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#endif
#define LANDLOCK_VERSION 1u /* a flag: which interface the kernel has */

#define OK "ok"
#define WARN "warn"
#define LINE_BYTES 1024

struct place {
	doctor_report *report;
	void *owner;
};

__attribute__((format(printf, 5, 6))) static void say(const struct place *p, const char *verdict, const char *name,
						      const char *cure, const char *format, ...)
{
	char text[LINE_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	p->report(p->owner, verdict, name, text, cure);
}

/* ---- user namespaces ---- */

/* 0 or a positive errno. */
static int try_namespaces(void)
{
	pid_t child = fork();
	int status;

	if (child == 0)
		_exit(unshare(CLONE_NEWUSER | CLONE_NEWNS) ? errno : 0);
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return EAGAIN;
	return WEXITSTATUS(status);
}

static bool reads(const char *path, char value)
{
	FILE *f = fopen(path, "re");
	int first = f ? fgetc(f) : EOF;

	if (f)
		fclose(f);
	return first == value;
}

static const char *cure_namespaces(int err)
{
	if (err == ENOSPC || reads("/proc/sys/user/max_user_namespaces", '0'))
		return "sudo sysctl user.max_user_namespaces=15000";
	if (reads("/proc/sys/kernel/unprivileged_userns_clone", '0'))
		return "sudo sysctl kernel.unprivileged_userns_clone=1";
	if (reads("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", '1'))
		return "allow them to mullion in an AppArmor profile, or to all: sudo sysctl "
		       "kernel.apparmor_restrict_unprivileged_userns=0";
	return "a container, a chroot or a security module may forbid them: allow them there";
}

static void check_namespaces(const struct place *p)
{
	int err = try_namespaces();

	if (!err)
		say(p, OK, "user namespaces", NULL, "allowed");
	else
		say(p, WARN, "user namespaces", cure_namespaces(err),
		    "%s; a device's worker sees the host's network and file tree, and other rules must keep it off them; "
		    "building guests needs root",
		    err == ENOSPC  ? "no more are allowed"
		    : err == EPERM ? "not allowed"
				   : strerror(err));
}

/* ---- the other layers ---- */

static void check_landlock(const struct place *p)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION);

	if (version > 0)
		say(p, OK, "Landlock", NULL, "version %ld", version);
	else
		say(p, WARN, "Landlock",
		    errno == EOPNOTSUPP ? "add landlock to the kernel's lsm= list"
					: "use Linux 5.13 or later with CONFIG_SECURITY_LANDLOCK",
		    "%s: the second guard over files that a device's worker could open",
		    errno == EOPNOTSUPP ? "switched off" : "not in this kernel");
}

static void check_seccomp(const struct place *p)
{
	const unsigned action = SECCOMP_RET_KILL_PROCESS;

	if (!syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action))
		say(p, OK, "seccomp", NULL, "filters system calls");
	else
		say(p, WARN, "seccomp", "use Linux 4.14 or later with CONFIG_SECCOMP_FILTER",
		    "%s: a device's worker may make every system call", strerror(errno));
}

static void check_program(const struct place *p, const char *name)
{
	char path[PATH_MAX], label[32];

	snprintf(label, sizeof(label), "mullion-%s", name);
	if (module_program(name, path, sizeof(path)) == 0)
		say(p, OK, label, NULL, "%s", path);
	else
		say(p, WARN, label, "build it (make)",
		    "not beside this program: --%s has no processes of its own, and a guest that breaks it is in mullion",
		    name);
}

void doctor_sandbox(doctor_report *report, void *owner)
{
	const struct place p = {report, owner};

	check_program(&p, "gpu");
	check_program(&p, "video");
	check_namespaces(&p);
	check_landlock(&p);
	check_seccomp(&p);
}
