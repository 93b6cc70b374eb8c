/* SPDX-License-Identifier: MIT */
/*
 * Inside the keeper: what keeper.c (the program, and the life of a worker), keeper_frontend.c (what the frontend says),
 * keeper_link.c (what is said to the worker, and what it answers), keeper_shmem.c, keeper_objects.c and keeper_spare.c share.
 * Nobody else includes this.
 */
#ifndef MULLION_HOST_VHOST_KEEPER_PARTS_H
#define MULLION_HOST_VHOST_KEEPER_PARTS_H

#include "host/base/accept.h"
#include "host/base/log.h"
#include "host/base/loop.h"
#include "host/vhost/keeper.h"
#include "host/vhost/lease.h"
#include "host/vhost/messages.h"
#include "host/vhost/worker.h"
#include "protocol/virtio.h"

#define PROTOCOL_BIT(name) VIRTIO_BIT(VHOST_USER_PROTOCOL_F_##name)
/* What a reply of the worker is for. The worker answers in the order of the questions. */
enum reply_for {
	REPLY_FEATURES,
	REPLY_QUEUES,
	REPLY_SHMEM,
	REPLY_CONFIG,	      /* refresh the copy of the config space */
	REPLY_CONFIG_CHANGED, /* the same, then tell the frontend */
	REPLY_REPEATED,	      /* of the lease: a ring goes on or can't */
	REPLY_FRONTEND,	      /* the message that waits */
};
#define MAX_REPLIES (LEASE_MAX_REPLIES + 16u)

/* More than a device has requests in its queues. */
#define KEEPER_MAX_MAPS 512u

/* Each is a descriptor here and with the frontend. */
#define KEEPER_MAX_OBJECTS 256u
/* Workers ask one question at a time; those of dead ones may be open yet. */
#define KEEPER_MAX_QUESTIONS 16u

struct keeper {
	const struct keeper_config *config;
	struct loop *loop;
	struct loop_fd signals; /* fd -1: none */
	int status;		/* of the program */
	bool explained;		/* why it can't go on was said */

	int listener; /* -1: none */
	bool listening;
	struct loop_fd listen_watch;
	struct accept_backoff listen_backoff;
	bool one_frontend; /* there will be no other */

	struct message_socket frontend;
	struct message_socket backend; /* the frontend's channel for a device's requests; not open: none */
	struct lease lease;
	/* A message of the frontend's that the worker has to answer; until then no other is taken. */
	struct message waiting;
	bool is_waiting;
	struct loop_task drop_task; /* the frontend left */
	bool drop_posted;

	struct worker worker;
	struct worker spare; /* no process: none */
	int spare_link;	     /* our end; nothing was said on it */
	int spare_control;   /* as @control */
	bool spare_dropped;  /* it was killed, and has not ended yet */
	uint64_t spare_due_ns; /* no other is started before */
	bool ready;   /* it answered what we asked first */
	bool unbegun; /* there was a device before, which no ring that runs has made again yet */
	bool leaving; /* it is to end, with its guest */
	uint64_t left_ns; /* since when */
	struct message_socket link;
	struct message_socket worker_backend;
	unsigned link_count; /* which worker's the link is */
	/* What the frontend was asked to map or unmap and has not answered, and who asked: a ring. */
	struct keeper_map {
		unsigned link; /* link_count */
		uint32_t request;
	} maps[KEEPER_MAX_MAPS];
	unsigned map_first, map_count;
	/* What the worker shares, and kept for the next one. */
	struct keeper_object {
		struct vhost_user_object name;
		int fd;
		bool is_left; /* by a worker that died; this one has not said that it is its own */
	} objects[KEEPER_MAX_OBJECTS];
	unsigned object_count;
	/* What the frontend was asked about objects and has not answered, and who asked. */
	struct keeper_question {
		unsigned link; /* link_count */
		uint32_t request;
		struct vhost_user_object name;
	} questions[KEEPER_MAX_QUESTIONS];
	unsigned question_count;
	unsigned repeated_count; /* REPLY_REPEATED that are still to come */
	enum reply_for replies[MAX_REPLIES];
	unsigned reply_first, reply_count;
	uint64_t owed_ns; /* for how long the first of them has been waited for */
	struct loop_timer watch_timer;
	uint64_t watched_ns;	/* when the timer last came */
	uint64_t pulse, still_ns; /* the worker's pulse then, and for how long it has been the same */
	int control;		       /* who asks at config->control is to have it, to ask the worker; -1: has it, or nobody asks */
	struct loop_task replace_task; /* the link broke */
	bool replace_posted;

	struct worker_memory *memory;
	int journal, shared;	     /* -1: none */
	uint64_t *deaths; /* when, the last 2 * max_deaths of them: a ring */
	unsigned death_count;
	uint64_t died_ns;	     /* the worker that is replaced now; 0: none is */

	/* The same for every worker, but the config space. */
	bool known;
	uint64_t features;
	uint64_t queues;
	struct vhost_user_shmem_config shmem;
	uint8_t space[VHOST_USER_MAX_CONFIG];
};

/* End keeper_run() with @status. */
void keeper_end_program(struct keeper *k, int status);
/* A socket to ask a worker on: *ours is for who asks, *its the worker's; both -1 where nobody does. 0 or a negative errno. */
int keeper_make_control(const struct keeper *k, int *ours, int *its);
void keeper_close_fd(int fd); /* -1 is fine */

/* ---- keeper_frontend.c ---- */

/* Take a connected socket. Returns 0 or a negative errno; @fd is closed either way. */
int keeper_take_frontend(struct keeper *k, int fd);
/* A loop_fd's op: somebody connects to the listener. */
void keeper_somebody_connects(struct loop_fd *f, uint32_t events);
/* A loop_task's op: the frontend left. */
void keeper_drop_frontend(struct loop_task *t);
/* Pass the message that waits on to the worker, which is ready. */
void keeper_send_waiting(struct keeper *k);
/* The worker has answered it with @m. */
void keeper_answer_waiting(struct keeper *k, const struct message *m);
/* It was GET_VRING_BASE of a ring that the worker had stopped before it died: the memory knows where. */
void keeper_answer_stopped_ring(struct keeper *k);
/* Nobody will answer it any more. */
void keeper_forget_waiting(struct keeper *k);
/* A request of the device's, on the frontend's channel for them. */
void keeper_tell_frontend(struct keeper *k, uint32_t request, const void *payload, size_t bytes);

/* ---- keeper_spare.c ---- */

/* Now and then: start one if there is use for it. */
void keeper_look_for_spare(struct keeper *k);
/*
 * The worker died: the spare one is it from now on, *link is where it is asked, and *control is for who asks it on behalf of
 * the user. False: there is none.
 */
bool keeper_take_spare(struct keeper *k, int *link, int *control);
/* It must not serve this guest any more: it is killed, and gone a little later. */
void keeper_drop_spare(struct keeper *k);
/* The same, and wait for that: the loop runs no more. */
void keeper_end_spare(struct keeper *k);

/* ---- keeper_shmem.c ---- */

/* The worker wants something mapped, or unmapped, by the frontend. A negative errno: it breaks the protocol. */
int keeper_worker_maps(struct keeper *k, struct message *m);
/* The frontend answers. A negative errno: it breaks the protocol. */
int keeper_frontend_mapped(struct keeper *k, const struct message *m);
/* Close the frontend's channel for a device's requests: what it has not answered it will not, and the worker is told. */
void keeper_close_backend(struct keeper *k);

/* ---- keeper_objects.c ---- */

/* What a worker may give to others, who map it: memory that can't be cut off under them, no device, file or socket. */
bool keeper_is_memory(int fd);
/* The worker announces an object, takes it back, or looks for one. A negative errno: it breaks the protocol. */
int keeper_worker_shares(struct keeper *k, struct message *m);
/* The frontend answers. A negative errno: it breaks the protocol. */
int keeper_frontend_shared(struct keeper *k, struct message *m);
/* The frontend wants one. */
int keeper_get_object(struct keeper *k, struct message *m);
/* The worker died: the next one finds its objects here. */
void keeper_leave_objects(struct keeper *k);
/*
 * The next one may have begun, and then its device is made again: what it did not find then is nobody's. A device looks for what its journal names when the first
 * ring runs, which may be long after the worker is there: the machine may have paused.
 */
void keeper_settle_objects(struct keeper *k);
/* Nobody will look for what was left. */
void keeper_drop_left_objects(struct keeper *k);
/* The guest is gone. */
void keeper_forget_objects(struct keeper *k);
/* Nobody will answer what the frontend was asked about them. */
void keeper_end_questions(struct keeper *k);

/* ---- keeper_link.c ---- */

/* The worker has just been started with the other end of @fd (taken): ask what is to be known of it. */
int keeper_open_link(struct keeper *k, int fd);
void keeper_close_link(struct keeper *k);
/* Ask the worker something; what its reply is for is remembered. A worker that can't be asked is replaced. */
void keeper_ask(struct keeper *k, enum reply_for reply, uint32_t request, uint32_t flags, const void *payload, size_t bytes,
		const int *fds, unsigned fd_count);
void keeper_ask_config(struct keeper *k, enum reply_for reply);
/* What the worker is to agree on when the frontend agrees on @frontend. */
uint64_t keeper_worker_protocol(const struct keeper *k, uint64_t frontend);
/* A loop_task's op: the link is of no use any more, so the worker isn't either. */
void keeper_replace_worker(struct loop_task *t);

#endif
