// SPDX-License-Identifier: MIT
#include "tests/lib/codec_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>
#include <time.h>

#include "host/video/gst_elements.h"
#include "tests/lib/tap.h"

int codec_run_tests(const struct CMUnitTest *tests, size_t count)
{
	int failed;

	if (!gst_elements_init())
		tap_skip_all("GStreamer does not start");
	failed = _cmocka_run_group_tests("codec", tests, count, NULL, NULL);
	for (unsigned i = 0; i < 3000 && codec_gst_ops.stopping() > 0; i++)
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	return failed;
}
