// SPDX-License-Identifier: MIT
/*
 * Landlock (Documentation/userspace-api/landlock.rst): which files may be opened, by path; no TCP, and no signals and
 * abstract sockets to the outside where the kernel knows of them. The kernel's header may be older than the kernel, so
 * the numbers are here.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/vhost/sandbox_parts.h"

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

#define CREATE_RULESET_VERSION 1u
#define RULE_PATH_BENEATH 1

#define FS_EXECUTE (1ull << 0)
#define FS_WRITE_FILE (1ull << 1)
#define FS_READ_FILE (1ull << 2)
#define FS_READ_DIR (1ull << 3)
#define FS_REMOVE_DIR (1ull << 4)
#define FS_REMOVE_FILE (1ull << 5)
#define FS_MAKE_DIR (1ull << 7)
#define FS_MAKE_REG (1ull << 8)
#define FS_MAKE_SYM (1ull << 12)
#define FS_REFER (1ull << 13)
#define FS_TRUNCATE (1ull << 14)
#define FS_IOCTL_DEV (1ull << 15)
#define FS_ABI_1 (FS_MAKE_SYM * 2 - 1)

#define NET_TCP (3ull << 0)   /* bind and connect */
#define SCOPE_ALL (3ull << 0) /* abstract UNIX sockets, signals */

struct ruleset_attr {
	uint64_t fs, net, scoped;
};

struct path_attr {
	uint64_t access;
	int32_t parent;
} __attribute__((packed));

/* What each ABI brought; a later one than the last has all of it. */
static const struct {
	struct ruleset_attr handled;
	size_t attr_bytes;
} abis[] = {
	{{FS_ABI_1, 0, 0}, 8},
	{{FS_ABI_1 | FS_REFER, 0, 0}, 8},
	{{FS_ABI_1 | FS_REFER | FS_TRUNCATE, 0, 0}, 8},
	{{FS_ABI_1 | FS_REFER | FS_TRUNCATE, NET_TCP, 0}, 16},
	{{FS_ABI_1 | FS_REFER | FS_TRUNCATE | FS_IOCTL_DEV, NET_TCP, 0}, 16},
	{{FS_ABI_1 | FS_REFER | FS_TRUNCATE | FS_IOCTL_DEV, NET_TCP, SCOPE_ALL}, 24},
};
#define ABI_COUNT (sizeof(abis) / sizeof(abis[0]))

#define OF_FILES (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)

static const uint64_t rights_of[] = {
	[SANDBOX_LIST] = FS_READ_DIR,
	[SANDBOX_READ] = FS_READ_FILE | FS_READ_DIR,
	[SANDBOX_DEVICE] = FS_READ_FILE | FS_READ_DIR | FS_WRITE_FILE | FS_IOCTL_DEV,
	[SANDBOX_WRITE] = FS_READ_FILE | FS_READ_DIR | FS_WRITE_FILE | FS_TRUNCATE | FS_REMOVE_FILE | FS_REMOVE_DIR |
			  FS_MAKE_DIR | FS_MAKE_REG | FS_REFER,
};

static int allow(int ruleset, const char *path, uint64_t rights)
{
	struct path_attr a = {.access = rights, .parent = open(path, O_PATH | O_CLOEXEC)};
	struct stat st;
	int err = 0;

	if (a.parent < 0)
		return errno == ENOENT || errno == EACCES ? 0 : -errno;
	/* A file takes the rights of files only. */
	if (fstat(a.parent, &st) == 0 && !S_ISDIR(st.st_mode))
		a.access &= OF_FILES;
	if (syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &a, 0))
		err = -errno;
	close(a.parent);
	return err;
}

/* The processor for the JIT, the NVIDIA driver's parameters, and ourselves. */
static const char *const proc_files[] = {
	"/proc/self",	 "/proc/cpuinfo", "/proc/meminfo",	 "/proc/version",
	"/proc/devices", "/proc/modules", "/proc/driver/nvidia",
};

int sandbox_apply_landlock(const struct sandbox *s)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);
	const struct ruleset_attr *handled;
	size_t row;
	int fd, err = 0;

	if (abi < 1)
		return abi < 0 ? -errno : -ENOSYS;
	row = (size_t)abi > ABI_COUNT ? ABI_COUNT - 1 : (size_t)abi - 1;
	handled = &abis[row].handled;
	fd = (int)syscall(SYS_landlock_create_ruleset, handled, abis[row].attr_bytes, 0);
	if (fd < 0)
		return -errno;
	for (unsigned i = 0; !err && i < s->file_count; i++)
		err = allow(fd, s->files[i].real, rights_of[s->files[i].access] & handled->fs);
	for (size_t i = 0; !err && i < sizeof(proc_files) / sizeof(proc_files[0]); i++)
		err = allow(fd, proc_files[i], rights_of[SANDBOX_READ] & handled->fs);
	if (!err && s->config.shader_cache_bytes && sandbox_has(s, SANDBOX_TREE))
		err = allow(fd, SANDBOX_CACHE, rights_of[SANDBOX_WRITE] & handled->fs);
	/* Drivers list the directory to find nodes. */
	if (!err)
		err = allow(fd, "/dev/dri", FS_READ_DIR);
	if (!err && syscall(SYS_landlock_restrict_self, fd, 0))
		err = -errno;
	close(fd);
	return err;
}
