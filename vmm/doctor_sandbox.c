// SPDX-License-Identifier: MIT
/* mullion doctor: what this host has to keep a device's worker in (host/vhost/sandbox.h), and the programs that have one. */
#include <errno.h>
#include <limits.h>
#include <linux/seccomp.h>
#include <sched.h>
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

static void check_namespaces(doctor_report *report, void *owner)
{
	int err = try_namespaces();

	if (!err)
		doctor_say(report, owner, OK, "user namespaces", NULL, "allowed");
	else
		doctor_say(report, owner, WARN, "user namespaces", cure_namespaces(err),
			   "%s; a device's worker sees the host's network and file tree, and other rules must keep it "
			   "off them; "
			   "building guests needs root",
			   err == ENOSPC  ? "no more are allowed"
			   : err == EPERM ? "not allowed"
					  : strerror(err));
}

/* ---- the other layers ---- */

static void check_landlock(doctor_report *report, void *owner)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION);

	if (version > 0)
		doctor_say(report, owner, OK, "Landlock", NULL, "version %ld", version);
	else
		doctor_say(report, owner, WARN, "Landlock",
			   errno == EOPNOTSUPP ? "add landlock to the kernel's lsm= list"
					       : "use Linux 5.13 or later with CONFIG_SECURITY_LANDLOCK",
			   "%s: the second guard over files that a device's worker could open",
			   errno == EOPNOTSUPP ? "switched off" : "not in this kernel");
}

static void check_seccomp(doctor_report *report, void *owner)
{
	const unsigned action = SECCOMP_RET_KILL_PROCESS;

	if (!syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action))
		doctor_say(report, owner, OK, "seccomp", NULL, "filters system calls");
	else
		doctor_say(report, owner, WARN, "seccomp", "use Linux 4.14 or later with CONFIG_SECCOMP_FILTER",
			   "%s: a device's worker may make every system call", strerror(errno));
}

static void check_program(doctor_report *report, void *owner, const char *name)
{
	char path[PATH_MAX], label[32];

	snprintf(label, sizeof(label), "mullion-%s", name);
	if (module_program(name, path, sizeof(path)) == 0)
		doctor_say(report, owner, OK, label, NULL, "%s", path);
	else
		doctor_say(report, owner, WARN, label, "build it (make)",
			   "not beside this program: --%s has no processes of its own, and a guest that breaks it is "
			   "in mullion",
			   name);
}

void doctor_sandbox(doctor_report *report, void *owner)
{
	check_program(report, owner, "gpu");
	check_program(report, owner, "video");
	check_namespaces(report, owner);
	check_landlock(report, owner);
	check_seccomp(report, owner);
}
