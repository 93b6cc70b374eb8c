// SPDX-License-Identifier: MIT
/*
 * What a user asks of an isolated device and its displays: mullion's end and the worker's, with a device that only
 * notes what it is told, and workers that die or lie.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/base/loop.h"
#include "host/vhost/control_server.h"
#include "host/virtio/counters.h"
#include "host/virtio/device.h"
#include "tests/lib/usage.h"
#include "vmm/isolate_control.h"

#define DISPLAYS 2u

/* ---- a device ---- */

static struct {
	struct control_mode modes[DISPLAYS];
	unsigned shots;
} device;

static int get_status(void *owner, struct display_device_status *out)
{
	(void)owner;
	*out = (struct display_device_status){.renderer = "fake", .display_count = DISPLAYS, .commands = 7};
	for (unsigned i = 0; i < DISPLAYS; i++) {
		out->displays[i].width = device.modes[i].width;
		out->displays[i].height = device.modes[i].height;
	}
	return 0;
}

static int set_mode(void *owner, unsigned display, uint32_t width, uint32_t height)
{
	(void)owner;
	if (display >= DISPLAYS || width > DISPLAY_CONTROL_SIZE_MAX)
		return -EINVAL;
	device.modes[display] = (struct control_mode){1, width, height};
	return 0;
}

static void screenshot(void *owner, struct display_screenshot *s)
{
	(void)owner;
	device.shots++;
	s->err = s->display < DISPLAYS ? 0 : -EINVAL;
	if (!s->err)
		assert_int_equal(write(s->fd, "picture", 7), 7);
	s->width = 70;
	s->height = 50;
	s->done(s);
}

static const struct display_control_ops fake_ops = {get_status, set_mode, screenshot};

static void count(struct virtio_device *d, struct counters *out)
{
	(void)d;
	counters_add(out, NULL, "commands", 7);
	counters_add_text(out, "stream 1", "element", "avdec_h264");
}

static const struct virtio_device_ops counting_ops = {.name = "fake", .count = count};

/* ---- both ends ---- */

struct place {
	struct isolate_control *control;
	const struct display_control *asker;
	const struct counter_source *counters;
	int keeper, worker; /* their ends of the sockets; -1: none */
};

static int set_up(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	memset(&device, 0, sizeof(device));
	assert_int_equal(isolate_control_create(&p->control), 0);
	p->asker = isolate_control_display(p->control);
	p->counters = isolate_control_counters(p->control);
	p->keeper = isolate_control_connect(p->control);
	assert_true(p->keeper >= 0);
	p->worker = -1;
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;

	isolate_control_destroy(p->control);
	if (p->worker >= 0)
		close(p->worker);
	close(p->keeper);
	free(p);
	return 0;
}

/* What a keeper says of its worker @number. */
static void say_worker(struct place *p, uint32_t number)
{
	const struct control_message m = {.kind = CONTROL_WORKER, .worker_pid = 1000 + number, .deaths = number - 1};
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(control_send(p->keeper, &m, pair[0]), 0);
	close(pair[0]);
	if (p->worker >= 0)
		close(p->worker);
	p->worker = pair[1];
}

/* The next request, which a test answers in place of a worker. */
static void take(struct place *p, struct control_message *m, int *fd)
{
	struct pollfd wait = {.fd = p->worker, .events = POLLIN};

	assert_int_equal(poll(&wait, 1, 5000), 1);
	assert_int_equal(control_receive(p->worker, m, fd), 0);
}

/* A question on the asker's thread, which may wait. */
struct question {
	struct loop_task task;
	struct place *place;
	bool is_mode;
	struct counters *counters; /* to be asked for; NULL: a status or mode */
	unsigned display;
	uint32_t width, height;
	struct display_device_status status;
	int err;
	int done[2]; /* a pipe */
};

static void run_question(struct loop_task *t)
{
	struct question *q = t->owner;
	const struct display_control *c = q->place->asker;

	if (q->counters)
		q->err = q->place->counters->count(q->place->counters->owner, q->counters);
	else
		q->err = q->is_mode ? c->ops->set_mode(c->owner, q->display, q->width, q->height)
				    : c->ops->get_status(c->owner, &q->status);
	assert_int_equal(write(q->done[1], "x", 1), 1);
}

static void ask(struct place *p, struct question *q)
{
	q->place = p;
	q->task = (struct loop_task){.run = run_question, .owner = q};
	assert_int_equal(pipe(q->done), 0);
	loop_post(q->counters ? p->counters->loop : p->asker->loop, &q->task);
}

static void wait_for(int pipe)
{
	struct pollfd wait = {.fd = pipe, .events = POLLIN};
	char byte;

	assert_int_equal(poll(&wait, 1, 10000), 1);
	assert_int_equal(read(pipe, &byte, 1), 1);
}

static int answer_of(struct question *q)
{
	wait_for(q->done[0]);
	close(q->done[0]);
	close(q->done[1]);
	return q->err;
}

struct shot {
	struct display_screenshot base;
	struct loop_task task;
	struct place *place;
	int done[2];
};

static void on_done(struct display_screenshot *s)
{
	assert_int_equal(write(((struct shot *)s)->done[1], "x", 1), 1);
}

static void run_shot(struct loop_task *t)
{
	struct shot *s = t->owner;

	s->place->asker->ops->screenshot(s->place->asker->owner, &s->base);
}

static void take_shot(struct place *p, struct shot *s, unsigned display)
{
	*s = (struct shot){.base = {.display = display, .done = on_done}, .place = p};
	s->base.fd = memfd_create("shot", MFD_CLOEXEC);
	s->task = (struct loop_task){.run = run_shot, .owner = s};
	assert_int_equal(pipe(s->done), 0);
	loop_post(p->asker->loop, &s->task);
}

static int end_shot(struct shot *s, const char *content)
{
	char bytes[16] = "";

	wait_for(s->done[0]);
	assert_true(pread(s->base.fd, bytes, sizeof(bytes) - 1, 0) >= 0);
	assert_string_equal(bytes, content);
	close(s->done[0]);
	close(s->done[1]);
	close(s->base.fd);
	return s->base.err;
}

/* ---- a worker that lives ---- */

struct server {
	struct loop *loop;
	struct control_server *server;
	struct control_mode modes[DISPLAY_CONTROL_MAX];
	struct virtio_device device;
};

static void start_server_of(struct server *s, int socket, const struct virtio_device_ops *ops,
			    const struct display_control_ops *displays)
{
	const struct control_server_config c = {
		.socket = socket,
		.device = &s->device,
		.displays = displays,
		.modes = s->modes,
	};

	assert_int_equal(loop_create("worker", &s->loop), 0);
	s->device = (struct virtio_device){.ops = ops, .loop = s->loop};
	assert_int_equal(control_server_create(&c, &s->server), 0);
	assert_int_equal(loop_start(s->loop), 0);
}

static void start_server(struct server *s, int socket)
{
	start_server_of(s, socket, &counting_ops, &fake_ops);
}

static void destroy_server(void *arg)
{
	struct server *s = arg;

	/* The device may go first. */
	memset(&s->device, 0, sizeof(s->device));
	control_server_destroy(s->server);
}

static void stop_server(struct server *s)
{
	loop_call(s->loop, destroy_server, s);
	loop_destroy(s->loop);
}

static void all_that_a_user_asks_crosses(void **state)
{
	struct place *p = *state;
	struct question status = {0}, mode = {.is_mode = true, .display = 1, .width = 800, .height = 480};
	struct question wrong = {.is_mode = true, .display = 9, .width = 800, .height = 480};
	struct server s = {0};
	struct shot shot, none;

	say_worker(p, 3);
	start_server(&s, dup(p->worker));
	ask(p, &mode);
	assert_int_equal(answer_of(&mode), 0);
	ask(p, &wrong);
	assert_int_equal(answer_of(&wrong), -EINVAL);
	ask(p, &status);
	assert_int_equal(answer_of(&status), 0);
	assert_string_equal(status.status.renderer, "fake");
	assert_int_equal(status.status.display_count, DISPLAYS);
	assert_int_equal(status.status.displays[1].width, 800);
	assert_int_equal(status.status.commands, 7);
	assert_true(status.status.is_isolated);
	assert_int_equal(status.status.worker_pid, 1003);
	assert_int_equal(status.status.deaths, 2);
	take_shot(p, &shot, 0);
	take_shot(p, &none, 9);
	assert_int_equal(end_shot(&shot, "picture"), 0);
	assert_int_equal(shot.base.width, 70);
	assert_int_equal(shot.base.height, 50);
	assert_int_equal(end_shot(&none, ""), -EINVAL);
	stop_server(&s);
	assert_int_equal(s.modes[1].is_set, 1);
	assert_int_equal(s.modes[1].height, 480);
	assert_int_equal(s.modes[0].is_set, 0);
	assert_int_equal(s.modes[9].is_set, 0);
}

static void what_a_device_counted_crosses(void **state)
{
	struct place *p = *state;
	struct counters *c = calloc(1, sizeof(*c));
	struct question q = {.counters = c}, status = {0};
	struct server s = {.modes = {[0] = {1, 640, 400}}};

	say_worker(p, 3);
	/* Of one without displays as well, which has no use for modes. */
	for (unsigned i = 0; i < 2; i++) {
		start_server_of(&s, dup(p->worker), &counting_ops, i ? NULL : &fake_ops);
		ask(p, &q);
		assert_int_equal(answer_of(&q), 0);
		assert_int_equal(c->count, 3);
		assert_string_equal(c->list[0].name, "deaths");
		assert_int_equal(c->list[0].value, 2);
		assert_string_equal(c->list[1].name, "commands");
		assert_int_equal(c->list[1].value, 7);
		assert_string_equal(c->list[2].part, "stream 1");
		assert_string_equal(c->list[2].text, "avdec_h264");
		if (i) {
			ask(p, &status);
			assert_int_equal(answer_of(&status), -EOPNOTSUPP);
		}
		stop_server(&s);
	}
	free(c);
}

static void a_device_that_counts_nothing_says_so(void **state)
{
	static const struct virtio_device_ops silent = {.name = "silent"};
	struct place *p = *state;
	struct counters *c = calloc(1, sizeof(*c));
	struct question q = {.counters = c};
	struct server s = {0};

	say_worker(p, 1);
	start_server_of(&s, dup(p->worker), &silent, NULL);
	ask(p, &q);
	assert_int_equal(answer_of(&q), 0);
	assert_int_equal(c->count, 1);
	stop_server(&s);
	free(c);
}

/* As one does who has the worker in hand. */
static void counters_of_a_worker_are_made_harmless(void **state)
{
	struct place *p = *state;
	struct counters *c = calloc(1, sizeof(*c)), *theirs = malloc(sizeof(*theirs));
	struct question q = {.counters = c};
	struct control_message m;
	int fd;

	say_worker(p, 1);
	ask(p, &q);
	take(p, &m, &fd);
	assert_int_equal(m.kind, CONTROL_COUNTERS);
	/* It can't make the file another one. */
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(ftruncate(fd, 1 << 20), -1);
	assert_int_equal(pwrite(fd, "x", 1, sizeof(*theirs)), -1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	memset(theirs, 0xff, sizeof(*theirs));
	assert_int_equal(pwrite(fd, theirs, sizeof(*theirs), 0), sizeof(*theirs));
	close(fd);
	assert_int_equal(control_send(p->worker, &m, -1), 0);
	assert_int_equal(answer_of(&q), 0);
	assert_int_equal(c->count, COUNTERS_MAX);
	for (unsigned i = 1; i < COUNTERS_MAX; i++) {
		const struct counter *n = &c->list[i];

		assert_int_equal(n->kind, COUNTER_NUMBER);
		assert_int_equal(strspn(n->part, "?"), sizeof(n->part) - 1);
		assert_int_equal(strlen(n->part), sizeof(n->part) - 1);
		assert_int_equal(strlen(n->name), sizeof(n->name) - 1);
		assert_int_equal(strlen(n->text), sizeof(n->text) - 1);
	}
	/* One that says it could not, and one that says nonsense of why. */
	for (unsigned i = 0; i < 2; i++) {
		ask(p, &q);
		take(p, &m, &fd);
		close(fd);
		m.err = i ? 5 : -ENOSPC;
		assert_int_equal(control_send(p->worker, &m, -1), 0);
		assert_int_equal(answer_of(&q), i ? -EPROTO : -ENOSPC);
		assert_int_equal(c->count, 1);
	}
	free(theirs);
	free(c);
}

static void a_worker_begins_with_the_modes_that_were_set(void **state)
{
	struct place *p = *state;
	struct server s = {.modes = {[0] = {1, 640, 400}, [1] = {1, 1 << 30, 1}, [5] = {1, 1, 1}}};

	say_worker(p, 1);
	start_server(&s, dup(p->worker));
	stop_server(&s);
	assert_int_equal(device.modes[0].width, 640);
	/* Of what a hijacked one may have left, nothing. */
	assert_int_equal(device.modes[1].is_set, 0);
}

/* ---- workers that a guest has taken over ---- */

static void only_the_keeper_says_who_the_worker_is(void **state)
{
	const struct control_message lie = {.kind = CONTROL_WORKER, .worker_pid = 1, .deaths = 77};
	struct place *p = *state;
	struct question q = {0};
	struct control_message m;
	int fd;

	say_worker(p, 4);
	ask(p, &q);
	take(p, &m, &fd);
	/* Its own socket, for another's. */
	assert_int_equal(control_send(p->worker, &lie, p->worker), 0);
	assert_int_equal(control_send(p->worker, &lie, -1), 0);
	m.worker_pid = lie.worker_pid;
	m.deaths = lie.deaths;
	m.status.worker_pid = lie.worker_pid;
	m.status.deaths = lie.deaths;
	assert_int_equal(control_send(p->worker, &m, -1), 0);
	assert_int_equal(answer_of(&q), 0);
	assert_int_equal(q.status.worker_pid, 1004);
	assert_int_equal(q.status.deaths, 3);
}

static void what_a_worker_does_to_its_socket_goes_with_it(void **state)
{
	struct place *p = *state;
	struct question q = {.is_mode = true, .width = 320, .height = 200};
	struct server s = {0};
	struct control_message m;
	int fd;

	say_worker(p, 1);
	ask(p, &q);
	take(p, &m, &fd);
	assert_int_equal(shutdown(p->worker, SHUT_RDWR), 0);
	say_worker(p, 2);
	start_server(&s, dup(p->worker));
	assert_int_equal(answer_of(&q), 0);
	stop_server(&s);
	assert_int_equal(device.modes[0].width, 320);
}

/* ---- workers that die ---- */

static void what_a_worker_died_with_is_asked_again(void **state)
{
	struct place *p = *state;
	struct question q = {.is_mode = true, .width = 320, .height = 200};
	struct control_message m, again;
	struct shot shot;
	int fd;

	take_shot(p, &shot, 0);
	say_worker(p, 1);
	take(p, &m, &fd);
	assert_int_equal(m.kind, CONTROL_SCREENSHOT);
	assert_int_equal(write(fd, "half of a pic", 13), 13);
	close(fd);
	ask(p, &q);
	take(p, &m, &fd);
	assert_int_equal(m.kind, CONTROL_MODE);

	say_worker(p, 2);
	take(p, &again, &fd);
	assert_int_equal(again.kind, CONTROL_MODE);
	assert_int_equal(again.sequence, m.sequence);
	assert_int_equal(again.width, 320);
	assert_int_equal(control_send(p->worker, &again, -1), 0);
	assert_int_equal(answer_of(&q), 0);
	/* The first one's answer would come too late now. */
	assert_int_equal(control_send(p->worker, &m, -1), 0);

	take(p, &again, &fd);
	assert_int_equal(again.kind, CONTROL_SCREENSHOT);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 0);
	assert_int_equal(write(fd, "all", 3), 3);
	close(fd);
	assert_int_equal(control_send(p->worker, &again, -1), 0);
	assert_int_equal(end_shot(&shot, "all"), 0);
}

static void counters_are_asked_of_the_next_worker(void **state)
{
	struct place *p = *state;
	struct counters *c = calloc(1, sizeof(*c));
	struct question q = {.counters = c};
	struct control_message m;
	struct server s = {0};
	int fd;

	say_worker(p, 1);
	ask(p, &q);
	take(p, &m, &fd);
	close(fd);
	say_worker(p, 2);
	start_server(&s, dup(p->worker));
	assert_int_equal(answer_of(&q), 0);
	assert_int_equal(c->count, 3);
	assert_int_equal(c->list[0].value, 1);
	stop_server(&s);
	free(c);
}

static void nobody_waits_for_a_program_that_ended(void **state)
{
	struct place *p = *state;
	struct question q = {0}, later = {0};
	struct control_message m;
	struct shot shot;
	int fd;

	say_worker(p, 1);
	take_shot(p, &shot, 0);
	take(p, &m, &fd);
	close(fd);
	ask(p, &q);
	take(p, &m, &fd);
	close(p->keeper);
	assert_int_equal(answer_of(&q), -EPIPE);
	assert_int_equal(end_shot(&shot, ""), -ECANCELED);
	/* Until it is started again. */
	p->keeper = isolate_control_connect(p->control);
	ask(p, &later);
	say_worker(p, 1);
	take(p, &m, &fd);
	assert_int_equal(control_send(p->worker, &m, -1), 0);
	assert_int_equal(answer_of(&later), 0);
}

static void a_worker_that_says_nothing_is_given_up(void **state)
{
	struct place *p = *state;
	struct counters *c = calloc(1, sizeof(*c));
	struct question q = {0}, counters = {.counters = c};

	say_worker(p, 2);
	ask(p, &counters);
	assert_int_equal(answer_of(&counters), -ETIMEDOUT);
	assert_int_equal(c->count, 1);
	assert_int_equal(c->list[0].value, 1);
	free(c);
	ask(p, &q);
	assert_int_equal(answer_of(&q), -ETIMEDOUT);
	assert_true(q.status.is_isolated);
	assert_int_equal(q.status.worker_pid, 1002);
	assert_int_equal(q.status.display_count, 0);
}

static void nonsense_is_no_answer(void **state)
{
	struct place *p = *state;
	struct control_message m, bad;
	struct question q = {0};
	struct shot shot;
	int fd;

	say_worker(p, 1);
	ask(p, &q);
	take(p, &m, &fd);
	assert_int_equal(send(p->worker, "", 0, 0), 0);
	assert_int_equal(send(p->worker, &m, sizeof(m) - 1, 0), sizeof(m) - 1);
	bad = m;
	bad.sequence++;
	assert_int_equal(control_send(p->worker, &bad, p->worker), 0);
	bad = m;
	bad.kind = CONTROL_MODE;
	assert_int_equal(control_send(p->worker, &bad, -1), 0);
	bad.kind = CONTROL_SCREENSHOT;
	assert_int_equal(control_send(p->worker, &bad, -1), 0);
	bad.kind = 77;
	assert_int_equal(control_send(p->worker, &bad, -1), 0);
	/* The answer itself, as one writes it who has the worker in hand. */
	m.status.display_count = 1000;
	memset(m.status.renderer, 'r', sizeof(m.status.renderer));
	/* For a terminal, and no UTF-8. */
	memcpy(m.status.renderer, "\x1b]0;\xff\n", 6);
	assert_int_equal(control_send(p->worker, &m, -1), 0);
	assert_int_equal(answer_of(&q), 0);
	assert_int_equal(q.status.display_count, DISPLAY_CONTROL_MAX);
	assert_int_equal(strlen(q.status.renderer), sizeof(q.status.renderer) - 1);
	assert_memory_equal(q.status.renderer, "?]0;??rrr", 9);

	take_shot(p, &shot, 0);
	take(p, &m, &fd);
	close(fd);
	m.err = 5;
	assert_int_equal(control_send(p->worker, &m, -1), 0);
	assert_int_equal(end_shot(&shot, ""), -EPROTO);
}

/* Those of a hostile end would be open for good, until there are no more. */
static void descriptors_that_nobody_asked_for_are_closed(void **state)
{
	struct control_message m = {.kind = CONTROL_STATUS};
	const int fds[] = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO};
	int pair[2], fd;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	for (unsigned count = 1; count <= 3; count++) {
		union {
			struct cmsghdr align;
			char bytes[CMSG_SPACE(sizeof(fds))];
		} data = {0};
		struct iovec iov = {&m, sizeof(m)};
		struct msghdr h = {.msg_iov = &iov,
				   .msg_iovlen = 1,
				   .msg_control = &data,
				   .msg_controllen = CMSG_SPACE(count * sizeof(int))};
		const unsigned before = usage_count(getpid(), "fd");

		data.align.cmsg_level = SOL_SOCKET;
		data.align.cmsg_type = SCM_RIGHTS;
		data.align.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&data.align), fds, count * sizeof(int));
		assert_int_equal(sendmsg(pair[0], &h, 0), sizeof(m));
		assert_int_equal(control_receive(pair[1], &m, &fd), count == 1 ? 0 : -EBADMSG);
		assert_int_equal(fd >= 0, count == 1);
		if (fd >= 0)
			close(fd);
		assert_int_equal(usage_count(getpid(), "fd"), before);
		if (count < 3)
			continue;
		/* And those of an empty message that is the last. */
		h.msg_iovlen = 0;
		data.align.cmsg_len = h.msg_controllen = CMSG_LEN(sizeof(int));
		assert_int_equal(sendmsg(pair[0], &h, 0), 0);
		close(pair[0]);
		assert_int_equal(control_receive(pair[1], &m, &fd), -EPIPE);
		assert_int_equal(fd, -1);
		assert_int_equal(usage_count(getpid(), "fd"), before - 1);
	}
	close(pair[1]);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	static const struct CMUnitTest tests[] = {
		T(all_that_a_user_asks_crosses),
		T(what_a_device_counted_crosses),
		T(a_device_that_counts_nothing_says_so),
		T(counters_of_a_worker_are_made_harmless),
		T(a_worker_begins_with_the_modes_that_were_set),
		T(only_the_keeper_says_who_the_worker_is),
		T(what_a_worker_does_to_its_socket_goes_with_it),
		T(what_a_worker_died_with_is_asked_again),
		T(counters_are_asked_of_the_next_worker),
		T(nobody_waits_for_a_program_that_ended),
		T(a_worker_that_says_nothing_is_given_up),
		T(nonsense_is_no_answer),
		T(descriptors_that_nobody_asked_for_are_closed),
	};

	return cmocka_run_group_tests_name("control_socket", tests, NULL, NULL);
}
