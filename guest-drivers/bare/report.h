/* SPDX-License-Identifier: MIT */
/*
 * What a test image says: one TAP line a check, so that each check is seen by the runner, and a last line
 * "PASS <name>: <n> checks" or "FAIL <name>: <f> of <n> checks".
 */
#ifndef MULLION_BARE_REPORT_H
#define MULLION_BARE_REPORT_H

#include <stdbool.h>

void report_start(const char *name);

/* Count one check and print it, with what it is called (printf format). Returns @ok. */
bool report_check(bool ok, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A check that this device can't do, with its reason. */
void report_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Nothing of this image can be checked here: say why in the plan. Returns 0: main()'s value. */
int report_skip_all(const char *reason);

/* Print the plan and the last line; returns 0 when all passed and there was at least one, 1 otherwise: main()'s value. */
int report_end(void);

#endif
