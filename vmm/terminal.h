/* SPDX-License-Identifier: MIT */
/*
 * The user's terminal on standard input: raw while a guest uses it, put back on every way out of the process, and the
 * Ctrl-A escapes. Thread: main, unless a line says otherwise.
 */
#ifndef MULLION_VMM_TERMINAL_H
#define MULLION_VMM_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Make standard input raw if it is a terminal; returns whether it is. Installs what puts it back, also on crashes. */
bool terminal_raw(void);
/* Put it back; harmless when it was never raw. Thread: any, also from a signal handler. */
void terminal_restore(void);
/* The same again after the process was stopped and continued. */
void terminal_continue(void);

/* What the bytes typed ask of mullion. */
enum terminal_action { TERMINAL_NONE, TERMINAL_QUIT, TERMINAL_POWER_BUTTON };

/* Zeroed storage is ready. */
struct terminal_filter {
	bool escaped; /* the last byte was Ctrl-A */
};

/*
 * Take the escapes out of @n typed bytes, in place; @n becomes what is left for the guest. Ctrl-A H prints the help
 * itself. Thread: any.
 */
enum terminal_action terminal_filter(struct terminal_filter *f, uint8_t *bytes, size_t *n);

#endif
