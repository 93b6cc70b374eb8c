// SPDX-License-Identifier: MIT
/* virtio-console over fake guest memory: pipes, a pseudo terminal, and clients of a socket. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/base/loop.h"
#include "host/console/console.h"
#include "protocol/virtio_console.h"
#include "tests/device/rings.h"
#include "tests/lib/tap.h"

#define RECEIVE 0
#define TRANSMIT 1

static struct fake_guest *g;
static struct virtio_device *d;
static int input[2], output[2]; /* pipes: the test writes input[1] and reads output[0] */

static void begin_with(const struct fake_guest_options *options, const struct console_config *config)
{
	g = fake_guest_create(options);
	assert_int_equal(console_create(config, fake_guest_loop(g), fake_guest_mem(g), &d), 0);
	assert_int_equal(fake_guest_start(g, d), 0);
}

static void begin(const struct fake_guest_options *options)
{
	struct console_config config = {.columns = 80, .rows = 25};

	assert_int_equal(pipe2(input, O_CLOEXEC), 0);
	assert_int_equal(pipe2(output, O_CLOEXEC), 0);
	fcntl(output[0], F_SETFL, O_NONBLOCK);
	config.in_fd = input[0];
	config.out_fd = output[1];
	begin_with(options, &config);
}

static void close_end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void end(void)
{
	virtio_device_destroy(d);
	fake_guest_destroy(g);
	for (int i = 0; i < 2; i++) {
		close_end(&input[i]);
		close_end(&output[i]);
	}
}

static void let_it_run(int ms)
{
	fake_guest_run_until(g, NULL, NULL, ms);
}

static void send_and_wait(const char *text)
{
	assert_int_equal(fake_guest_request(g, TRANSMIT, text, strlen(text), NULL, 0, NULL), 0);
}

/* All that can be read from @fd now. */
static size_t drain(int fd, char *to, size_t n)
{
	size_t have = 0;
	ssize_t got;

	while (have < n && (got = read(fd, to + have, n - have)) > 0)
		have += (size_t)got;
	return have;
}

static void expect(int fd, const char *text)
{
	char found[256];
	size_t n = drain(fd, found, sizeof(found));

	assert_int_equal(n, strlen(text));
	assert_memory_equal(found, text, n);
}

static void hello(void *arg)
{
	(void)arg;
	send_and_wait("hello, world\n");
	expect(output[0], "hello, world\n");
}

static void output_arrives_however_it_is_split(void **state)
{
	(void)state;
	for (size_t r = 0; r < RING_KINDS; r++) {
		begin(&rings[r]);
		fake_guest_split_each(g, TRANSMIT, 13, hello, NULL);
		send_and_wait("");
		expect(output[0], "");
		end();
	}
}

static void typed(void *arg)
{
	struct fake_request *r = fake_guest_add(g, RECEIVE, NULL, 0, 16);

	(void)arg;
	fake_guest_kick(g, RECEIVE);
	assert_int_equal(write(input[1], "typed text", 10), 10);
	assert_int_equal(fake_guest_wait(g, r, 5000), 0);
	assert_int_equal(r->used_len, 10);
	assert_memory_equal(r->out, "typed text", 10);
	assert_int_equal(r->out[10], 0xa5);
	fake_guest_free_request(g, r);
}

static void input_arrives_however_it_is_split(void **state)
{
	(void)state;
	for (size_t r = 0; r < RING_KINDS; r++) {
		begin(&rings[r]);
		fake_guest_split_each(g, RECEIVE, 16, typed, NULL);
		end();
	}
}

static void input_waits_for_buffers(void **state)
{
	struct fake_request *r[3];
	char text[12];

	(void)state;
	for (size_t k = 0; k < RING_KINDS; k++) {
		begin(&rings[k]);
		assert_int_equal(write(input[1], "0123456789", 10), 10);
		let_it_run(5);
		/* Nothing was read ahead: it is all in the pipe still. */
		assert_int_equal(console_counters(d)->bytes_in, 0);
		for (int i = 0; i < 3; i++)
			r[i] = fake_guest_add(g, RECEIVE, NULL, 0, 4);
		fake_guest_kick(g, RECEIVE);
		for (int i = 0; i < 3; i++) {
			assert_int_equal(fake_guest_wait(g, r[i], 5000), 0);
			memcpy(text + i * 4, r[i]->out, 4);
		}
		assert_memory_equal(text, "0123456789", 10);
		assert_int_equal(r[2]->used_len, 2);
		for (int i = 0; i < 3; i++)
			fake_guest_free_request(g, r[i]);
		/* And again without a buffer. */
		assert_int_equal(write(input[1], "abc", 3), 3);
		let_it_run(5);
		assert_int_equal(console_counters(d)->bytes_in, 10);
		r[0] = fake_guest_add(g, RECEIVE, NULL, 0, 4);
		fake_guest_kick(g, RECEIVE);
		assert_int_equal(fake_guest_wait(g, r[0], 5000), 0);
		assert_int_equal(r[0]->used_len, 3);
		fake_guest_free_request(g, r[0]);
		end();
	}
}

/* More than a pipe holds: a pattern that shows a byte lost or repeated. */
static uint8_t long_text[300000];

static void fill_long_text(void)
{
	for (size_t i = 0; i < sizeof(long_text); i++)
		long_text[i] = (uint8_t)(i * 2654435761u >> 24);
}

static void output_is_held_back_until_it_is_read(void **state)
{
	static uint8_t found[sizeof(long_text) + 1];
	struct fake_request *first, *second;
	size_t have = 0;

	(void)state;
	fill_long_text();
	for (size_t k = 0; k < RING_KINDS; k++) {
		begin(&rings[k]);
		first = fake_guest_add(g, TRANSMIT, long_text, sizeof(long_text) - 5, 0);
		second = fake_guest_add(g, TRANSMIT, long_text + sizeof(long_text) - 5, 5, 0);
		fake_guest_kick(g, TRANSMIT);
		let_it_run(10);
		assert_false(first->done);
		assert_false(second->done);
		/* The loop is free meanwhile: input still arrives. */
		typed(NULL);
		for (have = 0; have < sizeof(long_text); let_it_run(1))
			have += drain(output[0], (char *)found + have, sizeof(found) - have);
		assert_int_equal(have, sizeof(long_text));
		assert_memory_equal(found, long_text, sizeof(long_text));
		assert_int_equal(fake_guest_wait(g, first, 5000), 0);
		assert_int_equal(fake_guest_wait(g, second, 5000), 0);
		assert_true(first->sequence < second->sequence);
		fake_guest_free_request(g, first);
		fake_guest_free_request(g, second);
		end();
	}
}

static void many_small_writes_keep_their_order(void **state)
{
	struct fake_request *r[64];
	char text[64 * 4 + 1], found[sizeof(text)];

	(void)state;
	begin(&rings[3]);
	for (int i = 0; i < 64; i++) {
		snprintf(text + i * 4, 5, "%03d,", i);
		r[i] = fake_guest_add(g, TRANSMIT, text + i * 4, 4, 0);
	}
	fake_guest_kick(g, TRANSMIT);
	for (int i = 0; i < 64; i++) {
		assert_int_equal(fake_guest_wait(g, r[i], 5000), 0);
		fake_guest_free_request(g, r[i]);
	}
	assert_int_equal(drain(output[0], found, sizeof(found)), 64 * 4);
	assert_memory_equal(found, text, 64 * 4);
	end();
}

/* A file takes and gives all there is: the loop must get its turn in between. */
static void long_transfers_are_done_in_turns(void **state)
{
	static uint8_t found[sizeof(long_text) + 1];
	char in_path[] = "/tmp/mullion-console-XXXXXX", out_path[] = "/tmp/mullion-console-XXXXXX";
	struct console_config config = {.in_fd = mkstemp(in_path), .out_fd = mkstemp(out_path)};
	struct fake_request *r[64], *out;
	size_t at = 0;

	(void)state;
	fill_long_text();
	assert_int_equal(write(config.in_fd, long_text, sizeof(long_text)), sizeof(long_text));
	lseek(config.in_fd, 0, SEEK_SET);
	begin_with(NULL, &config);
	out = fake_guest_add(g, TRANSMIT, long_text, sizeof(long_text), 0);
	fake_guest_kick(g, TRANSMIT);
	fake_guest_poll(g, TRANSMIT);
	assert_false(out->done);
	assert_true(console_counters(d)->bytes_out > 0);
	/* A reset in between, and once more. */
	fake_guest_reset(g);
	fake_guest_free_request(g, out);
	assert_int_equal(ftruncate(config.out_fd, 0), 0);
	lseek(config.out_fd, 0, SEEK_SET);
	assert_int_equal(fake_guest_start(g, d), 0);
	out = fake_guest_add(g, TRANSMIT, long_text, sizeof(long_text), 0);
	fake_guest_kick(g, TRANSMIT);
	assert_int_equal(fake_guest_wait(g, out, 5000), 0);
	fake_guest_free_request(g, out);
	assert_int_equal(pread(config.out_fd, found, sizeof(found), 0), sizeof(long_text));
	assert_memory_equal(found, long_text, sizeof(long_text));

	while (at < sizeof(long_text)) {
		for (int i = 0; i < 64; i++)
			r[i] = fake_guest_add(g, RECEIVE, NULL, 0, 4096);
		fake_guest_kick(g, RECEIVE);
		fake_guest_poll(g, RECEIVE);
		assert_false(r[63]->done);
		for (int i = 0; i < 64 && at < sizeof(long_text); i++) {
			assert_int_equal(fake_guest_wait(g, r[i], 5000), 0);
			memcpy(found + at, r[i]->out, r[i]->used_len);
			at += r[i]->used_len;
		}
		fake_guest_reset(g);
		for (int i = 0; i < 64; i++)
			fake_guest_free_request(g, r[i]);
		assert_int_equal(fake_guest_start(g, d), 0);
	}
	assert_int_equal(at, sizeof(long_text));
	assert_memory_equal(found, long_text, sizeof(long_text));
	virtio_device_destroy(d);
	fake_guest_destroy(g);
	close(config.in_fd);
	close(config.out_fd);
	unlink(in_path);
	unlink(out_path);
}

static void the_end_of_input_is_not_the_end_of_output(void **state)
{
	struct fake_request *r;

	(void)state;
	begin(NULL);
	r = fake_guest_add(g, RECEIVE, NULL, 0, 4);
	fake_guest_kick(g, RECEIVE);
	close_end(&input[1]);
	let_it_run(5);
	assert_false(r->done);
	hello(NULL);
	fake_guest_reset(g);
	fake_guest_free_request(g, r);
	end();
}

static void output_to_nobody_is_dropped(void **state)
{
	void (*handler)(int) = signal(SIGPIPE, SIG_IGN);
	struct console_config nothing = {.in_fd = -1, .out_fd = -1};

	(void)state;
	begin(NULL);
	hello(NULL);
	close_end(&output[0]);
	send_and_wait("gone");
	send_and_wait("gone");
	assert_int_equal(console_counters(d)->bytes_dropped, 8);
	typed(NULL);
	end();
	signal(SIGPIPE, handler);

	begin_with(NULL, &nothing);
	send_and_wait("nobody");
	assert_int_equal(console_counters(d)->bytes_dropped, 6);
	virtio_device_destroy(d);
	fake_guest_destroy(g);
}

static void a_reset_forgets_what_was_pending(void **state)
{
	struct fake_request *out, *in;
	static char found[sizeof(long_text)];

	(void)state;
	for (size_t k = 0; k < RING_KINDS; k++) {
		begin(&rings[k]);
		out = fake_guest_add(g, TRANSMIT, long_text, sizeof(long_text), 0);
		in = fake_guest_add(g, RECEIVE, NULL, 0, 16);
		fake_guest_kick(g, TRANSMIT);
		fake_guest_kick(g, RECEIVE);
		let_it_run(2);
		fake_guest_reset(g);
		assert_true(out->lost);
		assert_true(in->lost);
		assert_int_equal(write(input[1], "early", 5), 5);
		let_it_run(5);
		assert_int_equal(console_counters(d)->bytes_in, 0);
		fake_guest_free_request(g, out);
		fake_guest_free_request(g, in);
		/* The next driver's output begins with its own first byte, and it gets what was typed. */
		drain(output[0], found, sizeof(found));
		assert_int_equal(fake_guest_start(g, d), 0);
		hello(NULL);
		in = fake_guest_add(g, RECEIVE, NULL, 0, 16);
		fake_guest_kick(g, RECEIVE);
		assert_int_equal(fake_guest_wait(g, in, 5000), 0);
		assert_int_equal(in->used_len, 5);
		fake_guest_free_request(g, in);
		end();
	}
}

static void a_terminal_stays_as_it_was(void **state)
{
	struct console_config config = {0};
	struct termios raw;
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC), slave;
	struct fake_request *r;
	char found[16];

	(void)state;
	if (master < 0 || grantpt(master) || unlockpt(master)) {
		tap_skip("no pseudo terminals here");
	}
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(slave >= 0);
	assert_int_equal(tcgetattr(slave, &raw), 0);
	cfmakeraw(&raw);
	assert_int_equal(tcsetattr(slave, TCSANOW, &raw), 0);
	config.in_fd = slave;
	config.out_fd = slave;
	begin_with(NULL, &config);
	/* Other programs on this terminal must not meet a descriptor that doesn't block. */
	assert_false(fcntl(slave, F_GETFL) & O_NONBLOCK);
	send_and_wait("to the screen");
	assert_int_equal(drain(master, found, sizeof(found)), 13);
	assert_memory_equal(found, "to the screen", 13);
	r = fake_guest_add(g, RECEIVE, NULL, 0, 8);
	fake_guest_kick(g, RECEIVE);
	assert_int_equal(write(master, "key\x03", 4), 4);
	assert_int_equal(fake_guest_wait(g, r, 5000), 0);
	assert_int_equal(r->used_len, 4);
	assert_memory_equal(r->out, "key\x03", 4);
	fake_guest_free_request(g, r);
	virtio_device_destroy(d);
	fake_guest_destroy(g);

	/* The master's end as well, whose flags are put back. */
	fcntl(master, F_SETFL, 0);
	config.in_fd = -1;
	config.out_fd = master;
	begin_with(NULL, &config);
	send_and_wait("other side");
	virtio_device_destroy(d);
	fake_guest_destroy(g);
	assert_false(fcntl(master, F_GETFL) & O_NONBLOCK);
	fcntl(slave, F_SETFL, O_NONBLOCK);
	assert_int_equal(drain(slave, found, sizeof(found)), 10);
	close(slave);
	close(master);
}

/* What was set for both directions is put back when both have ended: else the loop would wait for who doesn't read. */
static void output_does_not_block_when_input_has_ended(void **state)
{
	struct console_config config = {0};
	struct termios raw;
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave;
	struct fake_request *in, *out;

	(void)state;
	if (master < 0 || grantpt(master) || unlockpt(master)) {
		tap_skip("no pseudo terminals here");
	}
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(slave >= 0);
	config.in_fd = master;
	config.out_fd = master;
	begin_with(NULL, &config);
	in = fake_guest_add(g, RECEIVE, NULL, 0, 8);
	fake_guest_kick(g, RECEIVE);
	close(slave);
	let_it_run(20);
	assert_true(fcntl(master, F_GETFL) & O_NONBLOCK);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_int_equal(tcgetattr(slave, &raw), 0);
	cfmakeraw(&raw);
	assert_int_equal(tcsetattr(slave, TCSANOW, &raw), 0);
	out = fake_guest_add(g, TRANSMIT, long_text, sizeof(long_text), 0);
	fake_guest_kick(g, TRANSMIT);
	let_it_run(20);
	assert_false(out->done);
	assert_false(in->done);
	fake_guest_reset(g);
	fake_guest_free_request(g, in);
	fake_guest_free_request(g, out);
	virtio_device_destroy(d);
	fake_guest_destroy(g);
	assert_false(fcntl(master, F_GETFL) & O_NONBLOCK);
	close(slave);
	close(master);
}

static void files_will_do(void **state)
{
	char in_path[] = "/tmp/mullion-console-XXXXXX", out_path[] = "/tmp/mullion-console-XXXXXX";
	struct console_config config = {.in_fd = mkstemp(in_path), .out_fd = mkstemp(out_path)};
	struct fake_request *r[3];
	char found[32];

	(void)state;
	assert_int_equal(write(config.in_fd, "0123456789", 10), 10);
	lseek(config.in_fd, 0, SEEK_SET);
	begin_with(NULL, &config);
	for (int i = 0; i < 3; i++)
		r[i] = fake_guest_add(g, RECEIVE, NULL, 0, 8);
	fake_guest_kick(g, RECEIVE);
	assert_int_equal(fake_guest_wait(g, r[0], 5000), 0);
	assert_int_equal(fake_guest_wait(g, r[1], 5000), 0);
	assert_memory_equal(r[0]->out, "01234567", 8);
	assert_int_equal(r[1]->used_len, 2);
	assert_false(r[2]->done);
	send_and_wait("one ");
	send_and_wait("two");
	assert_int_equal(pread(config.out_fd, found, sizeof(found), 0), 7);
	assert_memory_equal(found, "one two", 7);
	fake_guest_reset(g);
	for (int i = 0; i < 3; i++)
		fake_guest_free_request(g, r[i]);
	virtio_device_destroy(d);
	fake_guest_destroy(g);
	close(config.in_fd);
	close(config.out_fd);
	unlink(in_path);
	unlink(out_path);
}

/* ---- the socket ---- */

static char socket_path[64];

static int dial(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(address.sun_path, socket_path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void begin_socket(void)
{
	struct console_config config = {.socket_path = socket_path, .in_fd = -1, .out_fd = -1};

	snprintf(socket_path, sizeof(socket_path), "/tmp/mullion-console-%d.sock", getpid());
	begin_with(&rings[1], &config);
}

static void end_socket(void)
{
	virtio_device_destroy(d);
	fake_guest_destroy(g);
	assert_int_equal(access(socket_path, F_OK), -1);
}

static void clients_are_served_one_after_the_other(void **state)
{
	struct fake_request *r;
	int one, two;

	(void)state;
	begin_socket();
	send_and_wait("nobody is here");
	assert_int_equal(console_counters(d)->bytes_dropped, 14);
	r = fake_guest_add(g, RECEIVE, NULL, 0, 16);
	fake_guest_kick(g, RECEIVE);
	one = dial();
	two = dial();
	let_it_run(5);
	assert_int_equal(console_counters(d)->clients, 1);
	send_and_wait("for one");
	expect(one, "for one");
	expect(two, "");
	assert_int_equal(write(two, "two", 3), 3);
	assert_int_equal(write(one, "one!", 4), 4);
	assert_int_equal(fake_guest_wait(g, r, 5000), 0);
	assert_int_equal(r->used_len, 4);
	fake_guest_free_request(g, r);
	/* The next one's turn comes when the first has gone, and what it typed meanwhile is not lost. */
	r = fake_guest_add(g, RECEIVE, NULL, 0, 16);
	fake_guest_kick(g, RECEIVE);
	let_it_run(5);
	assert_false(r->done);
	close(one);
	assert_int_equal(fake_guest_wait(g, r, 5000), 0);
	assert_int_equal(r->used_len, 3);
	fake_guest_free_request(g, r);
	send_and_wait("for two");
	expect(two, "for two");
	assert_int_equal(console_counters(d)->clients, 2);
	close(two);
	end_socket();
}

static void a_client_that_leaves_frees_the_guest(void **state)
{
	struct fake_request *r, *in = NULL;
	int fd;

	(void)state;
	begin_socket();
	for (int i = 0; i < 6; i++) {
		fd = dial();
		let_it_run(5);
		/* The client doesn't read, so the guest has to wait: until it hangs up. */
		r = fake_guest_add(g, TRANSMIT, long_text, sizeof(long_text), 0);
		fake_guest_kick(g, TRANSMIT);
		let_it_run(10);
		if (r->done)
			print_message("the socket took %zu bytes at once\n", sizeof(long_text));
		/* Also when it is noticed by who waits for input, before or after. */
		if (i == 3) {
			in = fake_guest_add(g, RECEIVE, NULL, 0, 16);
			fake_guest_kick(g, RECEIVE);
		}
		close(fd);
		assert_int_equal(fake_guest_wait(g, r, 5000), 0);
		fake_guest_free_request(g, r);
	}
	assert_int_equal(console_counters(d)->clients, 6);
	assert_false(in->done);
	fake_guest_reset(g);
	fake_guest_free_request(g, in);
	end_socket();
}

static void destroying_hangs_up(void **state)
{
	char byte;
	int fd;

	(void)state;
	begin_socket();
	fd = dial();
	let_it_run(5);
	end_socket();
	assert_int_equal(read(fd, &byte, 1), 0);
	close(fd);
}

static void paths_that_cannot_be_used_are_refused(void **state)
{
	struct console_config config = {.socket_path = socket_path, .in_fd = -1, .out_fd = -1};
	struct virtio_device *other;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char longer[200];
	int fd;

	(void)state;
	begin_socket();
	/* Somebody listens there. */
	assert_int_equal(console_create(&config, fake_guest_loop(g), fake_guest_mem(g), &other), -EADDRINUSE);
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = 0;
	config.socket_path = longer;
	assert_int_equal(console_create(&config, fake_guest_loop(g), fake_guest_mem(g), &other), -ENAMETOOLONG);
	config.socket_path = "/no-such-folder/console";
	assert_int_equal(console_create(&config, fake_guest_loop(g), fake_guest_mem(g), &other), -ENOENT);
	end_socket();

	/* What a dead program left behind is replaced; a file that is no socket is not. */
	config.socket_path = socket_path;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	strcpy(address.sun_path, socket_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	begin_socket();
	end_socket();
	fd = open(socket_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(fd);
	g = fake_guest_create(NULL);
	assert_int_equal(console_create(&config, fake_guest_loop(g), fake_guest_mem(g), &other), -EADDRINUSE);
	fake_guest_destroy(g);
	assert_int_equal(unlink(socket_path), 0);
}

/* ---- config space ---- */

static void the_size_can_change(void **state)
{
	struct virtio_console_config space;
	uint16_t columns = 1;
	unsigned changes;

	(void)state;
	begin(NULL);
	assert_true(virtio_device_has(d, VIRTIO_CONSOLE_F_SIZE));
	fake_guest_read_config(g, 0, &space, sizeof(space));
	assert_int_equal(space.cols, 80);
	assert_int_equal(space.rows, 25);
	changes = fake_guest_config_changes(g);
	console_resize(d, 132, 43);
	assert_int_equal(fake_guest_config_changes(g), changes + 1);
	console_resize(d, 132, 43);
	assert_int_equal(fake_guest_config_changes(g), changes + 1);
	/* The driver has no say in it. */
	virtio_device_config(d, 0, &columns, sizeof(columns), true);
	fake_guest_read_config(g, 0, &space, sizeof(space));
	assert_int_equal(space.cols, 132);
	assert_int_equal(space.rows, 43);
	end();
}

static void emergency_writes_need_no_queue(void **state)
{
	uint32_t letter = 'E';

	(void)state;
	begin(NULL);
	fake_guest_reset(g);
	virtio_device_config(d, offsetof(struct virtio_console_config, emerg_wr), &letter, sizeof(letter), true);
	letter = '!';
	virtio_device_config(d, offsetof(struct virtio_console_config, emerg_wr), &letter, 1, true);
	expect(output[0], "E!");
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(output_arrives_however_it_is_split),
		cmocka_unit_test(input_arrives_however_it_is_split),
		cmocka_unit_test(input_waits_for_buffers),
		cmocka_unit_test(output_is_held_back_until_it_is_read),
		cmocka_unit_test(many_small_writes_keep_their_order),
		cmocka_unit_test(long_transfers_are_done_in_turns),
		cmocka_unit_test(the_end_of_input_is_not_the_end_of_output),
		cmocka_unit_test(output_to_nobody_is_dropped),
		cmocka_unit_test(a_reset_forgets_what_was_pending),
		cmocka_unit_test(a_terminal_stays_as_it_was),
		cmocka_unit_test(output_does_not_block_when_input_has_ended),
		cmocka_unit_test(files_will_do),
		cmocka_unit_test(clients_are_served_one_after_the_other),
		cmocka_unit_test(a_client_that_leaves_frees_the_guest),
		cmocka_unit_test(destroying_hangs_up),
		cmocka_unit_test(paths_that_cannot_be_used_are_refused),
		cmocka_unit_test(the_size_can_change),
		cmocka_unit_test(emergency_writes_need_no_queue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
