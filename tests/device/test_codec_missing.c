// SPDX-License-Identifier: MIT
/* A host without codecs: doctor names the package for each format, and the device says where to look. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "host/video/codec.h"
#include "host/video/video.h"
#include "tests/lib/fake_guest.h"
#include "tests/lib/no_plugins.h"

struct report {
	unsigned lines, cured;
};

static void take_line(void *owner, const char *verdict, const char *name, const char *text, const char *cure)
{
	static const char command[] = "sudo apt-get install gstreamer1.0-";
	struct report *r = owner;

	(void)text;
	r->lines++;
	/* Something else than a codec may be fine. */
	if (strncmp(name, "decode ", 7) && strncmp(name, "encode ", 7)) {
		r->cured++;
		return;
	}
	assert_string_equal(verdict, "warn");
	if (strncmp(cure, command, strlen(command)))
		fail_msg("%s: '%s' installs nothing", name, cure);
	r->cured++;
}

static void doctor_names_the_package_of_each_codec(void **state)
{
	struct report r = {0};

	(void)state;
	codec_gst_ops.doctor(take_line, &r);
	/* Four formats, decoded and encoded, at least. */
	assert_true(r.lines >= 8);
	assert_int_equal(r.cured, r.lines);
}

static void a_device_without_codecs_is_refused(void **state)
{
	struct fake_guest *g = fake_guest_create(NULL);
	struct video_config config;
	struct virtio_device *d;

	(void)state;
	for (unsigned encoder = 0; encoder < 2; encoder++) {
		video_config_init(&config);
		config.codec = &codec_gst_ops;
		config.encoder = encoder != 0;
		assert_int_equal(video_create(&config, fake_guest_loop(g), fake_guest_mem(g), &d), -ENOTSUP);
	}
	fake_guest_destroy(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(doctor_names_the_package_of_each_codec),
		cmocka_unit_test(a_device_without_codecs_is_refused),
	};
	char registry[NO_PLUGINS_PATH_BYTES];
	int failed;

	if (no_plugins_begin(registry))
		return 1;
	failed = cmocka_run_group_tests_name("codec_missing", tests, NULL, NULL);
	no_plugins_end(registry);
	return failed;
}
