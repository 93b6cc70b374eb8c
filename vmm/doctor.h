/* SPDX-License-Identifier: MIT */
/* `mullion doctor`: what this host can do, and the cure for what it can't. */
#ifndef MULLION_VMM_DOCTOR_H
#define MULLION_VMM_DOCTOR_H

#include <stdbool.h>
#include <stdint.h>

/* @argv[0] is "doctor". Returns the exit status: 0 when a guest can run, 1 when not, 2 for wrong options. */
int doctor_main(int argc, char **argv);

/* What a throw-away guest showed of /dev/kvm's processor (doctor_speed.c). */
struct doctor_speed {
	uint64_t instructions_per_second; /* of integer code */
	bool sse;			  /* an SSE2 instruction ran */
};

/*
 * Below this, guest code is interpreted one instruction at a time: such a host manages a few million a second,
 * the slowest processor that runs guests itself, in emulation by another, still a hundred million.
 */
#define DOCTOR_EMULATED_BELOW 30000000ull

/* Run it. Returns 0 or a negative errno; *@what then names the step that failed. */
int doctor_measure(int kvm_fd, struct doctor_speed *out, const char **what);

#endif
