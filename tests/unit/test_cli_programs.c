// SPDX-License-Identifier: MIT
/* mullion-gpu and mullion-video from outside: what they print, and one clear line for everything that can be wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lib/command.h"
#include "tests/lib/tap.h"

struct row {
	const char *line;
	int status;
	const char *says;
};

static void need(const char *program)
{
	if (!command_find(program))
		tap_skip("the program is not built (make says what it needs)");
}

static void check(const char *program, const struct row *rows, size_t count)
{
	need(program);
	for (size_t i = 0; i < count; i++)
		command_says(rows[i].line, rows[i].status, rows[i].says);
}

static const char *const programs[] = {"mullion-gpu", "mullion-video"};

static void both_programs_refuse_wrong_words(void **state)
{
	static const struct row rows[] = {
		{"", 2, "needs --socket-path or --fd"},
		{"--socket-path a --fd 3", 2, "--socket-path and --fd exclude each other"},
		{"--socket-path a b", 2, "no argument is expected, but there is b"},
		{"--socket-path", 2, "a value has to follow --socket-path; mullion-"},
		{"--nonsense", 2, "no option --nonsense; mullion-"},
		{"--socket-path a --s", 2, "no option --s; mullion-"},
		{"a --nonsense=1 b", 2, "no option --nonsense=1; mullion-"},
		{"-xy", 2, "no option -x; mullion-"},
		{"--spare=1", 2, "an option that takes no value has one: --spare=1; mullion-"},
		{"--fd x", 2, "--fd takes the number of an open socket, not x"},
		{"--fd -1", 2, "--fd takes"},
		{"--control-fd 3x", 2, "--control-fd takes"},
		{"--socket-path a --control-fd 0", 2, "--control-fd takes the number of an open socket, not 0"},
		{"--socket-path a --control-fd 99", 2, "--control-fd takes the number of an open socket, not 99"},
		{"--socket-path a --sandbox half", 2, "--sandbox is auto, strict or off, not half"},
		{"--socket-path a --max-deaths 0", 2, "--max-deaths takes a number from 1 to 10000, not 0"},
		{"--socket-path a --max-deaths 10001", 2, "--max-deaths"},
		{"--socket-path a --hang-limit long", 2, "--hang-limit takes seconds, 0 to 86400, not long"},
		{"--socket-path a --hang-limit 86401", 2, "--hang-limit"},
		{"--socket-path /nowhere/sock", 1, "/nowhere/sock"},
		{"--fd 0", 1, "descriptor 0 is no socket"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
		check(programs[i], rows, sizeof(rows) / sizeof(rows[0]));
}

static void the_gpu_s_own_words_are_checked(void **state)
{
	static const struct row rows[] = {
		{"--socket-path a --render-node a,b", 2, "--render-node takes a path without commas, not a,b"},
		{"--socket-path a --shader-cache 1025", 2, "--shader-cache takes MiB, 0 to 1024, not 1025"},
		{"--socket-path a --gpu renderer=magic", 1, "no renderer 'magic'; there are auto, virgl, 2d"},
		{"--socket-path a --gpu size=big", 2, "size"},
		{"--socket-path a --gpu colour=1", 2, "colour"},
		{"--socket-path a --gpu virgl", 2, "'virgl' is not KEY=VALUE; there are renderer"},
		{"--socket-path a --gpu isolat=no", 2, "isolat=no: no such option; there are renderer"},
		{"--socket-path a --gpu share=4", 2, "share"},
		{"--socket-path a --gpu host-visible=3", 2, "host-visible"},
		{"--socket-path a --display fd:x", 2, "--display fd: takes the number of an open socket, not x"},
		{"--socket-path a --display vnc", 2, "--display vnc needs --sandbox off"},
		{"--socket-path a --display vnc --sandbox off --spare", 2,
		 "--spare is not possible with --display vnc"},
		{"--socket-path a --display screen.sock", 2,
		 "the path of a socket with / or ./ before it, not screen.sock"},
		{"--socket-path a --display pngs:x", 2, "--display takes none, png:DIR[,every=N], vnc[:ADDR], fd:N"},
		{"--socket-path a --display ./nowhere.sock", 1, "no display at ./nowhere.sock: No such file"},
		{"--socket-path a --display /nowhere/display", 1, "no display at /nowhere/display: No such file"},
	};

	(void)state;
	check("mullion-gpu", rows, sizeof(rows) / sizeof(rows[0]));
}

static void the_codecs_own_words_are_checked(void **state)
{
	static const struct row rows[] = {
		{"--socket-path a --role transcoder", 2, "--role is decoder or encoder, not transcoder"},
		{"--socket-path a --video dialect=klingon", 2, "klingon"},
		{"--socket-path a --video streams=0", 2, "streams"},
		{"--socket-path a --video timeout=never", 2, "timeout"},
		{"--socket-path a --video colour=1", 2, "colour"},
		{"--socket-path a --video encodr", 2, "'encodr' is not KEY=VALUE; there are proto"},
	};

	(void)state;
	check("mullion-video", rows, sizeof(rows) / sizeof(rows[0]));
}

static void help_version_and_capabilities_are_printed(void **state)
{
	static const char *const types[] = {"\"type\": \"gpu\"", "\"type\": \"video\""};
	static const char *const options[] = {
		"--socket-path", "--fd ",  "--control-fd",	   "--sandbox", "--in-band", "--spare", "--max-deaths",
		"--hang-limit",	 "--help", "--print-capabilities", "memory=",	"Examples",
	};
	struct command_result r;

	(void)state;
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		need(programs[i]);
		command_run("--help", &r);
		assert_int_equal(r.status, 0);
		assert_string_equal(r.err, "");
		for (size_t k = 0; k < sizeof(options) / sizeof(options[0]); k++) {
			if (!strstr(r.out, options[k]))
				fail_msg("%s --help says nothing of %s", programs[i], options[k]);
		}
		command_run("--version", &r);
		assert_int_equal(r.status, 0);
		assert_memory_equal(r.out, programs[i], strlen(programs[i]));
		command_run("--print-capabilities", &r);
		assert_int_equal(r.status, 0);
		assert_non_null(strstr(r.out, types[i]));
	}
}

/* A frontend is there already, and leaves: the program ends with it. */
static void a_connected_socket_is_served_to_its_end(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		struct command_result r;
		char line[64];
		int pair[2];

		need(programs[i]);
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		close(pair[0]);
		snprintf(line, sizeof(line), "--fd %d %s", pair[1], i ? "" : "--gpu renderer=2d");
		command_run(line, &r);
		close(pair[1]);
		if (r.status != 0)
			fail_msg("%s: status %d, says: %s", programs[i], r.status, r.err);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_programs_refuse_wrong_words),
		cmocka_unit_test(the_gpu_s_own_words_are_checked),
		cmocka_unit_test(the_codecs_own_words_are_checked),
		cmocka_unit_test(help_version_and_capabilities_are_printed),
		cmocka_unit_test(a_connected_socket_is_served_to_its_end),
	};

	return cmocka_run_group_tests_name("cli_programs", tests, NULL, NULL);
}
