/* SPDX-License-Identifier: MIT */
/* A GStreamer element that takes H.264, gives nothing, and does not stop. */
#ifndef MULLION_TESTS_LIB_STUCK_DECODER_H
#define MULLION_TESTS_LIB_STUCK_DECODER_H

#include <stdatomic.h>

#define STUCK_DECODER "stuckdec" /* its name */

/* GStreamer knows the element from now on; it stops as others do while *@stuck is false. Lives as long as GStreamer. */
void stuck_decoder_register(const atomic_bool *stuck);

#endif
