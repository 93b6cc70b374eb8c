/* SPDX-License-Identifier: MIT */
/*
 * A keeper in this process, without keeper_run() and without any other process: the caller is its frontend, and its worker,
 * which may say anything. Nothing runs but in keeper_inside_turn(). Thread: one.
 */
#ifndef MULLION_TESTS_LIB_KEEPER_INSIDE_H
#define MULLION_TESTS_LIB_KEEPER_INSIDE_H

#include "host/vhost/keeper_parts.h"

struct keeper_inside {
	struct keeper keeper;
	struct keeper_config config;
	/* The other ends of its sockets; -1: not there. */
	int frontend, frontend_backend, link, worker_backend;
};

/* A frontend is there, and a worker that was asked what is asked first. */
void keeper_inside_begin(struct keeper_inside *i);
void keeper_inside_end(struct keeper_inside *i);
/* Let the keeper do what it can. */
void keeper_inside_turn(struct keeper_inside *i);
/* The worker died: there is another, as at the beginning. */
void keeper_inside_replace_worker(struct keeper_inside *i);
/* The keeper has given its worker up. */
bool keeper_inside_gave_up(const struct keeper_inside *i);

/* Say a message at the other end @socket; @fd -1: without one. Never waits; what does not fit is lost. */
void keeper_inside_say(int socket, uint32_t request, uint32_t flags, const void *payload, size_t bytes, int fd);
/* Take the next message there. Returns false if there is none. *fd is the caller's; -1: none came. */
bool keeper_inside_hear(int socket, struct vhost_user_header *h, void *payload, size_t size, int *fd);
/* As a worker answers that is well: the next question on the link. Returns false if there is none. */
bool keeper_inside_answer(struct keeper_inside *i);
/* All of them, with the keeper's turns between. */
void keeper_inside_answer_all(struct keeper_inside *i);

#endif
