/* SPDX-License-Identifier: MIT */
/*
 * The sandbox of a device's worker process (design.md, "Trust"): a worker that a guest took over reaches its GPU, the
 * descriptors it was given, and nothing else.
 *
 * The order of calls:
 *
 *   parent:  sandbox_create(), sandbox_spawn(); then watches the pidfd
 *   worker:  sandbox_prepare() while it has one thread; loads drivers and plug-ins, draws something;
 *            sandbox_lock(); serves the guest
 *
 * prepare() applies what the kernel keeps for each thread (capabilities, Landlock): a thread that a driver starts
 * inherits it, one that is there already would stay outside. lock() takes away the system calls that only loading
 * needs, of all threads at once.
 */
#ifndef MULLION_HOST_VHOST_SANDBOX_H
#define MULLION_HOST_VHOST_SANDBOX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum sandbox_mode {
	SANDBOX_AUTO,	/* apply what the host allows; one line names the rest */
	SANDBOX_STRICT, /* all of it, or a negative errno after a line with what is missing and the cure */
	SANDBOX_OFF,	/* every call here does nothing, but spawn(), which starts a plain child */
};

/* "auto", "strict" or "off". Returns 0 or -EINVAL. */
int sandbox_mode_parse(const char *text, enum sandbox_mode *out);

struct sandbox;
struct sandbox_profile; /* the files, ioctls and system calls of one program */
extern const struct sandbox_profile sandbox_gpu, sandbox_video;

struct sandbox_config {
	enum sandbox_mode mode;
	const struct sandbox_profile *profile;
	const char *device;   /* the only GPU to reach, such as /dev/dri/renderD128; NULL: those of the profile */
	const char *writable; /* the only directory to write files into; exists; NULL: none */
	uint64_t shader_cache_bytes; /* compiled shaders kept as files, in memory of the worker's own; 0: none kept */
};

/* Strings are borrowed until destroy. Returns 0 or -ENOMEM. */
int sandbox_create(const struct sandbox_config *config, struct sandbox **out);
void sandbox_destroy(struct sandbox *s);

struct sandbox_child {
	pid_t pid; /* a child of the caller: it is to be waited for */
	int pidfd; /* the caller's; readable once the child is dead */
};

/*
 * Start @run in a child in namespaces of its own; what @run returns is its exit status. The child dies with the thread
 * that called this. It is a fork: @run sees the caller's memory and descriptors, has one thread, and is process 1 of
 * its world, so a signal without a handler can't end it, except SIGKILL.
 * The calling process becomes a subreaper (prctl(2)): orphans of its children become its own, and are its to wait for.
 * Waits for the child's namespaces, a few milliseconds. Returns 0, or a negative errno after a line.
 */
int sandbox_spawn(struct sandbox *s, int (*run)(struct sandbox *s, void *arg), void *arg, struct sandbox_child *out);

/*
 * In the worker, with one thread: its own file tree, user, limits, no new privileges, no capabilities, Landlock; all
 * descriptors are closed but 0 to 2 and @keep, which is sorted here. Standard input becomes /dev/null.
 * Returns 0, or a negative errno after a line (SANDBOX_STRICT, or no memory, or more than one thread).
 */
int sandbox_prepare(struct sandbox *s, int *keep, size_t keep_count);

/*
 * In the worker, once everything is loaded: only the profile's system calls are left; any other kills the process with
 * SIGSYS. Prints one line: that the sandbox is complete, or what it lacks.
 * Returns 0, or a negative errno after a line (SANDBOX_STRICT).
 */
int sandbox_lock(struct sandbox *s);

/* Where nothing but what prepare() and lock() could not apply is wanted: its names, "" if all was. For tests. */
const char *sandbox_missing(struct sandbox *s);

#endif
