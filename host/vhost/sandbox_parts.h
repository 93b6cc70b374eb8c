/* SPDX-License-Identifier: MIT */
/* Inside the sandbox: what sandbox.c shares with the files that apply its parts. Nobody else includes this. */
#ifndef MULLION_HOST_VHOST_SANDBOX_PARTS_H
#define MULLION_HOST_VHOST_SANDBOX_PARTS_H

#include <stdbool.h>
#include <stdio.h>

#include "host/vhost/sandbox.h"

/* In the order in which they are named. Namespaces come first. */
enum sandbox_part {
	SANDBOX_USER_NAMESPACE,
	SANDBOX_MOUNT_NAMESPACE,
	SANDBOX_PID_NAMESPACE,
	SANDBOX_NET_NAMESPACE,
	SANDBOX_IPC_NAMESPACE,
	SANDBOX_UTS_NAMESPACE,
	SANDBOX_TREE,
	SANDBOX_LANDLOCK,
	SANDBOX_IDENTITY,
	SANDBOX_LIMITS,
	SANDBOX_CAPABILITIES,
	SANDBOX_SECCOMP,
	SANDBOX_PART_COUNT,
};

/*
 * What may be done with a file; a directory stands for all that is in it. LIST: names in directories only, which are those
 * of other rows where the worker has a tree of its own.
 */
enum sandbox_access { SANDBOX_LIST, SANDBOX_READ, SANDBOX_DEVICE, SANDBOX_WRITE };

struct sandbox_path {
	const char *pattern; /* glob(7); what is not there is passed over */
	enum sandbox_access access;
	bool (*is_wanted)(const char *path); /* of what is there; NULL: all of it */
};

/* A type of ioctls: bits 8 to 15 of their numbers. */
struct sandbox_ioctl {
	const char *family;
	unsigned char type;
};

struct sandbox_profile {
	const struct sandbox_path *paths;   /* until pattern NULL */
	const char *device_pattern;	    /* instead of it, sandbox_config.device if there is one */
	const char *const *path_variables;  /* environment variables that name more directories; until NULL */
	const struct sandbox_ioctl *ioctls; /* until family NULL */
	unsigned processes;		    /* threads, at most */
	bool reopens_devices; /* devices are opened after the lock, too: drivers of codecs, for each stream */
	bool socket_pairs;		    /* socketpair(2), whose ends are both here: GStreamer wakes its threads so */
};

/* A file that is there. */
struct sandbox_file {
	char *given; /* as the drivers name it */
	char *real;  /* the same without symbolic links */
	enum sandbox_access access;
};

#define SANDBOX_MAX_FILES 256u
#define SANDBOX_MAX_GROUPS 16u
#define SANDBOX_CACHE "/cache"

struct sandbox {
	struct sandbox_config config;
	int missing[SANDBOX_PART_COUNT]; /* the errno for which a part is not there; 0: it is */
	char missing_text[512];

	struct sandbox_file files[SANDBOX_MAX_FILES];
	unsigned file_count;

	/* Whom the worker is to be. Not root, where root starts it, unless root's directory is to be written. */
	uid_t uid;
	gid_t gid;
	gid_t groups[SANDBOX_MAX_GROUPS]; /* of the devices' files; for a worker that root starts */
	unsigned group_count;
	bool becomes; /* not who it is already */
	bool mapped;  /* became that with its user namespace */
};

static inline bool sandbox_has(const struct sandbox *s, enum sandbox_part part)
{
	return s->missing[part] == 0;
}

/* sandbox_files.c: fill in s->files; before the tree is changed. Returns 0 or -ENOMEM. */
int sandbox_find_files(struct sandbox *s);
void sandbox_forget_files(struct sandbox *s);

/* sandbox_user.c: choose whom to be, from s->files; maps of the user namespace of @pid (0: ours); become that. */
void sandbox_choose_user(struct sandbox *s);
int sandbox_map_user(const struct sandbox *s, pid_t pid, bool as_root);
int sandbox_become_user(const struct sandbox *s);
int sandbox_drop_capabilities(void);

/* sandbox_tree.c: a root directory with nothing in it but s->files. Needs an own mount namespace. */
int sandbox_make_tree(struct sandbox *s);

/* landlock.c: the calling thread and what it starts reaches s->files only. */
int sandbox_apply_landlock(const struct sandbox *s);

/* seccomp.c: all threads have the profile's system calls only. */
int sandbox_apply_seccomp(const struct sandbox *s);

#endif
