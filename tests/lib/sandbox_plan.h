/* SPDX-License-Identifier: MIT */
/* What a test of the sandbox has a worker do, in a process that sandbox_spawn() starts. */
#ifndef MULLION_TESTS_LIB_SANDBOX_PLAN_H
#define MULLION_TESTS_LIB_SANDBOX_PLAN_H

#include "host/vhost/sandbox.h"

/* What a worker's status says. */
enum {
	GOOD = 0,
	STOPPED = 90, /* prepare() or lock() refused */
};

struct sandbox_plan {
	struct sandbox_config config;
	int keep;			  /* a descriptor of the parent's that it may use; 0: none */
	int (*before)(struct sandbox *s); /* after prepare(); not GOOD: the exit status */
	int (*act)(struct sandbox *s);	  /* after lock() */
};

/* For sandbox_spawn(): @plan is a struct sandbox_plan. */
int sandbox_plan_work(struct sandbox *s, void *plan);
/* Spawn that and wait for it: the exit status, or a signal as a negative number, or less than -1000 if there is none. */
int sandbox_plan_run(const struct sandbox_plan *p);

#endif
