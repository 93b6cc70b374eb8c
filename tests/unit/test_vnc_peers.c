// SPDX-License-Identifier: MIT
/*
 * --display vnc: who may look, and that no viewer holds up the device or another viewer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/lib/vnc_world.h"

/* ---- viewers that mean no good ---- */

static void a_stuck_viewer_holds_nobody_up(void **state)
{
	static const char all[] = {
		3, 0, 0, 0, 0, 0, (char)(VNC_WIDTH >> 8), (char)(VNC_WIDTH & 0xff), 0, (char)VNC_HEIGHT};
	struct vnc_place *p = *state;
	struct vnc_watcher v;
	int fd;

	vnc_create_here(p, "");
	vnc_show(p);
	fd = vnc_raw_viewer_inside(p);
	vnc_look(&v, p);
	/* It asks for more than the socket takes, and reads none of it. */
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(send(fd, all, sizeof(all), 0), sizeof(all));
	for (unsigned i = 0; i < 300; i++) {
		vnc_paint(p, i);
		vnc_show(p);
	}
	assert_true(vnc_sees_all(&v, p));
	vnc_leave(&v);
	/* And the display can go meanwhile. */
	vnc_destroy(p);
	close(fd);
}

static void half_a_message_holds_nobody_up(void **state)
{
	struct vnc_place *p = *state;
	struct vnc_watcher v;
	int fds[3];

	vnc_create_here(p, "");
	vnc_show(p);
	fds[0] = vnc_raw_viewer(p);
	fds[1] = vnc_raw_viewer(p);
	assert_int_equal(send(fds[1], "RFB 003", 7, 0), 7);
	fds[2] = vnc_raw_viewer_inside(p);
	assert_int_equal(send(fds[2], "\6\0\0\0\0\1\0\0text", 12, 0), 12);
	vnc_look(&v, p);
	assert_true(vnc_sees_all(&v, p));
	vnc_leave(&v);
	vnc_destroy(p);
	for (unsigned i = 0; i < 3; i++)
		close(fds[i]);
}

static void messages_nobody_needs_end_the_connection(void **state)
{
	/* Scaling, files, chat, and one that there isn't. */
	static const char types[] = {8, 15, 7, 11, 10, 99};
	struct vnc_place *p = *state;
	char byte;

	vnc_create_here(p, "");
	vnc_show(p);
	for (unsigned i = 0; i < sizeof(types); i++) {
		char message[16] = {types[i], 1};
		int fd = vnc_raw_viewer_inside(p);

		assert_int_equal(send(fd, message, sizeof(message), 0), sizeof(message));
		assert_true(recv(fd, &byte, 1, 0) <= 0);
		close(fd);
	}
}

static void cut_text_is_dropped_and_bounded(void **state)
{
	struct vnc_place *p = *state;
	struct vnc_watcher v;
	char text[5000], byte;
	int fd;

	vnc_create_here(p, "");
	vnc_show(p);
	memset(text, 'x', sizeof(text));
	vnc_look(&v, p);
	assert_true(SendClientCutText(v.client, text, sizeof(text)));
	vnc_type(&v, 'a');
	vnc_assert_keys(p, &v, "+30 -30 ");
	vnc_leave(&v);
	fd = vnc_raw_viewer_inside(p);
	assert_int_equal(send(fd, "\6\0\0\0\x7f\xff\xff\xff", 8, 0), 8);
	assert_true(recv(fd, &byte, 1, 0) <= 0);
	close(fd);
}

static void so_many_viewers_and_no_more(void **state)
{
	struct vnc_place *p = *state;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fds[8], fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct vnc_watcher v;
	char byte;

	vnc_create_here(p, "");
	vnc_show(p);
	for (unsigned i = 0; i < 8; i++) {
		fds[i] = vnc_raw_viewer(p);
		/* They stop in the middle of a message. */
		assert_int_equal(send(fds[i], "RFB", 3, MSG_NOSIGNAL), 3);
	}
	strcpy(address.sun_path, p->socket);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(recv(fd, &byte, 1, 0), 0);
	close(fd);
	for (unsigned i = 0; i < 8; i++)
		close(fds[i]);
	/* Their places are free again, sooner or later. */
	for (unsigned ms = 0;; ms += 20) {
		vnc_new_client(&v, p->socket, 0);
		if (rfbInitClient(v.client, NULL, NULL))
			break;
		assert_true(ms < VNC_PATIENCE_MS);
		poll(NULL, 0, 20);
	}
	assert_true(vnc_sees_all(&v, p));
	vnc_leave(&v);
}

static char *give_wrong_password(rfbClient *c)
{
	(void)c;
	return strdup("mustard");
}

static void a_password_is_asked_for(void **state)
{
	struct vnc_place *p = *state;
	char options[128], answer[64];
	struct vnc_watcher v;
	int fd;

	vnc_write_password(p, "sesame\nnot this\n");
	snprintf(options, sizeof(options), ",password=%s/password", p->path);
	vnc_create_here(p, options);
	vnc_show(p);
	vnc_look(&v, p);
	assert_true(vnc_sees_all(&v, p));
	vnc_leave(&v);
	vnc_new_client(&v, p->socket, 0)->GetPassword = give_wrong_password;
	assert_false(rfbInitClient(v.client, NULL, NULL));
	/* Not asking is no way in. */
	fd = vnc_raw_viewer(p);
	assert_int_equal(send(fd, "RFB 003.008\n", 12, 0), 12);
	assert_int_equal(recv(fd, answer, 2, MSG_WAITALL), 2);
	assert_int_equal(answer[0], 1);
	assert_int_equal(answer[1], 2);
	assert_int_equal(send(fd, "\1\1", 2, 0), 2);
	assert_true(recv(fd, answer, 1, 0) <= 0);
	close(fd);
}

/* ---- options ---- */

static char said[4096]; /* on standard error by the last create_quietly() */

static int create_quietly(struct vnc_place *p, const char *spec)
{
	int kept = dup(STDERR_FILENO), to = memfd_create("said", 0), err;
	ssize_t n;

	fflush(stderr);
	dup2(to, STDERR_FILENO);
	err = vnc_create(p, spec);
	fflush(stderr);
	dup2(kept, STDERR_FILENO);
	n = pread(to, said, sizeof(said) - 1, 0);
	said[n > 0 ? n : 0] = '\0';
	close(kept);
	close(to);
	return err;
}

static unsigned lines_said(void)
{
	unsigned n = 0;

	for (const char *c = said; *c; c++)
		n += *c == '\n';
	return n;
}

static void wrong_options_get_one_line(void **state)
{
	static const char *const specs[] = {
		"vnc:example.org:1",
		"vnc:127.0.0.1:",
		"vnc:127.0.0.1:70000",
		"vnc:127.0.0.1:-1",
		"vnc:127.0.0.1:5x",
		"vnc:[::1",
		"vnc:::1",
		"vnc:[127.0.0.1]:1",
		"vnc:1.2.3",
		"vnc:unix:",
		"vnc:unix:/nonexistent/x",
		"vnc,every=3",
		"vnc,password=/nonexistent",
		"vnc,password=/dev/null",
		"vnc,",
		"vnc:203.0.113.1:1",
		"vnc:123456",
	};
	struct vnc_place *p = *state;
	char path[200] = "vnc:unix:/tmp/";

	for (unsigned i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
		if (create_quietly(p, specs[i]) == 0)
			fail_msg("%s is taken", specs[i]);
		if (lines_said() != 1)
			fail_msg("%s: %s", specs[i], said);
	}
	memset(path + strlen(path), 'x', 120);
	assert_int_equal(create_quietly(p, path), -EINVAL);
	assert_int_equal(lines_said(), 1);
}

/* The port in the line that was printed. */
static int port_said(const char *host)
{
	const char *at = strstr(said, host);

	return at ? atoi(at + strlen(host)) : 0;
}

static void the_default_is_a_free_port_of_loopback(void **state)
{
	struct vnc_place *p = *state, *other;
	struct vnc_watcher v;
	int first, second;

	assert_int_equal(create_quietly(p, "vnc"), 0);
	assert_int_equal(lines_said(), 1);
	assert_non_null(strstr(said, "vncviewer 127.0.0.1:59"));
	first = port_said("vncviewer 127.0.0.1:");
	/* A second one finds the next. */
	vnc_set_up((void **)&other);
	assert_int_equal(create_quietly(other, "vnc"), 0);
	second = port_said("vncviewer 127.0.0.1:");
	assert_int_not_equal(first, second);
	vnc_destroy(other);
	/* And one that insists is refused. */
	{
		char spec[64];

		snprintf(spec, sizeof(spec), "vnc=127.0.0.1:%d", first);
		assert_int_equal(create_quietly(other, spec), -EADDRINUSE);
		assert_int_equal(lines_said(), 1);
	}
	vnc_tear_down((void **)&other);
	/* Looked at last: the library sets up a lock of its own for each display. */
	vnc_show(p);
	vnc_new_client(&v, "127.0.0.1", first);
	vnc_attach(&v);
	assert_true(vnc_sees_all(&v, p));
	vnc_leave(&v);
}

static void other_machines_come_in_only_when_asked_for(void **state)
{
	struct vnc_place *p = *state;
	char spec[160];

	assert_int_equal(create_quietly(p, "vnc:0.0.0.0"), 0);
	assert_int_equal(lines_said(), 2);
	assert_non_null(strstr(said, "password=FILE"));
	vnc_destroy(p);
	vnc_write_password(p, "sesame");
	snprintf(spec, sizeof(spec), "vnc:0.0.0.0,password=%s/password", p->path);
	assert_int_equal(create_quietly(p, spec), 0);
	assert_int_equal(lines_said(), 1);
	vnc_destroy(p);
	if (create_quietly(p, "vnc:[::1]") == 0) {
		assert_int_equal(lines_said(), 1);
		assert_non_null(strstr(said, "vncviewer [::1]:59"));
	} else {
		print_message("this machine has no IPv6\n");
	}
}

static void numbers_below_a_hundred_are_displays(void **state)
{
	static const struct {
		const char *spec;
		int port;
	} cases[] = {{"vnc:127.0.0.1:77", 5977}, {"vnc=:77", 5977}, {"vnc:77", 5977}, {"vnc:localhost:5977", 5977}};
	struct vnc_place *p = *state;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int err = create_quietly(p, cases[i].spec);

		/* Somebody else may have it. */
		assert_true(err == 0 || err == -EADDRINUSE);
		assert_int_equal(port_said("127.0.0.1:"), cases[i].port);
		vnc_destroy(p);
	}
}

static void a_socket_left_behind_is_replaced(void **state)
{
	struct vnc_place *p = *state;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct stat st;
	char spec[128];

	strcpy(address.sun_path, p->socket);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	snprintf(spec, sizeof(spec), "vnc:unix:%s", p->socket);
	/* Not while it is listened on. */
	assert_int_equal(create_quietly(p, spec), -EADDRINUSE);
	close(fd);
	vnc_create_here(p, "");
	assert_int_equal(stat(p->socket, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VNC_CASE(a_stuck_viewer_holds_nobody_up),
		VNC_CASE(half_a_message_holds_nobody_up),
		VNC_CASE(messages_nobody_needs_end_the_connection),
		VNC_CASE(cut_text_is_dropped_and_bounded),
		VNC_CASE(so_many_viewers_and_no_more),
		VNC_CASE(a_password_is_asked_for),
		VNC_CASE(wrong_options_get_one_line),
		VNC_CASE(the_default_is_a_free_port_of_loopback),
		VNC_CASE(other_machines_come_in_only_when_asked_for),
		VNC_CASE(numbers_below_a_hundred_are_displays),
		VNC_CASE(a_socket_left_behind_is_replaced),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
