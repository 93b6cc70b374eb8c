/* SPDX-License-Identifier: MIT */
/*
 * `mullion ctl`: one request to a running guest.
 */
#ifndef MULLION_VMM_CTL_CLIENT_H
#define MULLION_VMM_CTL_CLIENT_H

/* @argv[0] is "ctl". Returns the exit status: 0, 1 (refused, or nobody there), 2 (wrong usage). */
int ctl_main(int argc, char **argv);

#endif
