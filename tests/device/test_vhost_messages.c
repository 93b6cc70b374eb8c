// SPDX-License-Identifier: MIT
/* What the device server does with messages of any shape, good and bad. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/base/log.h"
#include "host/vhost/messages.h"
#include "host/vhost/server.h"
#include "protocol/virtio.h"
#include "tests/lib/vhost_peer.h"

#define U64 sizeof(uint64_t)
#define STATE sizeof(struct vhost_user_vring_state)
#define REGION sizeof(struct vhost_user_mem_reg)
#define INFLIGHT VHOST_USER_INFLIGHT_BYTES
#define CONFIG_HEAD offsetof(struct vhost_user_config, data)

/* Every request, with the sizes and the numbers of descriptors that are right. */
static const struct row {
	uint32_t request;
	size_t min_bytes, max_bytes;
	unsigned min_fds, max_fds;
} rows[] = {
	{VHOST_USER_GET_FEATURES, 0, 0, 0, 0},
	{VHOST_USER_SET_FEATURES, U64, U64, 0, 0},
	{VHOST_USER_SET_OWNER, 0, 0, 0, 0},
	{VHOST_USER_RESET_OWNER, 0, 0, 0, 0},
	{VHOST_USER_SET_MEM_TABLE, 8, sizeof(struct vhost_user_mem_table), 0, 8},
	{VHOST_USER_SET_VRING_NUM, STATE, STATE, 0, 0},
	{VHOST_USER_SET_VRING_ADDR, sizeof(struct vhost_user_vring_addr), sizeof(struct vhost_user_vring_addr), 0, 0},
	{VHOST_USER_SET_VRING_BASE, STATE, STATE, 0, 0},
	{VHOST_USER_GET_VRING_BASE, STATE, STATE, 0, 0},
	{VHOST_USER_SET_VRING_KICK, U64, U64, 0, 1},
	{VHOST_USER_SET_VRING_CALL, U64, U64, 0, 1},
	{VHOST_USER_SET_VRING_ERR, U64, U64, 0, 1},
	{VHOST_USER_GET_PROTOCOL_FEATURES, 0, 0, 0, 0},
	{VHOST_USER_SET_PROTOCOL_FEATURES, U64, U64, 0, 0},
	{VHOST_USER_GET_QUEUE_NUM, 0, 0, 0, 0},
	{VHOST_USER_SET_VRING_ENABLE, STATE, STATE, 0, 0},
	{VHOST_USER_SET_BACKEND_REQ_FD, 0, 0, 1, 1},
	{VHOST_USER_GET_CONFIG, CONFIG_HEAD, sizeof(struct vhost_user_config), 0, 0},
	{VHOST_USER_SET_CONFIG, CONFIG_HEAD, sizeof(struct vhost_user_config), 0, 0},
	{VHOST_USER_GET_INFLIGHT_FD, INFLIGHT, sizeof(struct vhost_user_inflight), 0, 0},
	{VHOST_USER_SET_INFLIGHT_FD, INFLIGHT, sizeof(struct vhost_user_inflight), 1, 1},
	{VHOST_USER_GPU_SET_SOCKET, 0, 0, 1, 1},
	{VHOST_USER_RESET_DEVICE, 0, 0, 0, 0},
	{VHOST_USER_VRING_KICK, STATE, STATE, 0, 0},
	{VHOST_USER_GET_MAX_MEM_SLOTS, 0, 0, 0, 0},
	{VHOST_USER_ADD_MEM_REG, REGION, REGION, 1, 1},
	{VHOST_USER_REM_MEM_REG, REGION, REGION, 0, 1},
	{VHOST_USER_SET_STATUS, U64, U64, 0, 0},
	{VHOST_USER_GET_STATUS, 0, 0, 0, 0},
	{VHOST_USER_GET_SHMEM_CONFIG, 0, 0, 0, 0},
};
#define ROWS (sizeof(rows) / sizeof(*rows))

static struct vhost_peer *begin(bool listen)
{
	struct vhost_peer *p = vhost_peer_create(NULL, listen, true);

	if (listen)
		vhost_peer_connect(p);
	return p;
}

/* The server is as good as before: another frontend is served. */
static void serves_the_next(struct vhost_peer *p)
{
	struct vhost_answer a;

	vhost_peer_disconnect(p);
	vhost_peer_connect(p);
	assert_true(vhost_peer_call(p, VHOST_USER_GET_QUEUE_NUM, NULL, 0, &a));
	assert_int_equal(a.payload.u64, ECHO_QUEUES);
}

static void the_handshake_offers_what_is_served(void **state)
{
	struct vhost_peer *p = begin(false);
	struct vhost_answer a;

	(void)state;
	assert_true(vhost_peer_handshake(p));
	assert_int_equal(p->features & ~VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES), p->echo->device.offered);
	assert_true(p->features & VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES));
	assert_int_equal(vhost_peer_tell(p, VHOST_USER_SET_OWNER, NULL, 0, NULL, 0), 0);
	assert_true(vhost_peer_call(p, VHOST_USER_GET_MAX_MEM_SLOTS, NULL, 0, &a));
	assert_true(a.payload.u64 >= 32 && a.payload.u64 <= 509);
	assert_true(vhost_peer_call(p, VHOST_USER_GET_STATUS, NULL, 0, &a));
	assert_int_equal(a.payload.u64, 0);
	vhost_peer_destroy(p);
}

static void every_request_with_a_wrong_size_ends_the_connection(void **state)
{
	struct vhost_peer *p = begin(true);
	uint8_t junk[512] = {0};

	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		int fd = dup(0);
		size_t wrong[4];
		unsigned count = 0;

		if (rows[i].min_bytes)
			wrong[count++] = rows[i].min_bytes - 1;
		if (rows[i].min_bytes > 1)
			wrong[count++] = 0;
		wrong[count++] = rows[i].max_bytes + 1;
		wrong[count++] = sizeof(junk);
		for (unsigned k = 0; k < count; k++) {
			assert_true(vhost_peer_send(p, rows[i].request, 0, junk, wrong[k], &fd, rows[i].min_fds));
			assert_true(vhost_peer_is_dropped(p));
			serves_the_next(p);
		}
		close(fd);
	}
	vhost_peer_destroy(p);
}

static void every_request_with_wrong_descriptors_ends_the_connection(void **state)
{
	struct vhost_peer *p = begin(true);
	uint8_t junk[512] = {0};
	int fds[20];

	(void)state;
	for (unsigned i = 0; i < 20; i++)
		fds[i] = dup(0);
	for (size_t i = 0; i < ROWS; i++) {
		/* One too many, many too many, and none where there must be one. */
		const unsigned wrong[3] = {rows[i].max_fds + 1, 20, 0};

		for (unsigned k = 0; k < (rows[i].min_fds ? 3 : 2); k++) {
			assert_true(vhost_peer_send(p, rows[i].request, 0, junk, rows[i].min_bytes, fds, wrong[k]));
			assert_true(vhost_peer_is_dropped(p));
			serves_the_next(p);
		}
	}
	for (unsigned i = 0; i < 20; i++)
		close(fds[i]);
	vhost_peer_destroy(p);
}

static unsigned open_descriptors(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 1024; fd++) {
		int copy = dup(fd);

		if (copy < 0)
			continue;
		close(copy);
		count++;
	}
	return count;
}

static void descriptors_of_refused_messages_are_closed(void **state)
{
	struct vhost_peer *p = begin(true);
	uint64_t word = 0;
	unsigned before;
	int fds[8];

	(void)state;
	for (unsigned i = 0; i < 8; i++)
		fds[i] = dup(0);
	serves_the_next(p);
	before = open_descriptors();
	for (unsigned i = 0; i < 20; i++) {
		vhost_peer_send(p, VHOST_USER_SET_MEM_TABLE, 0, &word, sizeof(word), fds, 8);
		assert_true(vhost_peer_is_dropped(p));
		serves_the_next(p);
		/* Half a message with all of them. */
		assert_true(vhost_peer_send(p, VHOST_USER_SET_VRING_KICK, 0, NULL, 0, fds, 1));
		assert_true(vhost_peer_is_dropped(p));
		serves_the_next(p);
	}
	assert_int_equal(open_descriptors(), before);
	for (unsigned i = 0; i < 8; i++)
		close(fds[i]);
	vhost_peer_destroy(p);
}

static void unknown_requests_end_the_connection(void **state)
{
	static const uint32_t unknown[] = {0, 6, 7, 19, 20, 22, 23, 26, 27, 28, 29, 30, 31, 32, 41, 42, 43, 45, 1000, UINT32_MAX};
	struct vhost_peer *p = begin(true);

	(void)state;
	for (size_t i = 0; i < sizeof(unknown) / sizeof(*unknown); i++) {
		assert_true(vhost_peer_send(p, unknown[i], 0, NULL, 0, NULL, 0));
		assert_true(vhost_peer_is_dropped(p));
		serves_the_next(p);
	}
	vhost_peer_destroy(p);
}

static void another_version_or_a_huge_size_ends_the_connection(void **state)
{
	static const struct vhost_user_header bad[] = {
		{VHOST_USER_GET_FEATURES, 0, 0},
		{VHOST_USER_GET_FEATURES, 2, 0},
		{VHOST_USER_GET_FEATURES, 3, 0},
		{VHOST_USER_SET_FEATURES, VHOST_USER_VERSION, 0x7fffffff},
		{VHOST_USER_SET_FEATURES, VHOST_USER_VERSION, UINT32_MAX},
		{VHOST_USER_SET_FEATURES, VHOST_USER_VERSION, MESSAGE_MAX_BYTES + 1},
	};
	struct vhost_peer *p = begin(true);

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(send(p->fd, &bad[i], sizeof(bad[i]), 0), sizeof(bad[i]));
		assert_true(vhost_peer_is_dropped(p));
		serves_the_next(p);
	}
	vhost_peer_destroy(p);
}

/* A conversation as bytes: the handshake of a frontend without acknowledgements. */
struct talk {
	uint8_t bytes[1024];
	size_t length;
};

static void say(struct talk *t, uint32_t request, const void *payload, uint32_t bytes)
{
	struct vhost_user_header h = {request, VHOST_USER_VERSION, bytes};

	memcpy(t->bytes + t->length, &h, sizeof(h));
	memcpy(t->bytes + t->length + sizeof(h), payload, bytes);
	t->length += sizeof(h) + bytes;
}

static void make_talk(struct talk *t)
{
	const struct vhost_user_vring_state num = {1, 64};
	struct vhost_user_config c = {.size = 8};
	uint64_t features = VIRTIO_BIT(VIRTIO_F_VERSION_1), status = 1;

	t->length = 0;
	say(t, VHOST_USER_SET_OWNER, "", 0);
	say(t, VHOST_USER_SET_FEATURES, &features, sizeof(features));
	say(t, VHOST_USER_SET_VRING_NUM, &num, sizeof(num));
	say(t, VHOST_USER_SET_STATUS, &status, sizeof(status));
	say(t, VHOST_USER_GET_CONFIG, &c, CONFIG_HEAD + 8);
	say(t, VHOST_USER_GET_QUEUE_NUM, "", 0);
}

static void messages_may_come_in_pieces(void **state)
{
	struct vhost_answer a;
	struct talk t;

	(void)state;
	make_talk(&t);
	/* A cut before each byte, then byte by byte. */
	for (size_t cut = 0; cut <= t.length; cut++) {
		struct vhost_peer *p = begin(false);

		if (cut < t.length) {
			if (cut)
				assert_int_equal(send(p->fd, t.bytes, cut, 0), cut);
			vhost_peer_settle(p);
			assert_int_equal(send(p->fd, t.bytes + cut, t.length - cut, 0), t.length - cut);
		} else {
			for (size_t i = 0; i < t.length; i++) {
				assert_int_equal(send(p->fd, t.bytes + i, 1, 0), 1);
				vhost_peer_settle(p);
			}
		}
		assert_true(vhost_peer_receive(p, &a));
		assert_int_equal(a.header.request, VHOST_USER_GET_CONFIG);
		assert_int_equal(a.header.size, CONFIG_HEAD + 8);
		assert_true(vhost_peer_receive(p, &a));
		assert_int_equal(a.header.request, VHOST_USER_GET_QUEUE_NUM);
		assert_int_equal(a.payload.u64, ECHO_QUEUES);
		vhost_peer_destroy(p);
	}
}

static void a_frontend_may_leave_at_any_byte(void **state)
{
	struct vhost_peer *p = begin(true);
	struct talk t;

	(void)state;
	make_talk(&t);
	for (size_t cut = 0; cut <= t.length; cut++) {
		if (cut)
			assert_int_equal(send(p->fd, t.bytes, cut, 0), cut);
		/* Seen by the server before it is gone, and not. */
		if (cut % 2)
			vhost_peer_settle(p);
		serves_the_next(p);
	}
	assert_true(vhost_server_is_connected(p->server));
	vhost_peer_disconnect(p);
	assert_false(vhost_server_is_connected(p->server));
	vhost_peer_destroy(p);
}

static void a_connected_socket_is_served_once(void **state)
{
	struct vhost_peer *p = begin(false);

	(void)state;
	assert_true(vhost_peer_handshake(p));
	assert_false(p->ended);
	vhost_peer_disconnect(p);
	assert_true(p->ended);
	vhost_peer_destroy(p);
}

static void the_next_frontend_waits_its_turn(void **state)
{
	struct vhost_peer *p = begin(true);
	int first = p->fd, second;
	struct vhost_answer a;
	char byte;

	(void)state;
	assert_true(vhost_peer_call(p, VHOST_USER_GET_QUEUE_NUM, NULL, 0, &a));
	vhost_peer_connect(p);
	second = p->fd;
	assert_true(vhost_peer_send(p, VHOST_USER_GET_QUEUE_NUM, 0, NULL, 0, NULL, 0));
	vhost_peer_settle(p);
	assert_true(recv(second, &byte, 1, MSG_DONTWAIT) < 0);
	close(first);
	assert_true(vhost_peer_receive(p, &a));
	assert_int_equal(a.payload.u64, ECHO_QUEUES);
	vhost_peer_destroy(p);
}

static void a_frontend_that_reads_nothing_holds_up_nobody(void **state)
{
	struct vhost_peer *p = begin(true);
	struct vhost_user_config c = {.size = VHOST_USER_MAX_CONFIG};
	int small = 1;

	(void)state;
	setsockopt(p->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	for (unsigned i = 0; i < 2000; i++) {
		struct vhost_user_header h = {VHOST_USER_GET_CONFIG, VHOST_USER_VERSION, sizeof(c)};
		struct iovec iov[2] = {{&h, sizeof(h)}, {&c, sizeof(c)}};
		struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};

		if (sendmsg(p->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			break;
		vhost_peer_settle(p);
	}
	serves_the_next(p);
	vhost_peer_destroy(p);
}

static void config_space_is_read_and_written_within_its_bounds(void **state)
{
	struct vhost_peer *p = begin(false);
	struct vhost_user_config c = {.size = 8};
	struct vhost_answer a;

	(void)state;
	assert_true(vhost_peer_handshake(p));
	memcpy(p->echo->config, "ABCDEFGH", 8);
	assert_true(vhost_peer_call(p, VHOST_USER_GET_CONFIG, &c, CONFIG_HEAD + 8, &a));
	assert_memory_equal(a.payload.config.data, "ABCDEFGH", 8);
	/* More than there is reads as 0. */
	c.offset = 6;
	c.size = 4;
	assert_true(vhost_peer_call(p, VHOST_USER_GET_CONFIG, &c, CONFIG_HEAD + 4, &a));
	assert_memory_equal(a.payload.config.data, "GH\0\0", 4);
	/* Nonsense is answered without a payload. */
	c.size = 5;
	assert_true(vhost_peer_call(p, VHOST_USER_GET_CONFIG, &c, CONFIG_HEAD + 4, &a));
	assert_int_equal(a.header.size, 0);
	c.offset = UINT32_MAX - 3;
	c.size = 8;
	assert_true(vhost_peer_call(p, VHOST_USER_GET_CONFIG, &c, CONFIG_HEAD + 8, &a));
	assert_int_equal(a.header.size, 0);
	/* What may be written is, and what may not is left alone. */
	c = (struct vhost_user_config){.offset = 7, .size = 1, .data = {'z'}};
	assert_int_equal(vhost_peer_tell(p, VHOST_USER_SET_CONFIG, &c, CONFIG_HEAD + 1, NULL, 0), 0);
	assert_int_equal(p->echo->config[7], 'z');
	c.offset = 3;
	vhost_peer_tell(p, VHOST_USER_SET_CONFIG, &c, CONFIG_HEAD + 1, NULL, 0);
	assert_int_equal(p->echo->config[3], 'D');
	c.size = 300;
	assert_int_not_equal(vhost_peer_tell(p, VHOST_USER_SET_CONFIG, &c, CONFIG_HEAD + 1, NULL, 0), 0);
	vhost_peer_destroy(p);
}

static void errors_are_acknowledged_or_end_the_connection(void **state)
{
	const struct vhost_user_vring_state bad = {ECHO_QUEUES, 16};
	struct vhost_peer *p = begin(true);

	(void)state;
	assert_true(vhost_peer_handshake(p));
	/* Who asked for an answer goes on. */
	assert_int_not_equal(vhost_peer_tell(p, VHOST_USER_SET_VRING_NUM, &bad, sizeof(bad), NULL, 0), 0);
	assert_int_equal(vhost_peer_tell(p, VHOST_USER_SET_OWNER, NULL, 0, NULL, 0), 0);
	/* Who did not would go on without knowing. */
	assert_true(vhost_peer_send(p, VHOST_USER_SET_VRING_NUM, 0, &bad, sizeof(bad), NULL, 0));
	assert_true(vhost_peer_is_dropped(p));
	serves_the_next(p);
	vhost_peer_destroy(p);
}

static void ring_indexes_and_sizes_are_checked(void **state)
{
	static const struct vhost_user_vring_state bad[] = {
		{ECHO_QUEUES, 16}, {UINT32_MAX, 16}, {0, 0}, {0, 1025}, {0, 65536 + 16}, {0, UINT32_MAX}};
	struct vhost_peer *p = begin(false);
	const struct vhost_user_vring_state outside = {ECHO_QUEUES, 1};
	struct vhost_user_vring_addr addr = {.index = 0, .desc = 0x1000, .avail = 0x2000, .used = 0x3000};

	(void)state;
	assert_true(vhost_peer_handshake(p));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_not_equal(vhost_peer_tell(p, VHOST_USER_SET_VRING_NUM, &bad[i], sizeof(bad[i]), NULL, 0), 0);
	assert_int_not_equal(vhost_peer_tell(p, VHOST_USER_SET_VRING_ENABLE, &outside, STATE, NULL, 0), 0);
	assert_int_not_equal(vhost_peer_tell(p, VHOST_USER_SET_VRING_BASE, &outside, STATE, NULL, 0), 0);
	/* An address that no region has, or of a ring that is none. */
	assert_int_not_equal(vhost_peer_tell(p, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0), 0);
	addr.index = UINT32_MAX;
	assert_int_not_equal(vhost_peer_tell(p, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0), 0);
	vhost_peer_destroy(p);
}

static void features_that_were_not_offered_are_refused(void **state)
{
	struct vhost_peer *p = begin(false);
	uint64_t word;

	(void)state;
	assert_true(vhost_peer_handshake(p));
	for (unsigned bit = 0; bit < 64; bit++) {
		word = VIRTIO_BIT(bit);
		/* The one that QEMU accepts by itself. */
		if (!(p->features & word) && bit != VIRTIO_F_RING_RESET)
			assert_int_not_equal(vhost_peer_tell(p, VHOST_USER_SET_FEATURES, &word, U64, NULL, 0), 0);
	}
	word = VIRTIO_BIT(63);
	assert_int_not_equal(vhost_peer_tell(p, VHOST_USER_SET_PROTOCOL_FEATURES, &word, U64, NULL, 0), 0);
	vhost_peer_destroy(p);
}

static void the_display_socket_is_handed_over(void **state)
{
	struct vhost_peer *p = begin(false);
	int pair[2];
	char byte = 'x';

	(void)state;
	assert_true(vhost_peer_handshake(p));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(vhost_peer_tell(p, VHOST_USER_GPU_SET_SOCKET, NULL, 0, &pair[0], 1), 0);
	close(pair[0]);
	assert_true(p->display_fd >= 0);
	assert_int_equal(send(pair[1], &byte, 1, 0), 1);
	assert_int_equal(recv(p->display_fd, &byte, 1, MSG_DONTWAIT), 1);
	close(pair[1]);
	vhost_peer_destroy(p);
}

static void a_path_in_use_is_refused_and_a_stale_one_replaced(void **state)
{
	struct vhost_peer *p = begin(true);
	struct vhost_server_config c = {.device = &p->echo->device, .mem = p->mem, .socket_path = p->path, .fd = -1};
	struct vhost_server *other = NULL;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	(void)state;
	assert_true(vhost_server_create(&c, &other) < 0);
	vhost_server_destroy(p->server);
	p->server = NULL;
	assert_int_equal(access(p->path, F_OK), -1);
	/* What a server that was killed leaves. */
	memcpy(address.sun_path, p->path, strlen(p->path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	assert_int_equal(vhost_server_create(&c, &p->server), 0);
	serves_the_next(p);
	vhost_peer_destroy(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_handshake_offers_what_is_served),
		cmocka_unit_test(every_request_with_a_wrong_size_ends_the_connection),
		cmocka_unit_test(every_request_with_wrong_descriptors_ends_the_connection),
		cmocka_unit_test(descriptors_of_refused_messages_are_closed),
		cmocka_unit_test(unknown_requests_end_the_connection),
		cmocka_unit_test(another_version_or_a_huge_size_ends_the_connection),
		cmocka_unit_test(messages_may_come_in_pieces),
		cmocka_unit_test(a_frontend_may_leave_at_any_byte),
		cmocka_unit_test(a_connected_socket_is_served_once),
		cmocka_unit_test(the_next_frontend_waits_its_turn),
		cmocka_unit_test(a_frontend_that_reads_nothing_holds_up_nobody),
		cmocka_unit_test(config_space_is_read_and_written_within_its_bounds),
		cmocka_unit_test(errors_are_acknowledged_or_end_the_connection),
		cmocka_unit_test(ring_indexes_and_sizes_are_checked),
		cmocka_unit_test(features_that_were_not_offered_are_refused),
		cmocka_unit_test(the_display_socket_is_handed_over),
		cmocka_unit_test(a_path_in_use_is_refused_and_a_stale_one_replaced),
	};

	log_set_levels("error");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
