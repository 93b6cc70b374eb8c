// SPDX-License-Identifier: MIT
/*
 * EDID: edid-decode finds nothing to complain of for any size, and sees the mode that was asked for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/gpu/edid.h"

static const struct size {
	uint32_t width, height;
} sizes[] = {
	{1, 1},	      {64, 64},	    {160, 120},	  {640, 480},	{720, 1280},  {800, 600},     {1024, 768},
	{1280, 720},  {1280, 800},  {1366, 768},  {1440, 900},	{1600, 1200}, {1920, 720},    {1920, 1080},
	{1920, 1200}, {2560, 1440}, {2560, 1600}, {3440, 1440}, {3840, 2160}, {4095, 2000},   {4095, 4095},
	{4096, 2160}, {5120, 1440}, {5120, 2880}, {7680, 4320}, {2160, 7680}, {16384, 16384}, {16384, 1},
	{1, 16384},   {4097, 3},    {100, 4096},  {9000, 100},	{1365, 767},
};

#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static unsigned checksum(const uint8_t *block)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < EDID_BLOCK_BYTES; i++)
		sum += block[i];
	return sum & 0xff;
}

static void blocks_are_whole(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SIZES; i++) {
		struct edid_info info = {sizes[i].width, sizes[i].height, i};
		uint8_t edid[EDID_MAX_BYTES];
		size_t n = edid_generate(&info, edid);

		assert_true(n == 128 || n == 256);
		assert_int_equal(edid[126], n / 128 - 1);
		for (size_t b = 0; b < n; b += 128)
			assert_int_equal(checksum(edid + b), 0);
	}
}

/* 60 Hz within CVT's rounding, blanking long enough, for every size that an EDID can say at 60 Hz. */
static void timings_are_sixty_hertz(void **state)
{
	struct edid_timing t;

	(void)state;
	for (unsigned i = 0; i < SIZES; i++) {
		double hz, blank_us;

		if (sizes[i].width * (uint64_t)sizes[i].height > 7680u * 4320u || sizes[i].height > 8000)
			continue;
		edid_timing_reduced(sizes[i].width, sizes[i].height, &t);
		hz = t.clock_khz * 1000.0 / t.h_total / t.v_total;
		blank_us = (t.v_total - t.v_active) * (double)t.h_total * 1000.0 / t.clock_khz;
		assert_int_equal(t.h_active, sizes[i].width);
		assert_int_equal(t.v_active, sizes[i].height);
		assert_true(hz > 58.4 && hz < 60.01);
		assert_true(blank_us >= 459);
		assert_true(t.h_front + t.h_sync < t.h_total - t.h_active && t.v_front + t.v_sync < t.v_total - t.v_active);
	}
	/* The timing that VESA's own table lists for 1920x1080 with reduced blanking. */
	edid_timing_reduced(1920, 1080, &t);
	assert_int_equal(t.clock_khz, 138500);
	assert_int_equal(t.h_total, 2080);
	assert_int_equal(t.v_total, 1111);
	assert_int_equal(t.v_sync, 5);
}

/* What edid-decode prints about @edid; its exit status in *status. */
static char *decode(const uint8_t *edid, size_t n, int *status)
{
	char path[] = "/tmp/mullion-edid-XXXXXX", command[96];
	char *text = calloc(1, 65536);
	int fd = mkstemp(path);
	FILE *pipe;
	size_t got;

	assert_non_null(text);
	assert_true(fd >= 0);
	assert_true(write(fd, edid, n) == (ssize_t)n);
	close(fd);
	snprintf(command, sizeof(command), "edid-decode --check %s 2>&1", path);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	got = fread(text, 1, 65535, pipe);
	text[got] = '\0';
	*status = pclose(pipe);
	unlink(path);
	return text;
}

static void edid_decode_is_content(void **state)
{
	(void)state;
	if (system("command -v edid-decode >/dev/null 2>&1") != 0) {
		print_message("skipped: no edid-decode; install the package of that name\n");
		skip();
	}
	for (unsigned i = 0; i < SIZES; i++) {
		struct edid_info info = {sizes[i].width, sizes[i].height, i};
		uint8_t edid[EDID_MAX_BYTES];
		size_t n = edid_generate(&info, edid);
		char size[32], name[32];
		int status;
		char *text = decode(edid, n, &status);

		snprintf(size, sizeof(size), " %ux%u ", info.width, info.height);
		snprintf(name, sizeof(name), "'Mullion %u'", info.number);
		if (status != 0 || !strstr(text, "EDID conformity: PASS"))
			fail_msg("%ux%u:\n%s", info.width, info.height, text);
		if (!strstr(text, size) || !strstr(text, name))
			fail_msg("%ux%u: no %s or no %s in\n%s", info.width, info.height, size, name, text);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_are_whole),
		cmocka_unit_test(timings_are_sixty_hertz),
		cmocka_unit_test(edid_decode_is_content),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
