/* SPDX-License-Identifier: MIT */
#ifndef MULLION_VMM_RUN_H
#define MULLION_VMM_RUN_H

/* `mullion run`; @argv[0] is "run". Returns the exit status, an enum vm_end. */
int run_main(int argc, char **argv);

#endif
