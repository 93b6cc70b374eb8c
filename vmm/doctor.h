/* SPDX-License-Identifier: MIT */
/* `mullion doctor`: what this host can do, and the cure for what it can't; what keeps a process in. */
#ifndef MULLION_VMM_DOCTOR_H
#define MULLION_VMM_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * @argv[0] is "doctor". Returns the exit status: 0 when a guest can run (--pid: when the process is confined), 1 when not,
 * 2 for wrong options.
 */
int doctor_main(int argc, char **argv);

/* What a throw-away guest showed of /dev/kvm's processor (doctor_speed.c). */
struct doctor_speed {
	uint64_t instructions_per_second; /* of integer code */
	bool ran_to_end;		  /* also past what stood after that code */
};

/* That guest: it counts between its first two exits, and comes to a third where its last part runs. */
struct doctor_guest {
	const void *code; /* entered at its start */
	size_t code_bytes;
	uint64_t instructions;
	uint32_t exit_reason;		      /* of the exits that it asks for */
	unsigned long (*vm_type)(int kvm_fd); /* argument of KVM_CREATE_VM; NULL: 0 */
	int (*set_up)(int kvm_fd, int vm_fd, int vcpu_fd, uint64_t entry);
};

/*
 * Below this, guest code is interpreted one instruction at a time: such a host manages a few million a second,
 * the slowest processor that runs guests itself, in emulation by another, still a hundred million.
 */
#define DOCTOR_EMULATED_BELOW 30000000ull

/* A line: "ok", "warn" or "fail", what, how it is, what to do about it (NULL: nothing). */
typedef void doctor_report(void *owner, const char *verdict, const char *name, const char *text, const char *cure);
/* Report one whose text is @format's. */
__attribute__((format(printf, 6, 7))) void doctor_say(doctor_report *to, void *owner, const char *verdict,
						      const char *name, const char *cure, const char *format, ...);

/*
 * What keeps process @pid in, or, when it has children, each of those (doctor_process.c). Returns false if a line says
 * "fail": one of them isn't confined, or can't be looked at.
 */
bool doctor_process(long pid, doctor_report *report, void *owner);

/* What this host has to keep the processes of devices in, and whether their programs are there (doctor_sandbox.c). */
void doctor_sandbox(doctor_report *report, void *owner);

/* ---- of the processor architecture's folder ---- */
extern const struct doctor_guest doctor_guest;
/* What only such a host has or lacks; false if no guest can run. @speed: NULL if it could not be measured. */
bool doctor_architecture(int kvm_fd, const struct doctor_speed *speed, doctor_report *report, void *owner);

/* Run that guest. Returns 0 or a negative errno; *@what then names the step that failed. */
int doctor_measure(int kvm_fd, struct doctor_speed *out, const char **what);

#endif
