// SPDX-License-Identifier: MIT
/* What a device asks its keeper about objects, and a keeper or frontend that does not answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/vhost/objects.h"
#include "tests/lib/keeper_inside.h"

static int received(void *owner, struct message *m)
{
	return vhost_objects_answered(owner, m);
}

static void ended(void *owner, int err, const char *why)
{
	(void)err;
	(void)why;
	vhost_objects_end(owner);
}

static const struct message_ops ops = {.received = received, .ended = ended};

static void say_found(int peer)
{
	const int fd = memfd_create("object", MFD_CLOEXEC);
	const uint64_t good = 0;

	keeper_inside_say(peer, VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP, VHOST_USER_REPLY, &good, sizeof(good), fd);
	close(fd);
}

/* Answers the next question. */
static void *answer_one(void *arg)
{
	const int peer = *(int *)arg;
	uint8_t question[sizeof(struct vhost_user_header) + sizeof(struct vhost_user_object)];

	if (recv(peer, question, sizeof(question), MSG_WAITALL) == (ssize_t)sizeof(question))
		say_found(peer);
	return NULL;
}

static void one_that_does_not_answer_is_waited_for_once(void **state)
{
	static const uint8_t name[VIRTIO_UUID_BYTES] = {1};
	struct vhost_objects s = {.agreed = true, .fd = -1};
	struct message_socket socket;
	struct vhost_user_header h;
	uint8_t question[sizeof(struct vhost_user_object)];
	struct loop *loop;
	pthread_t answerer;
	uint64_t since;
	int pair[2], fd;

	(void)state;
	s.socket = &socket;
	assert_int_equal(loop_create("objects", &loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(message_socket_open(&socket, loop, pair[0], &ops, &s), 0);
	since = loop_now_ns();
	assert_int_equal(vhost_objects_ops.look_up(&s, name), -ETIMEDOUT);
	assert_true(loop_now_ns() - since >= VHOST_OBJECTS_LIMIT_NS);
	/* A guest may make a request of each of these; what would wait 500 times does not wait once in 50. */
	since = loop_now_ns();
	for (unsigned i = 0; i < 500; i++)
		assert_int_equal(vhost_objects_ops.look_up(&s, name), -EBUSY);
	assert_true(loop_now_ns() - since < 10 * VHOST_OBJECTS_LIMIT_NS);
	/* Nor was it asked. */
	assert_true(keeper_inside_hear(pair[1], &h, question, sizeof(question), &fd));
	assert_false(keeper_inside_hear(pair[1], &h, question, sizeof(question), &fd));
	/* What it says at last is not the answer to another question. */
	say_found(pair[1]);
	assert_int_equal(pthread_create(&answerer, NULL, answer_one, &pair[1]), 0);
	fd = vhost_objects_ops.look_up(&s, name);
	assert_true(fd >= 0);
	close(fd);
	pthread_join(answerer, NULL);
	message_socket_close(&socket);
	vhost_objects_end(&s);
	close(pair[1]);
	loop_destroy(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_that_does_not_answer_is_waited_for_once),
	};

	return cmocka_run_group_tests_name("vhost objects", tests, NULL, NULL);
}
