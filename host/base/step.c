// SPDX-License-Identifier: MIT
#include "host/base/step.h"

#ifdef MULLION_STEPS

#include <signal.h>
#include <stdbool.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static atomic_uint reached[STEP_COUNT];
static unsigned die_step = STEP_COUNT, die_number;
static atomic_bool known;

void step_die_at(const char *at)
{
	for (unsigned i = 0; i < STEP_COUNT; i++)
		reached[i] = 0;
	die_step = STEP_COUNT;
	if (at && sscanf(at, "%u:%u", &die_step, &die_number) != 2)
		die_step = STEP_COUNT;
	known = true;
}

void step_reached(enum step s)
{
	if (!known)
		step_die_at(getenv("MULLION_DIE_AT"));
	if (atomic_fetch_add(&reached[s], 1) + 1 == die_number && die_step == (unsigned)s)
		raise(SIGKILL);
}

#endif
