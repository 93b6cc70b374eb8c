/* SPDX-License-Identifier: MIT */
/* Tests that run GStreamer's codecs, run. */
#ifndef MULLION_TESTS_LIB_CODEC_RUN_H
#define MULLION_TESTS_LIB_CODEC_RUN_H

#include <stddef.h>

struct CMUnitTest;

/* Run @tests, and wait for codecs that were let go of and still stop. Returns how many failed. */
int codec_run_tests(const struct CMUnitTest *tests, size_t count);

#endif
