// SPDX-License-Identifier: MIT
/* The options of `mullion run`: what is understood, and what is said about the rest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/arch.h"
#include "vmm/character.h"
#include "vmm/nearest.h"
#include "vmm/options.h"

#define MAX_ARGS 48
#define MIB (1024ull * 1024)

/* Options live without the serial port's host end; what a spec may be is all they ask of it. */
bool character_spec_is_valid(const char *spec)
{
	return !strcmp(spec, "stdio") || !strcmp(spec, "none") || (!strncmp(spec, "socket:", 7) && spec[7]);
}

static char said[2048]; /* on standard error by the last parse() */

/* Parse the words of @line, which are separated by single spaces. */
static int parse(struct options *o, const char *line)
{
	static char words[1024];
	char *argv[MAX_ARGS + 1] = {NULL};
	int argc = 0, result, kept = dup(STDERR_FILENO), to = memfd_create("said", 0);
	ssize_t n;

	snprintf(words, sizeof(words), "run%s%s", *line ? " " : "", line);
	for (char *w = strtok(words, " "); w && argc < MAX_ARGS; w = strtok(NULL, " "))
		argv[argc++] = w;
	fflush(stderr);
	dup2(to, STDERR_FILENO);
	result = options_parse(o, argc, argv);
	fflush(stderr);
	dup2(kept, STDERR_FILENO);
	n = pread(to, said, sizeof(said) - 1, 0);
	said[n > 0 ? n : 0] = '\0';
	close(kept);
	close(to);
	return result;
}

static void device_trees_are_for_arm64(void **state)
{
	static const char *const options[] = {"--fdt a.dtb", "--fdt-overlay a.dtbo", "--dump-fdt a.dtb", "--aarch32"};
	struct options o;

	(void)state;
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		char line[64];
		int err;

		snprintf(line, sizeof(line), "--kernel k %s", options[i]);
		err = parse(&o, line);
		if (!strcmp(ARCH_NAME, "arm64")) {
			assert_int_equal(err, 0);
		} else {
			assert_int_equal(err, -EINVAL);
			assert_non_null(strstr(said, " is for arm64 guests"));
			assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
		}
		options_finish(&o);
	}
}

static void defaults_work(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(parse(&o, "--kernel vmlinuz"), 0);
	assert_string_equal(o.kernel, "vmlinuz");
	assert_null(o.initrd);
	assert_string_equal(o.append, "");
	assert_int_equal(o.memory_bytes, 1024 * MIB);
	assert_int_equal(o.cpus, 1);
	assert_string_equal(o.serial, "stdio");
	assert_string_equal(o.console, "none");
	assert_true(o.has_rng);
	assert_false(o.has_gpu);
	assert_int_equal(o.transport, TRANSPORT_PCI);
	assert_int_equal(o.disk_count, 0);
	assert_string_equal(said, "");
	options_finish(&o);
}

static void every_option_is_read(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(parse(&o,
			       "--kernel k --initrd i --append a=b --memory 2G --cpus 3 --disk d1 --disk "
			       "d2,readonly,serial=S1 --net tap=t0,mac=52:54:00:aa:bb:cc,mtu=9000 --net passt=/p "
			       "--serial socket:/s --console stdio --no-rng --gpu renderer=2d --display png:x,every=2 "
			       "--transport mmio"),
			 0);
	assert_string_equal(o.initrd, "i");
	assert_string_equal(o.append, "a=b");
	assert_int_equal(o.memory_bytes, 2048 * MIB);
	assert_int_equal(o.cpus, 3);
	assert_int_equal(o.disk_count, 2);
	assert_string_equal(o.disks[0].path, "d1");
	assert_false(o.disks[0].read_only);
	assert_null(o.disks[0].serial);
	assert_string_equal(o.disks[1].path, "d2");
	assert_true(o.disks[1].read_only);
	assert_string_equal(o.disks[1].serial, "S1");
	assert_int_equal(o.net_count, 2);
	assert_string_equal(o.nets[0].tap, "t0");
	assert_true(o.nets[0].has_mac);
	assert_memory_equal(o.nets[0].mac, "\x52\x54\x00\xaa\xbb\xcc", 6);
	assert_int_equal(o.nets[0].mtu, 9000);
	assert_string_equal(o.nets[1].passt, "/p");
	assert_false(o.nets[1].has_mac);
	assert_string_equal(o.serial, "socket:/s");
	assert_string_equal(o.console, "stdio");
	assert_false(o.has_rng);
	assert_true(o.has_gpu);
	assert_string_equal(o.gpu, "renderer=2d");
	assert_string_equal(o.display, "png:x,every=2");
	assert_int_equal(o.transport, TRANSPORT_MMIO);
	options_finish(&o);
}

static void input_devices_are_read(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(parse(&o, "--kernel k --input keyboard --input multitouch --input mouse,evdev=/dev/input/event3"), 0);
	assert_int_equal(o.input_count, 3);
	assert_int_equal(o.inputs[0].kind, INPUT_KEYBOARD);
	assert_null(o.inputs[0].evdev);
	assert_int_equal(o.inputs[1].kind, INPUT_MULTITOUCH);
	assert_int_equal(o.inputs[2].kind, INPUT_MOUSE);
	assert_string_equal(o.inputs[2].evdev, "/dev/input/event3");
	options_finish(&o);
	assert_int_equal(parse(&o, "--kernel k --input joystick"), -EINVAL);
	assert_non_null(strstr(said, "keyboard, tablet, multitouch or mouse"));
	options_finish(&o);
	assert_int_equal(parse(&o, "--kernel k --input mouse,evdev="), -EINVAL);
	assert_non_null(strstr(said, "evdev=PATH"));
	options_finish(&o);
}

static void values_may_be_left_out_or_joined(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(parse(&o, "--gpu --kernel k"), 0);
	assert_true(o.has_gpu);
	assert_string_equal(o.gpu, "");
	options_finish(&o);
	assert_int_equal(parse(&o, "--kernel=k --gpu=scanouts=2 --memory=64m"), 0);
	assert_string_equal(o.gpu, "scanouts=2");
	assert_int_equal(o.isolate_gpu, ISOLATE_DEFAULT);
	assert_null(o.gpu_arguments[0]);
	assert_int_equal(o.memory_bytes, 64 * MIB);
	options_finish(&o);
	assert_int_equal(parse(&o, "--kernel k"), 0);
	assert_false(o.video_decoder || o.video_encoder);
	options_finish(&o);
	assert_int_equal(parse(&o, "--kernel k --video encoder,codec=x264enc,streams=2"), 0);
	assert_true(o.video_encoder && !o.video_decoder);
	assert_string_equal(o.video, "codec=x264enc,streams=2");
	options_finish(&o);
	assert_int_equal(parse(&o, "--kernel k --video streams=3,decoder,encoder"), 0);
	assert_true(o.video_encoder && o.video_decoder);
	assert_string_equal(o.video, "streams=3");
	options_finish(&o);
	/* The terminal goes to whoever asks for it. */
	assert_int_equal(parse(&o, "--kernel k --console stdio"), 0);
	assert_string_equal(o.serial, "none");
	options_finish(&o);
	assert_int_equal(parse(&o, "--kernel k --display png:d"), 0);
	assert_true(o.has_gpu);
	options_finish(&o);
	/* VNC viewers have keys and a pointer; what the user chose stays. */
	assert_int_equal(o.input_count, 0);
	options_finish(&o);
	for (unsigned i = 0; i < 3; i++) {
		static const char *const lines[] = {"--kernel k --display vnc", "--kernel k --display vnc=:1",
						    "--kernel k --display=vnc,password=x"};

		assert_int_equal(parse(&o, lines[i]), 0);
		assert_true(o.has_gpu);
		assert_int_equal(o.input_count, 2);
		assert_int_equal(o.inputs[0].kind, INPUT_KEYBOARD);
		assert_int_equal(o.inputs[1].kind, INPUT_TABLET);
		options_finish(&o);
	}
	assert_int_equal(parse(&o, "--kernel k --display vnc:1 --input mouse"), 0);
	assert_int_equal(o.input_count, 1);
	options_finish(&o);
	assert_int_equal(parse(&o, "--kernel k --display none"), 0);
	assert_false(o.has_gpu);
	options_finish(&o);
	/* Two commas are one of the name. */
	assert_int_equal(parse(&o, "--kernel k --disk a,,b,readonly"), 0);
	assert_string_equal(o.disks[0].path, "a,b");
	assert_true(o.disks[0].read_only);
	options_finish(&o);
	assert_int_equal(parse(&o, "--help"), 0);
	assert_true(o.wants_help);
	options_finish(&o);
	assert_int_equal(parse(&o, "--version"), 0);
	assert_true(o.wants_version);
	options_finish(&o);
}

static void words_for_the_home_of_a_device_are_not_the_devices(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(parse(&o, "--kernel k --gpu isolate=no,scanouts=2 --display vnc"), 0);
	assert_string_equal(o.gpu, "scanouts=2");
	assert_int_equal(o.isolate_gpu, ISOLATE_NO);
	options_finish(&o);
	assert_int_equal(parse(&o, "--kernel k --gpu size=1x1,sandbox=strict,max-deaths=7,scanouts=2"), 0);
	assert_string_equal(o.gpu, "size=1x1,scanouts=2");
	assert_int_equal(o.isolate_gpu, ISOLATE_YES);
	assert_string_equal(o.gpu_arguments[0], "--sandbox");
	assert_string_equal(o.gpu_arguments[1], "strict");
	assert_string_equal(o.gpu_arguments[2], "--max-deaths");
	assert_string_equal(o.gpu_arguments[3], "7");
	assert_null(o.gpu_arguments[4]);
	options_finish(&o);
	/* The last --gpu counts, all of it. */
	assert_int_equal(parse(&o, "--kernel k --gpu sandbox=off --gpu renderer=2d"), 0);
	assert_int_equal(o.isolate_gpu, ISOLATE_DEFAULT);
	assert_null(o.gpu_arguments[0]);
	options_finish(&o);
	assert_int_equal(parse(&o, "--kernel k --gpu spare=yes,max-deaths=7"), 0);
	assert_int_equal(o.isolate_gpu, ISOLATE_YES);
	assert_string_equal(o.gpu_arguments[0], "--spare");
	assert_string_equal(o.gpu_arguments[1], "--max-deaths");
	assert_string_equal(o.gpu_arguments[2], "7");
	assert_null(o.gpu_arguments[3]);
	options_finish(&o);
	assert_int_equal(parse(&o, "--kernel k --gpu spare=no"), 0);
	assert_null(o.gpu_arguments[0]);
	options_finish(&o);
	assert_int_equal(parse(&o, "--kernel k --gpu spare=perhaps"), -EINVAL);
	options_finish(&o);
	assert_int_equal(parse(&o, "--kernel k --gpu spare=yes,spare=yes"), -EINVAL);
	options_finish(&o);
	assert_int_equal(parse(&o, "--kernel k --gpu spare=yes,isolate=no"), -EINVAL);
	options_finish(&o);
	assert_int_equal(parse(&o, "--kernel k --video decoder,isolate=no,streams=2"), 0);
	assert_string_equal(o.video, "streams=2");
	assert_int_equal(o.isolate_video, ISOLATE_NO);
	options_finish(&o);
	assert_int_equal(parse(&o, "--kernel k --video decoder,encoder,sandbox=strict,hang-limit=9"), 0);
	assert_string_equal(o.video, "");
	assert_int_equal(o.isolate_video, ISOLATE_YES);
	assert_int_equal(o.isolate_gpu, ISOLATE_DEFAULT);
	assert_string_equal(o.video_arguments[0], "--sandbox");
	assert_string_equal(o.video_arguments[3], "9");
	assert_null(o.video_arguments[4]);
	options_finish(&o);
	assert_int_equal(parse(&o, "--kernel k --video decoder,isolate=maybe"), -EINVAL);
	options_finish(&o);
	assert_int_equal(parse(&o, "--kernel k --video decoder,isolate=no,sandbox=off"), -EINVAL);
	options_finish(&o);
	/* Virtio-media too; the last word on it counts. */
	assert_int_equal(parse(&o, "--kernel k --video decoder,proto=virtio-media"), 0);
	assert_true(o.video_is_media);
	options_finish(&o);
	assert_int_equal(parse(&o, "--kernel k --video decoder,proto=virtio-media,sandbox=strict"), 0);
	assert_int_equal(o.isolate_video, ISOLATE_YES);
	options_finish(&o);
	assert_int_equal(parse(&o, "--kernel k --video decoder,proto=virtio-media,proto=virtio-video,isolate=yes"), 0);
	assert_false(o.video_is_media);
	options_finish(&o);
	assert_int_equal(parse(&o, "--kernel k --gpu isolate=maybe"), -EINVAL);
	options_finish(&o);
	assert_int_equal(parse(&o, "--kernel k --gpu isolate=no,sandbox=strict"), -EINVAL);
	options_finish(&o);
	assert_int_equal(parse(&o, "--kernel k --gpu sandbox=auto,sandbox=off"), -EINVAL);
	options_finish(&o);
	/* Which of the two it is, is said by the first words alone. */
	assert_int_equal(parse(&o, "--kernel k --video decoder,kind=encoder"), -EINVAL);
	options_finish(&o);
	assert_int_equal(parse(&o, "--kernel k --video decoder,encodr"), -EINVAL);
	options_finish(&o);
	assert_int_equal(parse(&o, "--kernel k --display fd:4"), -EINVAL);
	options_finish(&o);
	assert_int_equal(parse(&o, "--kernel k --display ./screen.sock"), -EINVAL);
	options_finish(&o);
	assert_int_equal(parse(&o, "--kernel k --display /run/screen.sock"), -EINVAL);
	options_finish(&o);
	assert_int_equal(parse(&o, "--kernel k --display pngs:x"), -EINVAL);
	options_finish(&o);
}

static void mistakes_get_one_line_with_the_cure(void **state)
{
	static const struct {
		const char *line, *says;
	} cases[] = {
		{"", "--kernel FILE is needed"},
		{"--kernel k --video codec=x", "name the devices: decoder"},
		{"--kernel k --video decoder,streams=2 --video encoder", "--video twice: name both devices in one"},
		{"--kernel", "--kernel needs a value: FILE"},
		{"--kernel k --memroy 1G", "did you mean --memory?"},
		{"--kernel k --cpu", "--cpus needs a value"},
		{"--kernel k --dsik=x", "no option --dsik; did you mean --disk?"},
		{"--kernel k --frobnicate", "mullion run --help lists them"},
		{"--kernel k -x", "no option -x"},
		{"-kernel k", "no option -kernel; did you mean --kernel?"},
		{"--kernel k -memory=1G", "no option -memory; did you mean --memory?"},
		{"--kernel k vmlinuz", "a kernel is --kernel vmlinuz"},
		{"--kernel k --memory 512", "512M or 2G"},
		{"--kernel k --memory -1G", "512M or 2G"},
		{"--kernel k --memory 1T", "512M or 2G"},
		{"--kernel k --memory 99999999999999999999G", "512M or 2G"},
		{"--kernel k --memory 17179869184G", "512M or 2G"},
		{"--kernel k --memory 8M", "at least 16M"},
		{"--kernel k --memory 17M", "multiple of 2M"},
		{"--kernel k --cpus 0", "a number from 1 up"},
		{"--kernel k --cpus -1", "a number from 1 up"},
		{"--kernel k --cpus two", "a number from 1 up"},
		{"--kernel k --disk ,readonly", "name an image file"},
		{"--kernel k --disk d,serial=twenty-one-characters", "serial=twenty-one-characters: at most 20 bytes"},
		{"--kernel k --disk d,ro", "no \"ro\"; after the file go readonly"},
		{"--kernel k --disk d --disk d --disk d --disk d --disk d --disk d --disk d --disk d --disk d",
		 "at most 8"},
		{"--kernel k --net eth0", "tap=NAME"},
		{"--kernel k --net tap=", "tap=NAME"},
		{"--kernel k --net tap=t,mac=1:2", "52:54:00:12:34:56"},
		{"--kernel k --net tap=t,mac=01:00:5e:00:00:01", "isn't a card's address"},
		{"--kernel k --net tap=t,mtu=10", "68 to 65535"},
		{"--kernel k --net tap=t,speed=1", "no \"speed=1\""},
		{"--kernel k --net tap=t --net tap=t --net tap=t --net tap=t --net tap=t", "at most 4"},
		{"--kernel k --serial pty", "stdio, socket:PATH or none"},
		{"--kernel k --console socket:", "stdio, socket:PATH or none"},
		{"--kernel k --console stdio --serial stdio", "only one of them"},
		{"--kernel k --transport isa", "pci or mmio"},
		{"--kernel k --no-rng=1", "--no-rng takes no value"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct options o;

		assert_int_equal(parse(&o, cases[i].line), -EINVAL);
		if (!strstr(said, cases[i].says))
			fail_msg("\"%s\" says: %s", cases[i].line, said);
		assert_memory_equal(said, "mullion run: ", 13);
		assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
		options_finish(&o);
	}
}

static void the_nearest_word_is_near(void **state)
{
	static const char *const names[] = {"run", "doctor", "help", NULL};

	(void)state;
	assert_string_equal(nearest_word("rnu", names), "run");
	assert_string_equal(nearest_word("docter", names), "doctor");
	assert_null(nearest_word("xyz", names));
	assert_null(nearest_word("", names));
	assert_null(nearest_word("averyveryverylongwordthatgoesonandon", names));
}

static void help_names_every_option(void **state)
{
	static const char *const names[] = {"kernel",  "initrd",    "append",  "memory", "cpus",   "disk",
					    "net",     "serial",    "console", "rng",	 "no-rng", "gpu",
					    "video",   "display", "transport", "help",    "version"};
	char *text;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	(void)state;
	options_print_help(f);
	fclose(f);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char option[32];

		snprintf(option, sizeof(option), "  --%s", names[i]);
		if (!strstr(text, option))
			fail_msg("help lacks --%s", names[i]);
	}
	for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		assert_true(strcspn(line, "\n") <= 100);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_for_the_home_of_a_device_are_not_the_devices),
		cmocka_unit_test(defaults_work),
		cmocka_unit_test(device_trees_are_for_arm64),
		cmocka_unit_test(every_option_is_read),
		cmocka_unit_test(input_devices_are_read),
		cmocka_unit_test(values_may_be_left_out_or_joined),
		cmocka_unit_test(mistakes_get_one_line_with_the_cure),
		cmocka_unit_test(the_nearest_word_is_near),
		cmocka_unit_test(help_names_every_option),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
