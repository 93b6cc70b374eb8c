// SPDX-License-Identifier: MIT
/* Whom a sandboxed worker is: user, groups, capabilities (user_namespaces(7), capabilities(7)). */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/vhost/sandbox_parts.h"

/* nobody and nogroup, where the kernel's overflow ids are, too. */
#define NOBODY 65534u

void sandbox_choose_user(struct sandbox *s)
{
	struct stat st;

	s->uid = geteuid();
	s->gid = getegid();
	if (s->uid != 0)
		return;
	if (s->config.writable) {
		s->missing[SANDBOX_IDENTITY] = EACCES;
		return;
	}
	s->uid = s->gid = NOBODY;
	s->becomes = true;
	/* Devices belong to groups such as render. */
	for (unsigned i = 0; i < s->file_count; i++) {
		unsigned g = 0;

		if (s->files[i].access != SANDBOX_DEVICE || stat(s->files[i].real, &st) || st.st_gid == 0)
			continue;
		while (g < s->group_count && s->groups[g] != st.st_gid)
			g++;
		if (g == s->group_count && g < SANDBOX_MAX_GROUPS && st.st_gid != NOBODY)
			s->groups[s->group_count++] = st.st_gid;
	}
}

static int write_file(pid_t pid, const char *name, const char *text)
{
	char path[64];
	int fd, err = 0;

	if (pid)
		snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	else
		snprintf(path, sizeof(path), "/proc/self/%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* A map is one write. */
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

/* Ids keep their numbers, and only those that the worker needs are there. */
int sandbox_map_user(const struct sandbox *s, pid_t pid, bool as_root)
{
	char users[64], groups[64 * (SANDBOX_MAX_GROUPS + 1)];
	size_t used;
	int err = 0;

	snprintf(users, sizeof(users), "%u %u 1\n", s->uid, s->uid);
	used = (size_t)snprintf(groups, sizeof(groups), "%u %u 1\n", s->gid, s->gid);
	for (unsigned i = 0; as_root && i < s->group_count; i++)
		used += (size_t)snprintf(groups + used, sizeof(groups) - used, "%u %u 1\n", s->groups[i], s->groups[i]);
	if (!as_root)
		err = write_file(pid, "setgroups", "deny");
	if (!err)
		err = write_file(pid, "gid_map", groups);
	return err ? err : write_file(pid, "uid_map", users);
}

int sandbox_become_user(const struct sandbox *s)
{
	if (setgroups(s->group_count, s->groups) || setresgid(s->gid, s->gid, s->gid) ||
	    setresuid(s->uid, s->uid, s->uid))
		return -errno;
	return 0;
}

int sandbox_drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};

	/* The bounding set counts for programs that are started, which none is; without CAP_SETPCAP it stays. */
	for (unsigned long c = 0; c < 64 && prctl(PR_CAPBSET_DROP, c, 0, 0, 0) == 0; c++)
		;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return syscall(SYS_capset, &header, none) ? -errno : 0;
}
