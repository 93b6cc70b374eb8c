/* SPDX-License-Identifier: MIT */
#ifndef MULLION_TESTS_BARE_CHECK_H
#define MULLION_TESTS_BARE_CHECK_H

#include "guest-drivers/bare/gpu.h"
#include "guest-drivers/bare/report.h"

/* One check: @rc, what a gpu_ call returned, is 0. */
static inline bool check_gpu(const struct gpu *g, int rc, const char *what)
{
	return report_check(!rc, "%s: error %d, answer 0x%04x", what, rc, g->answer);
}

#endif
