// SPDX-License-Identifier: MIT
/* The control socket: every line gets one answer, and no client can make the loop wait or grow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/input-event-codes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/base/loop.h"
#include "host/input/input.h"
#include "host/input/seat.h"
#include "tests/lib/ctl_stub.h"
#include "tests/lib/fake_guest.h"
#include "vmm/ctl.h"
#include "vmm/ctl_keys.h"
#include "vmm/ctl_path.h"

static char folder[] = "/tmp/mullion-ctl-XXXXXX";
static char path[64];
static struct vm *vm;
static struct ctl *ctl;

static void begin(void)
{
	struct ctl_config config = {.path = path, .name = "demo"};

	vm = stub_create_still();
	config.vm = vm;
	ctl_stub_init(vm);
	assert_int_equal(ctl_create(&config, &ctl), 0);
}

static void end(void)
{
	ctl_close(ctl);
	ctl_destroy(ctl);
	ctl_stub_finish();
	stub_destroy(vm);
	assert_int_equal(access(path, F_OK), -1);
}

static void pump(void)
{
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(loop_run_once(vm_loop(vm), 0), 0);
}

/* One line without its end, or "" when the server hung up; fails when nothing comes. */
static const char *read_line(int fd)
{
	static char line[CTL_OUTPUT_MAX];
	size_t n = 0;

	for (unsigned waits = 0; waits < 5000;) {
		ssize_t got = recv(fd, line + n, 1, MSG_DONTWAIT);

		if (got == 0 || (got < 0 && errno != EAGAIN)) {
			line[n] = '\0';
			return line;
		}
		if (got < 0) {
			waits++;
			assert_int_equal(loop_run_once(vm_loop(vm), 1), 0);
		} else if (line[n] == '\n') {
			line[n] = '\0';
			return line;
		} else {
			n++;
		}
	}
	fail_msg("no answer");
	return NULL;
}

static bool is_silent(int fd)
{
	char c;

	pump();
	return recv(fd, &c, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static const char *ask(int fd, const char *line)
{
	say(fd, line);
	say(fd, "\n");
	return read_line(fd);
}

static int hello(void)
{
	int fd = ctl_connect(path);

	assert_true(fd >= 0);
	assert_non_null(strstr(read_line(fd), "\"protocol\":1"));
	return fd;
}

static void has(const char *answer, const char *part)
{
	if (!strstr(answer, part))
		fail_msg("%s lacks %s", answer, part);
}

/* ---- lines ---- */

static void a_client_is_greeted_with_version_and_protocol(void **state)
{
	int fd;

	(void)state;
	begin();
	fd = ctl_connect(path);
	assert_true(fd >= 0);
	assert_string_equal(read_line(fd), "{\"mullion\":\"" MULLION_VERSION "\",\"protocol\":1}");
	close(fd);
	end();
}

static void a_line_may_be_cut_anywhere(void **state)
{
	static const char text[] =
		"{\"id\":7,\"command\":\"display-resize\",\"display\":0,\"width\":640,\"height\":400}\n"
		"\r\n{\"id\":\"b\",\"command\":\"resume\"}\r\n";
	const size_t n = sizeof(text) - 1;

	(void)state;
	begin();
	for (size_t at = 0; at <= n; at++) {
		int fd = hello();

		assert_int_equal(send(fd, text, at, MSG_NOSIGNAL), (ssize_t)at);
		pump();
		assert_int_equal(send(fd, text + at, n - at, MSG_NOSIGNAL), (ssize_t)(n - at));
		assert_string_equal(read_line(fd), "{\"id\":7,\"ok\":true,\"display\":0,\"width\":640,\"height\":400}");
		assert_string_equal(read_line(fd), "{\"id\":\"b\",\"ok\":true}");
		assert_true(is_silent(fd));
		close(fd);
	}
	end();
}

static void wrong_requests_are_told_what_is_wrong(void **state)
{
	static const struct {
		const char *line, *says;
	} cases[] = {
		{"status", "not JSON"},
		{"{\"command\":\"status\"", "not JSON"},
		{"{\"command\":\"status\"} {}", "not JSON"},
		{"{'command':'status'}", "not JSON"},
		{"{\"command\":\"\xff\"}", "not JSON"},
		{"[[[[[[[[[[1]]]]]]]]]]", "not JSON"},
		{"[]", "a request is an object"},
		{"null", "a request is an object"},
		{"1", "a request is an object"},
		{"{}", "needs \\\"command\\\""},
		{"{\"command\":3}", "needs \\\"command\\\""},
		{"{\"command\":\"stat\"}", "no command \\\"stat\\\"; help lists them"},
		{"{\"id\":{},\"command\":\"status\"}", "\\\"id\\\" is a whole number or a text"},
		{"{\"command\":\"status\",\"now\":true}", "status has no argument \\\"now\\\"; it takes none"},
		{"{\"command\":\"display-resize\",\"display\":0,\"widht\":1}", "it takes display, width, height"},
		{"{\"command\":\"display-resize\",\"display\":0}", "display-resize needs \\\"width\\\", a number"},
		{"{\"command\":\"display-remove\",\"display\":16}", "\\\"display\\\" is a number from 0 to 15"},
		{"{\"command\":\"display-remove\",\"display\":-1}", "\\\"display\\\" is a number from 0 to 15"},
		{"{\"command\":\"display-remove\",\"display\":1.0}", "\\\"display\\\" is a number from 0 to 15"},
		{"{\"command\":\"display-remove\",\"display\":18446744073709551616}", "number"}, /* some parsers refuse it */
		{"{\"command\":\"display-remove\",\"display\":null}", "\\\"display\\\" is a number"},
		{"{\"command\":\"display-add\",\"width\":800}", "go together"},
		{"{\"command\":\"screenshot\",\"path\":\"a.png\"}", "\\\"path\\\" is absolute"},
		{"{\"command\":\"screenshot\",\"path\":\"\"}", "\\\"path\\\" is a text of 1 to"},
		{"{\"command\":\"screenshot\",\"path\":\"/a\\u0000b\"}", "\\\"path\\\" is a text of 1 to"},
		{"{\"command\":\"key\",\"key\":\"a\",\"down\":1}", "\\\"down\\\" is true or false"},
		{"{\"command\":\"key\",\"key\":\"a\"}", "no keyboard: start it with --input keyboard"},
		{"{\"command\":\"pointer\",\"x\":1,\"y\":1}", "no pointer: start it with --input tablet"},
		{"{\"command\":\"touch\",\"up\":true}", "no touch screen: start it with --input multitouch"},
	};
	int fd;

	(void)state;
	begin();
	fd = hello();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *answer = ask(fd, cases[i].line);

		has(answer, "\"ok\":false,\"error\":\"");
		has(answer, cases[i].says);
	}
	has(ask(fd, "{\"command\":\"status\"}"), "\"ok\":true");
	close(fd);
	end();
}

static void a_line_that_is_too_long_ends_the_client(void **state)
{
	char *line = malloc(CTL_LINE_MAX + 2);
	size_t sent = 0;
	int fd;

	(void)state;
	begin();
	fd = hello();
	/* The longest possible one is a line like others. */
	memset(line, ' ', CTL_LINE_MAX);
	memcpy(line, "{\"command\":\"resume\"}", 20);
	for (unsigned extra = 0; extra < 2; extra++) {
		line[CTL_LINE_MAX] = extra ? ' ' : '\n';
		line[CTL_LINE_MAX + 1] = '\n';
		for (sent = 0; sent < CTL_LINE_MAX + 1;) {
			ssize_t n = send(fd, line + sent, CTL_LINE_MAX + 1 - sent, MSG_DONTWAIT | MSG_NOSIGNAL);

			sent += n > 0 ? (size_t)n : 0;
			pump();
		}
		has(read_line(fd), extra ? "a line of more than 65536 bytes" : "{\"ok\":true}");
	}
	assert_string_equal(read_line(fd), "");
	close(fd);
	free(line);
	end();
}

static void a_client_that_writes_no_more_gets_its_answers(void **state)
{
	int fd;

	(void)state;
	begin();
	fd = hello();
	say(fd, "{\"id\":1,\"command\":\"status\"}\n{\"id\":2,\"command\":\"resume\"}");
	shutdown(fd, SHUT_WR);
	has(read_line(fd), "{\"id\":1,\"ok\":true,\"state\":\"running\"");
	assert_string_equal(read_line(fd), "{\"id\":2,\"ok\":true}");
	assert_string_equal(read_line(fd), "");
	close(fd);
	end();
}

/* ---- clients ---- */

static void requests_are_answered_in_order(void **state)
{
	int fd, other;

	(void)state;
	begin();
	fd = hello();
	other = hello();
	ctl_stub.hold_pauses = true;
	say(fd, "{\"id\":1,\"command\":\"pause\"}\n{\"id\":2,\"command\":\"resume\"}\n");
	assert_true(is_silent(fd));
	/* Meanwhile the others are served. */
	has(ask(other, "{\"command\":\"status\"}"), "\"state\":\"paused\"");
	assert_true(ctl_stub.paused);
	loop_post(vm_loop(vm), ctl_stub.pausing);
	assert_string_equal(read_line(fd), "{\"id\":1,\"ok\":true}");
	assert_string_equal(read_line(fd), "{\"id\":2,\"ok\":true}");
	assert_false(ctl_stub.paused);
	close(fd);
	close(other);
	end();
}

static void a_client_may_leave_before_its_answer(void **state)
{
	int fd;

	(void)state;
	begin();
	fd = hello();
	ctl_stub.hold_pauses = true;
	say(fd, "{\"command\":\"pause\"}\n");
	pump();
	close(fd);
	pump();
	loop_post(vm_loop(vm), ctl_stub.pausing);
	pump();
	fd = hello();
	/* And the machine may end before it. */
	say(fd, "{\"command\":\"pause\"}\n");
	pump();
	close(fd);
	end();
}

static void a_client_that_reads_nothing_is_dropped(void **state)
{
	static const char help[] = "{\"command\":\"help\"}\n";
	bool dropped = false;
	int fd, other;

	(void)state;
	begin();
	fd = hello();
	other = hello();
	for (unsigned i = 0; i < 10000 && !dropped; i++) {
		dropped = send(fd, help, sizeof(help) - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == EPIPE;
		pump();
	}
	assert_true(dropped);
	has(ask(other, "{\"command\":\"resume\"}"), "\"ok\":true");
	close(fd);
	close(other);
	end();
}

static void one_client_too_many_is_refused(void **state)
{
	int fds[CTL_CLIENTS_MAX], fd;

	(void)state;
	begin();
	for (unsigned i = 0; i < CTL_CLIENTS_MAX; i++)
		fds[i] = hello();
	fd = hello();
	has(read_line(fd), "16 clients are connected");
	assert_string_equal(read_line(fd), "");
	close(fd);
	close(fds[0]);
	pump();
	fds[0] = hello();
	has(ask(fds[0], "{\"command\":\"resume\"}"), "\"ok\":true");
	for (unsigned i = 0; i < CTL_CLIENTS_MAX; i++)
		close(fds[i]);
	end();
}

/* ---- the socket ---- */

static void the_socket_is_the_users_alone(void **state)
{
	struct stat st;

	(void)state;
	begin();
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0600);
	end();
}

static void a_dead_guests_socket_is_replaced_and_a_living_ones_not(void **state)
{
	struct ctl_config config = {.path = path};
	struct ctl *second;
	int fd;

	(void)state;
	fd = ctl_listen(path);
	assert_true(fd >= 0);
	close(fd); /* without removing it, as a killed process does */
	begin();
	config.vm = vm;
	assert_int_equal(ctl_create(&config, &second), -EADDRINUSE);
	close(hello());
	end();
	/* Nor is a file. */
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(fd);
	assert_int_equal(ctl_listen(path), -EADDRINUSE);
	unlink(path);
}

/* One that hangs takes no clients: nobody is to wait for it. */
static void a_hanging_guests_socket_is_not_replaced(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = ctl_listen(path), waiting[64], count = 0;

	(void)state;
	assert_true(fd >= 0);
	memcpy(address.sun_path, path, strlen(path) + 1);
	while (count < 64) {
		int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

		assert_true(client >= 0);
		waiting[count++] = client;
		if (connect(client, (struct sockaddr *)&address, sizeof(address)))
			break;
	}
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(ctl_listen(path), -EADDRINUSE);
	while (count)
		close(waiting[--count]);
	close(fd);
	unlink(path);
}

static void names_are_words(void **state)
{
	char long_name[CTL_NAME_MAX + 2];

	(void)state;
	memset(long_name, 'a', sizeof(long_name));
	long_name[CTL_NAME_MAX + 1] = '\0';
	assert_false(ctl_name_is_valid(long_name));
	long_name[CTL_NAME_MAX] = '\0';
	assert_true(ctl_name_is_valid(long_name));
	assert_true(ctl_name_is_valid("ivi-1.b_C"));
	assert_false(ctl_name_is_valid(""));
	assert_false(ctl_name_is_valid("12"));
	assert_false(ctl_name_is_valid("../a"));
	assert_false(ctl_name_is_valid("a/b"));
}

static void the_folder_is_the_users_alone(void **state)
{
	char found[128], link[128];

	(void)state;
	setenv("XDG_RUNTIME_DIR", folder, 1);
	assert_int_equal(ctl_folder(found, sizeof(found), false), -ENOENT);
	assert_int_equal(ctl_folder(found, sizeof(found), true), 0);
	assert_int_equal(chmod(found, 0777), 0);
	assert_int_equal(ctl_folder(found, sizeof(found), true), -EPERM);
	assert_int_equal(rmdir(found), 0);
	snprintf(link, sizeof(link), "%s", found);
	assert_int_equal(symlink("/tmp", link), 0);
	assert_int_equal(ctl_folder(found, sizeof(found), true), -EPERM);
	unlink(link);
	assert_int_equal(ctl_folder(found, 10, true), -ENAMETOOLONG);
}

/* ---- what is asked for ---- */

static void the_machine_is_described(void **state)
{
	const char *answer;
	int fd;

	(void)state;
	begin();
	ctl_stub.status.commands = 12345;
	fd = hello();
	answer = ask(fd, "{\"command\":\"status\"}");
	has(answer, "\"state\":\"running\",\"name\":\"demo\"");
	has(answer, "\"cpus\":2,\"memory-bytes\":536870912,\"devices\":[\"disk\",\"gpu\"]");
	has(answer, "{\"display\":0,\"connected\":true,\"width\":1280,\"height\":800,\"shows\":{\"width\":640,"
		    "\"height\":480}}");
	has(answer, "{\"display\":1,\"connected\":false}");
	has(answer, "\"commands\":12345");
	ctl_stub.has_displays = false;
	assert_null(strstr(ask(fd, "{\"command\":\"status\"}"), "displays"));
	has(ask(fd, "{\"command\":\"display-add\"}"), "the guest has no displays: start it with --gpu");
	close(fd);
	end();
}

static void the_machine_can_be_ended(void **state)
{
	enum vm_end why;
	int fd;

	(void)state;
	begin();
	fd = hello();
	has(ask(fd, "{\"command\":\"power-button\"}"), "\"ok\":true");
	assert_int_equal(ctl_stub.presses, 1);
	ctl_stub.has_button = false;
	has(ask(fd, "{\"command\":\"power-button\"}"), "no power button");
	assert_false(stub_ended(vm, &why));
	has(ask(fd, "{\"command\":\"reset\"}"), "\"ok\":true");
	assert_true(stub_ended(vm, &why));
	assert_int_equal(why, VM_END_REBOOT);
	has(ask(fd, "{\"command\":\"quit\"}"), "\"ok\":true");
	stub_ended(vm, &why);
	assert_int_equal(why, VM_END_USER);
	close(fd);
	end();
}

static void displays_come_and_go(void **state)
{
	int fd;

	(void)state;
	begin();
	fd = hello();
	has(ask(fd, "{\"command\":\"display-add\"}"), "\"display\":1,\"width\":1280,\"height\":800");
	has(ask(fd, "{\"command\":\"display-add\",\"display\":1}"), "plugged in already");
	has(ask(fd, "{\"command\":\"display-add\",\"width\":800,\"height\":480,\"display\":2}"),
	    "\"display\":2,\"width\":800");
	has(ask(fd, "{\"command\":\"display-add\"}"), "scanouts=N");
	has(ask(fd, "{\"command\":\"display-resize\",\"display\":1,\"width\":640,\"height\":480}"), "\"ok\":true");
	assert_int_equal(ctl_stub.status.displays[1].width, 640);
	has(ask(fd, "{\"command\":\"display-remove\",\"display\":1}"), "\"ok\":true,\"display\":1}");
	assert_int_equal(ctl_stub.status.displays[1].width, 0);
	has(ask(fd, "{\"command\":\"display-remove\",\"display\":1}"), "isn't plugged in");
	has(ask(fd, "{\"command\":\"display-resize\",\"display\":1,\"width\":640,\"height\":480}"), "use display-add");
	has(ask(fd, "{\"command\":\"display-remove\",\"display\":3}"), "the guest has 3");
	close(fd);
	end();
}

static unsigned files_in_folder(void)
{
	char command[128];
	unsigned n = 0;
	FILE *f;

	snprintf(command, sizeof(command), "ls -A %s | grep -vc sock", folder);
	f = popen(command, "r");
	assert_int_equal(fscanf(f, "%u", &n), 1);
	pclose(f);
	return n;
}

static void a_screenshot_is_whole_or_not_there(void **state)
{
	char line[256], file[64], bytes[16] = "";
	int fd, picture;

	(void)state;
	begin();
	fd = hello();
	snprintf(file, sizeof(file), "%s/shot.png", folder);
	snprintf(line, sizeof(line), "{\"command\":\"screenshot\",\"path\":\"%s\"}", file);
	has(ask(fd, line), "\"ok\":true,\"path\":");
	picture = open(file, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(picture, bytes, sizeof(bytes)), 7);
	assert_string_equal(bytes, "picture");
	close(picture);
	assert_int_equal(files_in_folder(), 1);
	/* The one that is there stays when the next fails. */
	ctl_stub.shot_err = -ENODATA;
	has(ask(fd, line), "shows nothing");
	ctl_stub.shot_err = -ENOSPC;
	has(ask(fd, line), "No space left");
	assert_int_equal(files_in_folder(), 1);
	assert_int_equal(access(file, F_OK), 0);
	ctl_stub.shot_err = 0;
	has(ask(fd, "{\"command\":\"screenshot\",\"path\":\"/nowhere/a.png\"}"), "No such file");
	has(ask(fd, "{\"command\":\"screenshot\",\"path\":\"/tmp/a.png\",\"display\":9}"), "no display 9");
	/* The machine may end before it is drawn. */
	ctl_stub.hold_shots = true;
	say(fd, line);
	say(fd, "\n");
	ctl_stub.shot = NULL;
	while (!ctl_stub.shot)
		pump();
	close(fd);
	end();
	assert_int_equal(files_in_folder(), 1);
	unlink(file);
}

static void keys_have_names(void **state)
{
	static const struct {
		const char *name;
		uint16_t code;
	} cases[] = {
		{"a", KEY_A},
		{"enter", KEY_ENTER},
		{"ctrl", KEY_LEFTCTRL},
		{"del", KEY_DELETE},
		{"1", KEY_1},
		{"f12", KEY_F12},
		{"028", KEY_ENTER},
		{"248", KEY_MICMUTE},
		{"249", 0},
		{"00", 0},
		{"A", 0},
		{"", 0},
		{"1000", 0},
		{"ente", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(ctl_key_code(cases[i].name, strlen(cases[i].name)), cases[i].code);
}

static void keys_and_fingers_reach_the_devices(void **state)
{
	struct virtio_device *devices[INPUT_KIND_COUNT];
	struct fake_guest *guests[INPUT_KIND_COUNT];
	struct input_counters counters;
	int fd;

	(void)state;
	begin();
	for (enum input_kind kind = 0; kind < INPUT_KIND_COUNT; kind++) {
		struct input_config config = {.kind = kind};

		guests[kind] = fake_guest_create(NULL);
		assert_int_equal(input_create(&config, fake_guest_loop(guests[kind]), fake_guest_mem(guests[kind]),
					      &devices[kind]),
				 0);
		assert_int_equal(fake_guest_start(guests[kind], devices[kind]), 0);
		input_seat_add(ctl_stub.seat, kind, devices[kind]);
	}
	fd = hello();
	has(ask(fd, "{\"command\":\"key\",\"key\":\"ctrl+alt+del\"}"), "\"ok\":true");
	has(ask(fd, "{\"command\":\"key\",\"key\":\"a\",\"down\":true}"), "\"ok\":true");
	has(ask(fd, "{\"command\":\"key\",\"key\":\"a\",\"down\":false}"), "\"ok\":true");
	has(ask(fd, "{\"command\":\"key\",\"key\":\"a+\"}"), "\"ok\":true");
	has(ask(fd, "{\"command\":\"key\",\"key\":\"+a\"}"), "1 to 8 names");
	has(ask(fd, "{\"command\":\"key\",\"key\":\"a+b+c+d+e+f+g+h+i\"}"), "1 to 8 names");
	has(ask(fd, "{\"command\":\"key\",\"key\":\"ctrl+foo\"}"), "no key \\\"foo\\\"");
	has(ask(fd, "{\"command\":\"pointer\",\"x\":1,\"y\":32767,\"buttons\":\"left+right\",\"wheel\":-1}"),
	    "\"ok\":true");
	has(ask(fd, "{\"command\":\"pointer\",\"x\":1,\"y\":2,\"buttons\":\"lift\"}"), "no button \\\"lift\\\"");
	has(ask(fd, "{\"command\":\"touch\",\"finger\":9,\"x\":1,\"y\":2}"), "\"ok\":true");
	has(ask(fd, "{\"command\":\"touch\",\"finger\":9,\"up\":true}"), "\"ok\":true");
	has(ask(fd, "{\"command\":\"touch\",\"finger\":9,\"x\":1}"), "needs \\\"x\\\" and \\\"y\\\"");
	input_get_counters(devices[INPUT_KEYBOARD], &counters);
	assert_int_equal(counters.reports, 6 + 2 + 2);
	input_get_counters(devices[INPUT_TABLET], &counters);
	assert_int_equal(counters.reports, 1);
	input_get_counters(devices[INPUT_MULTITOUCH], &counters);
	assert_int_equal(counters.reports, 2);
	close(fd);
	for (enum input_kind kind = 0; kind < INPUT_KIND_COUNT; kind++) {
		virtio_device_destroy(devices[kind]);
		fake_guest_device_is_gone(guests[kind]);
		fake_guest_destroy(guests[kind]);
	}
	end();
}

/* ---- counters ---- */

static void devices_say_what_they_counted(void **state)
{
	struct loop *other;
	int fd;

	(void)state;
	begin();
	fd = hello();
	assert_string_equal(ask(fd, "{\"command\":\"stats\"}"),
			    "{\"ok\":true,\"devices\":[{\"device\":\"disk\",\"is\":\"counter\",\"counters\":{}},"
			    "{\"device\":\"gpu\",\"is\":\"counter\",\"counters\":{}}]}");
	/* One here, one on a thread of its own. */
	assert_int_equal(loop_create("other", &other), 0);
	assert_int_equal(loop_start(other), 0);
	ctl_stub.devices[1].loop = other;
	counters_add(&ctl_stub.counters[0], NULL, "reads", 1ull << 40);
	counters_add(&ctl_stub.counters[1], NULL, "streams", 2);
	counters_add_text(&ctl_stub.counters[1], "stream 1", "element", "avdec_\nh264");
	counters_add_flag(&ctl_stub.counters[1], "stream 1", "hardware", false);
	counters_add_ratio(&ctl_stub.counters[1], "stream 1", "copies-per-frame", 3, 2);
	counters_add_ratio(&ctl_stub.counters[1], "stream 1", "nothing", 3, 0);
	counters_add(&ctl_stub.counters[1], "stream 2", "frames-in", 7);
	assert_string_equal(ask(fd, "{\"id\":1,\"command\":\"stats\"}"),
			    "{\"id\":1,\"ok\":true,\"devices\":["
			    "{\"device\":\"disk\",\"is\":\"counter\",\"counters\":{\"reads\":1099511627776}},"
			    "{\"device\":\"gpu\",\"is\":\"counter\",\"counters\":{\"streams\":2},\"parts\":["
			    "{\"part\":\"stream 1\",\"counters\":{\"element\":\"avdec_?h264\",\"hardware\":false,"
			    "\"copies-per-frame\":1.500}},{\"part\":\"stream 2\",\"counters\":{\"frames-in\":7}}]}]}");
	/* What there is no room for is said. */
	for (unsigned i = ctl_stub.counters[1].count; i < COUNTERS_MAX + 3; i++)
		counters_add(&ctl_stub.counters[1], NULL, "more", i);
	assert_int_equal(ctl_stub.counters[1].count, COUNTERS_MAX);
	has(ask(fd, "{\"command\":\"stats\"}"), "\"left-out\":3");
	close(fd);
	loop_destroy(other);
	end();
}

static void devices_in_other_processes_are_asked_there(void **state)
{
	static const struct virtio_device_ops silent = {.name = "silent"};
	struct loop *other;
	int fd;

	(void)state;
	begin();
	assert_int_equal(loop_create("other", &other), 0);
	assert_int_equal(loop_start(other), 0);
	ctl_stub_isolate(0, other);
	ctl_stub_isolate(1, vm_loop(vm));
	counters_add(&ctl_stub.counters[0], NULL, "deaths", 1);
	counters_add_text(&ctl_stub.counters[1], "stream 1", "element", "avdec_h264");
	fd = hello();
	assert_string_equal(
		ask(fd, "{\"command\":\"stats\"}"),
		"{\"ok\":true,\"devices\":[{\"device\":\"disk\",\"is\":\"frontend\",\"counters\":{\"deaths\":1}},"
		"{\"device\":\"gpu\",\"is\":\"frontend\",\"counters\":{},\"parts\":[{\"part\":\"stream 1\","
		"\"counters\":{\"element\":\"avdec_h264\"}}]}]}");
	/* What is known without them is said, and what is wrong. */
	ctl_stub.count_err = -ETIMEDOUT;
	has(ask(fd, "{\"command\":\"stats\"}"),
	    "\"is\":\"frontend\",\"error\":\"does not answer\",\"counters\":{\"deaths\":1}");
	ctl_stub.count_err = -EPIPE;
	has(ask(fd, "{\"command\":\"stats\"}"), "\"error\":\"its process has ended\"");
	/* One that counts nothing here and isn't reached elsewhere is left out. */
	memset(ctl_stub.elsewhere, 0, sizeof(ctl_stub.elsewhere));
	ctl_stub.devices[0].ops = ctl_stub.devices[1].ops = &silent;
	assert_string_equal(ask(fd, "{\"command\":\"stats\"}"), "{\"ok\":true,\"devices\":[]}");
	/* But one of another program's is named. */
	ctl_stub.sockets[1] = "/run/fs";
	assert_string_equal(ask(fd, "{\"command\":\"stats\"}"),
			    "{\"ok\":true,\"devices\":[{\"device\":\"gpu\",\"is\":\"silent\","
			    "\"socket\":\"\\/run\\/fs\",\"connected\":false}]}");
	ctl_stub.is_connected = true;
	has(ask(fd, "{\"command\":\"stats\"}"), "\"connected\":true");
	close(fd);
	loop_destroy(other);
	end();
}

static void a_device_that_hangs_is_not_waited_for(void **state)
{
	struct loop *other;
	int fd, second;

	(void)state;
	begin();
	assert_int_equal(loop_create("hangs", &other), 0);
	ctl_stub.devices[1].loop = other;
	fd = hello();
	second = hello();
	say(fd, "{\"command\":\"stats\"}\n");
	assert_true(is_silent(fd));
	has(ask(second, "{\"command\":\"status\"}"), "\"ok\":true");
	/* One that leaves meanwhile; its answer comes and goes nowhere. */
	say(second, "{\"command\":\"stats\"}\n");
	pump();
	close(second);
	pump();
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(loop_run_once(vm_loop(vm), 100), 0);
	has(read_line(fd), "a device's thread doesn't answer");
	assert_int_equal(loop_run_once(other, 0), 0);
	has(ask(fd, "{\"command\":\"resume\"}"), "\"ok\":true");
	/* And the machine may end while it is asked. */
	say(fd, "{\"command\":\"stats\"}\n");
	pump();
	close(fd);
	ctl_close(ctl);
	assert_int_equal(loop_run_once(other, 0), 0);
	end();
	loop_destroy(other);
}

static int make_folder(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/ctl.sock", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_client_is_greeted_with_version_and_protocol),
		cmocka_unit_test(a_line_may_be_cut_anywhere),
		cmocka_unit_test(wrong_requests_are_told_what_is_wrong),
		cmocka_unit_test(a_line_that_is_too_long_ends_the_client),
		cmocka_unit_test(a_client_that_writes_no_more_gets_its_answers),
		cmocka_unit_test(requests_are_answered_in_order),
		cmocka_unit_test(a_client_may_leave_before_its_answer),
		cmocka_unit_test(a_client_that_reads_nothing_is_dropped),
		cmocka_unit_test(one_client_too_many_is_refused),
		cmocka_unit_test(the_socket_is_the_users_alone),
		cmocka_unit_test(a_dead_guests_socket_is_replaced_and_a_living_ones_not),
		cmocka_unit_test(a_hanging_guests_socket_is_not_replaced),
		cmocka_unit_test(names_are_words),
		cmocka_unit_test(the_folder_is_the_users_alone),
		cmocka_unit_test(the_machine_is_described),
		cmocka_unit_test(the_machine_can_be_ended),
		cmocka_unit_test(displays_come_and_go),
		cmocka_unit_test(a_screenshot_is_whole_or_not_there),
		cmocka_unit_test(devices_say_what_they_counted),
		cmocka_unit_test(devices_in_other_processes_are_asked_there),
		cmocka_unit_test(a_device_that_hangs_is_not_waited_for),
		cmocka_unit_test(keys_have_names),
		cmocka_unit_test(keys_and_fingers_reach_the_devices),
	};

	return cmocka_run_group_tests_name("ctl", tests, make_folder, remove_folder);
}
