/* SPDX-License-Identifier: MIT */
/*
 * The connection to a vhost-user device process (the backend): connect, agree on features, and one function a thing
 * that a frontend says. What comes back is checked; a backend that answers late, wrongly or not at all is
 * disconnected, and @why says what it did.
 *
 * Every call waits for its answer, together no longer than vhost_session_allow() gave them. Thread: the owner's, any.
 */
#ifndef MULLION_VMM_VHOST_USER_SESSION_H
#define MULLION_VMM_VHOST_USER_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/virtio/shmem.h"

struct guest_mem;
struct shared_objects;
struct virtq_setup;

/* How long a backend may take for what one action of the guest asks of it. */
#define VHOST_SESSION_LIMIT_NS 5000000000ull
/* And for its first words, with a driver to load, where all may be emulated. */
#define VHOST_SESSION_START_NS 60000000000ull
/* And until it listens, where it was started together with us. */
#define VHOST_SESSION_PATIENCE_NS 2000000000ull

/* A process waits for the answer to one announcement before it makes the next. */
#define VHOST_SESSION_MAX_ANNOUNCED 4u

struct vhost_session {
	int fd;			/* -1: not connected */
	int backend_fd;		/* where the backend asks us; -1: it can't */
	uint64_t features;	/* that the backend has, VHOST_USER_F_PROTOCOL_FEATURES included */
	uint64_t protocol;	/* protocol features agreed on */
	unsigned queue_limit;	/* how many queues it can serve; 0: it doesn't tell */
	/*
	 * Its shared memory region, once vhost_session_get_shmem() was called. @map does what it wants done with it (@request:
	 * VHOST_USER_BACKEND_SHMEM_MAP or UNMAP), whenever it asks: also while a call here waits for it. Returns 0 or a
	 * negative errno, which it is told. NULL: -EOPNOTSUPP.
	 */
	struct virtio_shmem_region shmem;
	int (*map)(void *owner, uint32_t request, struct virtio_shmem_request *r);
	void *owner;
	/*
	 * What it shares with other devices, and what those share; set before it is opened. NULL: no such thing is agreed on.
	 * What it announces is asked for later, since other answers may be on their way: see vhost_session_take_object().
	 */
	struct shared_objects *objects;
	struct vhost_session_object {
		uint8_t uuid[16];
		bool wants_answer;
	} announced[VHOST_SESSION_MAX_ANNOUNCED];
	unsigned announced_count;
	bool changed;		/* its config space did, and nobody was told yet: see vhost_session_asked() */
	uint64_t limit_ns, deadline_ns; /* private */
	char why[256];		/* after a failure: what the backend did, and what to do */
};

/* One queue on its way to the backend. */
struct vhost_ring {
	unsigned index;
	const struct virtq_setup *setup;
	bool packed;
	int kick, call, error; /* eventfds */
};

/* The calls from here on have VHOST_SESSION_LIMIT_NS together. */
void vhost_session_allow(struct vhost_session *s);

/*
 * Connect to the socket at @path and learn what the backend can do. While nobody listens there, this waits up to
 * @patience_ns for a program that is just starting. Returns 0 or a negative errno with s->why set and nothing open, as all
 * of the following do.
 */
int vhost_session_open(struct vhost_session *s, const char *path, uint64_t patience_ns);
/*
 * The same with @fd (taken; -1: s->why says that its program could not be started), to a process that has just been
 * started and may take VHOST_SESSION_START_NS to be ready.
 */
int vhost_session_open_fd(struct vhost_session *s, int fd);
/* Closed already is fine; zeroed storage is not (fd 0): begin with VHOST_SESSION_CLOSED. */
void vhost_session_close(struct vhost_session *s);
#define VHOST_SESSION_CLOSED ((struct vhost_session){.fd = -1, .backend_fd = -1})

/* True if @protocol_feature (VHOST_USER_PROTOCOL_F_*) was agreed on. */
static inline bool vhost_session_can(const struct vhost_session *s, unsigned protocol_feature)
{
	return s->protocol >> protocol_feature & 1;
}

/* The first @size bytes of the config space; @size up to VHOST_USER_MAX_CONFIG. */
int vhost_session_get_config(struct vhost_session *s, void *to, uint32_t size);
int vhost_session_set_config(struct vhost_session *s, uint32_t offset, const void *from, uint32_t size);

/* Which shared memory region it has, into s->shmem (size 0: none). Only with VHOST_USER_PROTOCOL_F_SHMEM. */
int vhost_session_get_shmem(struct vhost_session *s);

/*
 * For s->announced_count > 0, outside of all other calls: ask for the oldest of what it announced, and answer it. What it may not
 * share is refused, and no reason to fail.
 */
int vhost_session_take_object(struct vhost_session *s);

/* Before rings start: what the driver accepted, and where its memory is. */
int vhost_session_set_features(struct vhost_session *s, uint64_t features);
int vhost_session_set_memory(struct vhost_session *s, const struct guest_mem *mem);
/* The areas of @ring were checked: they lie in @mem. */
int vhost_session_start_ring(struct vhost_session *s, const struct guest_mem *mem, const struct vhost_ring *ring);
/* When it returns 0 the backend has let go of the ring. */
int vhost_session_stop_ring(struct vhost_session *s, unsigned index);

/*
 * The socket is readable though nothing was asked. Returns 0 if that was nothing after all; else the backend is
 * disconnected.
 */
int vhost_session_unasked(struct vhost_session *s);
/*
 * s->backend_fd is readable, or s->changed is set. Takes one request of the backend, if one is there, and answers it;
 * *changed: its config space did.
 */
int vhost_session_asked(struct vhost_session *s, bool *changed);

#endif
