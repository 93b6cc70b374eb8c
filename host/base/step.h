/* SPDX-License-Identifier: MIT */
/*
 * Places where a test kills the process, to see that what it left behind can be taken over. Built with MULLION_STEPS
 * only (make STEPS=1); otherwise nothing of it is there.
 */
#ifndef MULLION_HOST_BASE_STEP_H
#define MULLION_HOST_BASE_STEP_H

/* In the order in which a request passes them, up to STEP_COUNTED. */
enum step {
	STEP_FETCHED,    /* the request was read off the ring; nobody knows yet */
	STEP_TAKEN,      /* its slot says so */
	STEP_EXECUTING,  /* its slot says that the device works on it */
	STEP_EXECUTED,   /* the device did, and the answer is in guest memory */
	STEP_RECORDED,   /* what it changed is in the journal */
	STEP_APPLIED,    /* its slot says so; it may wait for a fence now */
	STEP_FINISHING,  /* its slot says where the used entry goes */
	STEP_PUBLISHED,  /* the driver can see the used entry */
	STEP_COUNTED,    /* the ring's position in the shared memory is behind it */
	STEP_RECOVERING, /* a new process looks at what there is */
	STEP_RECOVERED,  /* and has put it right */
	STEP_REBUILDING, /* it begins to make a GPU context again, or what was set in a submission that it skips */
	STEP_STOPPED,    /* a ring was stopped: by the frontend, or by a reset, which stops all of them */
	STEP_COUNT
};

#ifdef MULLION_STEPS
/*
 * Die (SIGKILL) if it is time: "STEP:N" in MULLION_DIE_AT is the Nth time that this process and those it was forked
 * from reach step number STEP, counted from 1. Thread: any.
 */
void step_reached(enum step s);
/* The same from here on, counted anew. NULL: never. Thread: any, but alone. */
void step_die_at(const char *at);
#else
static inline void step_reached(enum step s)
{
	(void)s;
}

static inline void step_die_at(const char *at)
{
	(void)at;
}
#endif

#endif
