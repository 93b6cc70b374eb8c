/* SPDX-License-Identifier: MIT */
/*
 * The least that a KVM program can do: memory, one slot, one vCPU, run to the guest's first port write. What any VMM
 * spends above it is the VMM's own.
 */
#ifndef MULLION_TESTS_BENCH_FLOOR_H
#define MULLION_TESTS_BENCH_FLOOR_H

#include <stdint.h>

/* Writes one byte to standard output when the guest has written its port. Returns the exit status. */
int floor_main(uint64_t memory_bytes);

#endif
