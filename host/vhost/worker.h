/* SPDX-License-Identifier: MIT */
/*
 * The worker: the process in which a device really is, with its rings and its renderer or codecs. It is started by a
 * keeper, serves one guest, and may die at any moment; what has to outlive it lies in memory and in descriptors of the
 * keeper's.
 *
 * Thread: the keeper's loop, which must be the only thread of its process: workers are forked.
 */
#ifndef MULLION_HOST_VHOST_WORKER_H
#define MULLION_HOST_VHOST_WORKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "host/base/loop.h"
#include "host/virtio/control_socket.h"
#include "host/virtio/device.h"
#include "host/virtio/inflight.h"

struct sandbox;
struct worker_output;

/* Shared by a keeper and its workers, in turn. */
struct worker_memory {
	uint64_t pulse_ns; /* when the worker's loop last came round (loop_now_ns()); 0: it has not begun */
	struct control_mode modes[DISPLAY_CONTROL_MAX]; /* of displays, as the user set them */
	uint8_t reserved[4096 - 8 - sizeof(struct control_mode) * DISPLAY_CONTROL_MAX];
	struct inflight_ring rings[VIRTIO_DEVICE_MAX_QUEUES];
};

/* A sealed memfd with a struct worker_memory, mapped. Returns 0 or a negative errno. */
int worker_memory_create(struct worker_memory **out);
void worker_memory_destroy(struct worker_memory *m);
/* Whoever is to keep the pulse has not begun. */
void worker_memory_still(struct worker_memory *m);

/* What a worker starts with. */
struct worker_place {
	int link; /* a connected socket on which the keeper is the vhost-user frontend; the worker's own */
	struct worker_memory *memory;
	int journal;   /* a memfd for host/virtio/journal.h; -1: none */
	int shared;    /* one for host/virtio/shared_heap.h; -1: none */
	/*
	 * Another worker serves the guest still: nothing of @memory, the journal, the shared memory and the other sockets is this
	 * one's before the first word on @link, which may never come.
	 */
	bool spare;
	int control;   /* a socket of its own, for host/vhost/control_server.h; -1: none */
	int screen;    /* and one that a display of the device is reached by; -1: none */
	bool degraded; /* the ones before died too often: do without what may be the reason */
	/* Of this worker, which is prepared; to be locked before the first word of the frontend's. */
	struct sandbox *sandbox;
};

struct worker {
	pid_t pid; /* 0: none */
	struct loop *loop;
	struct loop_fd watch; /* of the process */
	struct worker_output *output;
	void (*ended)(void *owner, int status); /* @status: as waitpid() has it */
	void *owner;
};

/*
 * Start a process in place->sandbox that runs @work(@work_owner, @place) and ends with what it returns. It keeps the
 * descriptors of @place and the standard ones, no others, and dies with this process. What it writes to the standard ones goes on
 * to our standard error (worker_output.h). w->loop, ended and owner are set by the caller; ended is
 * called once, on the loop. Returns 0 or a negative errno.
 */
int worker_start(struct worker *w, int (*work)(void *owner, const struct worker_place *place), void *work_owner,
		 const struct worker_place *place);
/* @from's process is @to's from now on, which had none. Returns 0 or a negative errno. */
int worker_take(struct worker *to, struct worker *from);
/* Kill it, whatever it does; ended follows. No-op without a process. */
void worker_kill(struct worker *w);
/* Wait up to @timeout_ms for its end, then kill it; ended is not called. Returns its wait status; 0 without a process. */
int worker_stop(struct worker *w, int timeout_ms);

/*
 * For the worker: have m->pulse_ns follow @loop until the loop goes. What keeps the loop longer than the keeper waits tells of
 * its steps by worker_pulse_beat(), so that only one of them that takes as long is a hang.
 */
struct worker_pulse {
	struct worker_memory *memory;
	struct loop *loop;
	struct loop_timer timer;
};
void worker_pulse_start(struct worker_pulse *p, struct worker_memory *m, struct loop *loop);
void worker_pulse_beat(struct worker_pulse *p);

#endif
