/* SPDX-License-Identifier: MIT */
/*
 * A keeper with workers that have an echo device (echo.h), in processes of their own, as the tests of host/vhost/keeper.h
 * disturb them; the frontend and the guest are the test. Thread: the test's only one.
 */
#ifndef MULLION_TESTS_LIB_KEEPER_WORLD_H
#define MULLION_TESTS_LIB_KEEPER_WORLD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

struct fake_guest_options;
struct vhost_peer;

/* A worker that does not come round for so long hangs. */
#ifdef __SANITIZE_ADDRESS__
#define KEEPER_HANG_NS 3000000000ull
#else
#define KEEPER_HANG_NS 1500000000ull
#endif

/* Of one keeper_world_serve(). */
#define KEEPER_REQUESTS 8u
/* The request during which the first worker is taken over. */
#define KEEPER_TAKEN_OVER 3

/* How the workers are. */
enum keeper_mood {
	KEEPER_WELL,
	KEEPER_CAN_NOT_START,
	KEEPER_TALKS_NONSENSE,	/* each other one, from the first */
	KEEPER_DIES_AT_STEPS,	/* the first one, at die_at */
	KEEPER_DIES_WHEN_READY, /* all but the first */
	KEEPER_IN_BAND,
	KEEPER_IN_SANDBOX,
	KEEPER_COUNTS_IN_CONFIG, /* its number is in the config space */
	KEEPER_BEGINS_SLOWLY,	 /* the second one, in steps of so many tenths of a second: act */
};

/* Seen by test, keeper and workers. */
struct keeper_shared {
	atomic_int worker; /* the process that serves now; 0: none yet */
	atomic_uint workers;
	atomic_bool degraded;
	enum keeper_mood mood;
	char die_at[32]; /* step:count, as step_die_at() takes it */
	atomic_uint executed[256];
	atomic_uint starts; /* of devices */

	/* What the first worker does in the midst of request KEEPER_TAKEN_OVER; NULL: nothing else. */
	void (*taken_over)(struct keeper_shared *s);
	unsigned act; /* which of its acts, and what came of it: the test's */
	atomic_int result;
	char missing[512]; /* of the sandbox; "": nothing */
};

/* In a worker: keep the pulse, and do nothing else for ever. */
_Noreturn void keeper_world_pretend(void);

struct keeper_world {
	struct keeper_shared *shared;
	struct vhost_peer *peer;
	pid_t keeper;
	FILE *log; /* what keeper and workers say */
};

/* Start a keeper, and connect to it. */
void keeper_world_begin(struct keeper_world *w, const struct fake_guest_options *options, enum keeper_mood mood);
/* The same with one whose first worker dies when it reaches @step for the @number-th time. */
void keeper_world_begin_dying(struct keeper_world *w, const struct fake_guest_options *options, unsigned step,
			      unsigned number);
/* The handshake, and a driver that starts the device. */
void keeper_world_start(struct keeper_world *w);
/* The frontend leaves. Returns the exit status of the keeper. */
int keeper_world_end(struct keeper_world *w);
/* The keeper ends by itself. Returns its exit status. */
int keeper_world_end_by_itself(struct keeper_world *w);

/*
 * Make KEEPER_REQUESTS requests on @queue, numbered from @first on, with @disturb (may be NULL) in their midst, and check the
 * answers: each is the number plus one, but for those that were lost. Returns how many were.
 */
unsigned keeper_world_serve(struct keeper_world *w, unsigned queue, unsigned first,
			    void (*disturb)(struct keeper_world *w));

/* The worker dies; it hangs. */
void keeper_world_die(struct keeper_world *w);
void keeper_world_stop(struct keeper_world *w);
/* The keeper with its worker, in the midst of requests; the frontend starts another, and gives it what it has. */
void keeper_world_lose_all(struct keeper_world *w);

/* Whether keeper or workers said @what. */
bool keeper_world_log_has(struct keeper_world *w, const char *what);

#endif
