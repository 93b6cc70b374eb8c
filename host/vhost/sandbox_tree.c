// SPDX-License-Identifier: MIT
/*
 * A root directory of the worker's own: an empty file system in memory, with the files of the profile bound into it at
 * their own names, read-only (mount_namespaces(7), pivot_root(2)).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/vhost/sandbox_parts.h"

/* Any directory does: it is covered in our mount namespace only. */
#define STAGE "/tmp"
#define OLD "/old"

/* Linux 5.12. @flags: AT_RECURSIVE for all that is mounted below @path, too. */
static int restrict_mount(const char *path, unsigned flags, uint64_t attributes)
{
	struct mount_attr a = {.attr_set = attributes};

	return mount_setattr(AT_FDCWD, path, flags, &a, sizeof(a)) ? -errno : 0;
}

/* The directories above @path; itself, too, if @whole. */
static int make_directories(const char *path, bool whole)
{
	char *copy = strdup(path);
	int err = 0;

	if (!copy)
		return -ENOMEM;
	for (char *at = copy + 1; !err && (at = strchr(at, '/')); at++) {
		*at = '\0';
		if (mkdir(copy, 0755) && errno != EEXIST)
			err = -errno;
		*at = '/';
	}
	if (!err && whole && mkdir(copy, 0755) && errno != EEXIST)
		err = -errno;
	free(copy);
	return err;
}

static int make_target(const char *path, bool directory)
{
	int fd, err = make_directories(path, directory);

	if (err || directory || access(path, F_OK) == 0)
		return err;
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0444);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static const uint64_t attributes_of[] = {
	[SANDBOX_READ] = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
	/* Devices are written all the same: read-only are their nodes. */
	[SANDBOX_DEVICE] = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
	[SANDBOX_WRITE] = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
};

static int bind_file(const struct sandbox_file *f)
{
	char from[PATH_MAX];
	struct stat st;
	uint64_t attributes = attributes_of[f->access];
	int err;

	if (f->access == SANDBOX_LIST)
		return 0;
	if ((size_t)snprintf(from, sizeof(from), OLD "%s", f->real) >= sizeof(from))
		return -ENAMETOOLONG;
	/* What this user may not see is not there for him. */
	if (stat(from, &st))
		return errno == EACCES ? 0 : -errno;
	/* /dev/urandom is read, and a device. */
	if (S_ISCHR(st.st_mode))
		attributes &= ~(uint64_t)MOUNT_ATTR_NODEV;
	err = make_target(f->real, S_ISDIR(st.st_mode));
	if (err)
		return err;
	if (mount(from, f->real, NULL, MS_BIND | MS_REC, NULL))
		return -errno;
	err = restrict_mount(f->real, AT_RECURSIVE, attributes);
	if (err || !strcmp(f->given, f->real) || f->given[0] != '/')
		return err;
	err = make_directories(f->given, false);
	if (!err && symlink(f->real, f->given) && errno != EEXIST && errno != EROFS)
		err = -errno;
	return err;
}

static int mount_cache(const struct sandbox *s)
{
	char options[64];

	if (!s->config.shader_cache_bytes)
		return 0;
	snprintf(options, sizeof(options), "mode=700,nr_inodes=65536,size=%llu",
		 (unsigned long long)s->config.shader_cache_bytes);
	if (mkdir(SANDBOX_CACHE, 0700) ||
	    mount("cache", SANDBOX_CACHE, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options))
		return -errno;
	return 0;
}

/* Of our own processes. Where the host covers parts of its own /proc we get none, which drivers bear. */
static void mount_proc(const struct sandbox *s)
{
	if (sandbox_has(s, SANDBOX_PID_NAMESPACE) && mkdir("/proc", 0555) == 0)
		mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL);
}

static int enter_stage(void)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -errno;
	if (mount("sandbox", STAGE, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=1m,nr_inodes=4096") || chdir(STAGE) ||
	    mkdir("." OLD, 0700) || syscall(SYS_pivot_root, ".", "." OLD) || chdir("/"))
		return -errno;
	return 0;
}

int sandbox_make_tree(struct sandbox *s)
{
	char *home = getcwd(NULL, 0);
	mode_t mask = umask(0022);
	int err = enter_stage();

	for (unsigned i = 0; !err && i < s->file_count; i++)
		err = bind_file(&s->files[i]);
	if (!err)
		err = mount_cache(s);
	if (!err) {
		mount_proc(s);
		/* So that a writable directory given by a relative name has that name. */
		if (home && home[0] == '/' && make_directories(home, true) == 0 && chdir(home))
			err = -errno;
	}
	if (!err && (umount2(OLD, MNT_DETACH) || rmdir(OLD)))
		err = -errno;
	if (!err)
		err = restrict_mount("/", 0,
				     MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	umask(mask);
	free(home);
	return err;
}
