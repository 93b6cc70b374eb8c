// SPDX-License-Identifier: MIT
/*
 * A GPU that a vhost-user frontend has given its display: questions are answered by that, frames go there, and nothing waits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/virtio/inflight.h"
#include "host/virtio/queue.h"
#include "tests/lib/display_peer.h"
#include "tests/lib/gpu_world.h"
#include "tests/lib/tap.h"

#define OK VIRTIO_GPU_RESP_OK_NODATA
#define BGRX VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM

static struct display_peer *give_display(struct gpu_world *w)
{
	struct display_peer *p = display_peer_create(fake_guest_loop(w->guest));

	assert_int_equal(gpu_set_display_socket(w->device, p->given), 0);
	display_peer_run(p, 5);
	return p;
}

static struct fake_request *ask(struct gpu_world *w, uint32_t type, size_t room)
{
	struct virtio_gpu_cmd_get_edid request = {
		.hdr = {.type = type, .flags = VIRTIO_GPU_FLAG_FENCE, .fence_id = 77}};
	size_t bytes = type == VIRTIO_GPU_CMD_GET_EDID ? sizeof(request) : sizeof(request.hdr);
	struct fake_request *r = fake_guest_add(w->guest, VIRTIO_GPU_QUEUE_CONTROL, &request, bytes, room);

	fake_guest_kick(w->guest, VIRTIO_GPU_QUEUE_CONTROL);
	return r;
}

static struct fake_request *ask_info(struct gpu_world *w)
{
	return ask(w, VIRTIO_GPU_CMD_GET_DISPLAY_INFO, sizeof(struct virtio_gpu_resp_display_info));
}

/* The answer has come, with the fence: the width of the first mode, 0 when it is off. */
static uint32_t width_in(struct gpu_world *w, struct fake_request *r)
{
	struct virtio_gpu_resp_display_info info;

	assert_int_equal(fake_guest_wait(w->guest, r, 5000), 0);
	assert_int_equal(r->used_len, sizeof(info));
	memcpy(&info, r->out, sizeof(info));
	assert_int_equal(info.hdr.type, VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
	assert_int_equal(info.hdr.flags, VIRTIO_GPU_FLAG_FENCE);
	assert_int_equal(info.hdr.fence_id, 77);
	fake_guest_free_request(w->guest, r);
	return info.pmodes[0].enabled ? info.pmodes[0].r.width : 0;
}

static void the_display_answers_for_sizes_and_edid(void **state)
{
	struct gpu_world *w = gpu_world_create(NULL);
	struct display_peer *p = give_display(w);
	struct fake_request *r = ask_info(w);
	struct virtio_gpu_resp_edid edid;

	(void)state;
	display_peer_run(p, 5);
	assert_int_equal(p->infos_asked, 1);
	assert_false(r->done);
	/* Others are not held up meanwhile. */
	assert_int_equal(gpu_create_2d(w, 1, BGRX, 8, 8), OK);
	assert_false(r->done);
	display_peer_say_info(p, 640, 480, 0);
	assert_int_equal(width_in(w, r), 640);

	r = ask(w, VIRTIO_GPU_CMD_GET_EDID, sizeof(edid));
	display_peer_run(p, 5);
	assert_false(r->done);
	display_peer_say_edid(p, 0x42, 128, 0);
	assert_int_equal(fake_guest_wait(w->guest, r, 5000), 0);
	memcpy(&edid, r->out, sizeof(edid));
	assert_int_equal(edid.hdr.type, VIRTIO_GPU_RESP_OK_EDID);
	assert_int_equal(edid.size, 128);
	assert_int_equal(edid.edid[0], 0x42);
	gpu_world_destroy(w);
	display_peer_destroy(p);
}

static void without_an_answer_our_own_is_given(void **state)
{
	struct gpu_world *w = gpu_world_create(NULL);
	struct fake_request *r = ask_info(w);
	struct display_peer *p;

	(void)state;
	assert_int_equal(width_in(w, r), 1280);
	/* It says nothing; it goes away; it says nonsense. */
	p = give_display(w);
	assert_int_equal(width_in(w, ask_info(w)), 1280);
	r = ask_info(w);
	display_peer_run(p, 5);
	assert_false(r->done);
	display_peer_destroy(p);
	assert_int_equal(width_in(w, r), 1280);
	assert_int_equal(width_in(w, ask_info(w)), 1280);
	p = give_display(w);
	r = ask_info(w);
	display_peer_run(p, 5);
	assert_false(r->done);
	display_peer_send(p, 99, 0, NULL, 0, 0);
	assert_int_equal(width_in(w, r), 1280);
	gpu_world_destroy(w);
	display_peer_destroy(p);
}

/* Another process answers what nobody asked, as fast as it can, until it is killed. */
static pid_t flood(const struct display_peer *p)
{
	static struct vhost_user_gpu_header answers[1000];
	pid_t pid;

	for (unsigned i = 0; i < 1000; i++)
		answers[i] = (struct vhost_user_gpu_header){VHOST_USER_GPU_DMABUF_UPDATE, VHOST_USER_GPU_FLAG_REPLY, 0};
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid != 0)
		return pid;
	tap_begin_child();
	alarm(60);
	/* Waits for room, so that no message is cut: whoever reads would have a rest at each cut. */
	fcntl(p->fd, F_SETFL, fcntl(p->fd, F_GETFL) & ~O_NONBLOCK);
	while (send(p->fd, answers, sizeof(answers), MSG_NOSIGNAL) > 0)
		;
	_exit(0);
}

static void a_display_that_never_stops_answering_holds_up_nobody(void **state)
{
	struct gpu_world *w = gpu_world_create(NULL);
	struct display_peer *p = give_display(w);
	pid_t pids[2];
	int status;

	(void)state;
	for (unsigned i = 0; i < 2; i++)
		pids[i] = flood(p);
	/* After two seconds, without the answer that was asked for. */
	assert_int_equal(width_in(w, ask_info(w)), 1280);
	assert_int_equal(gpu_create_2d(w, 1, BGRX, 8, 8), OK);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(waitpid(pids[i], &status, WNOHANG), 0);
		kill(pids[i], SIGKILL);
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
	}
	gpu_world_destroy(w);
	display_peer_destroy(p);
}

static void a_reset_ends_what_is_asked(void **state)
{
	struct gpu_world *w = gpu_world_create(NULL);
	struct display_peer *p = give_display(w);
	struct fake_request *r = ask_info(w);

	(void)state;
	display_peer_run(p, 5);
	fake_guest_reset(w->guest);
	assert_true(r->lost);
	fake_guest_free_request(w->guest, r);
	display_peer_say_info(p, 640, 480, 0);
	display_peer_run(p, 5);
	assert_int_equal(fake_guest_start(w->guest, w->device), 0);
	r = ask_info(w);
	display_peer_run(p, 5);
	display_peer_say_info(p, 800, 600, 0);
	assert_int_equal(width_in(w, r), 800);
	/* And so does the end of the device. */
	r = ask_info(w);
	display_peer_run(p, 5);
	assert_false(r->done);
	gpu_world_destroy(w);
	display_peer_destroy(p);
}

/* Whoever stops the queue is the one who is asked. */
static void a_queue_that_stops_waits_for_no_answer(void **state)
{
	struct gpu_world *w = gpu_world_create(NULL);
	struct display_peer *p = give_display(w);
	struct fake_request *r[2] = {ask_info(w), ask_info(w)};

	(void)state;
	display_peer_run(p, 5);
	assert_false(r[0]->done || r[1]->done);
	virtio_device_quiesce_queue(w->device, VIRTIO_GPU_QUEUE_CONTROL);
	assert_int_equal(virtq_in_flight(w->device->queues[VIRTIO_GPU_QUEUE_CONTROL]), 0);
	assert_int_equal(width_in(w, r[0]), 1280);
	assert_int_equal(width_in(w, r[1]), 1280);
	/* Two answers that nobody waits for any more, then the one. */
	r[0] = ask_info(w);
	display_peer_run(p, 5);
	display_peer_say_info(p, 320, 200, 0);
	display_peer_say_info(p, 320, 200, 0);
	display_peer_run(p, 5);
	assert_false(r[0]->done);
	display_peer_say_info(p, 640, 480, 0);
	assert_int_equal(width_in(w, r[0]), 640);
	gpu_world_destroy(w);
	display_peer_destroy(p);
}

static void a_process_that_takes_over_asks_again(void **state)
{
	static struct inflight_ring ring;
	struct gpu_world *w = gpu_world_create(NULL);
	struct display_peer *p = give_display(w);
	struct fake_request *r;
	unsigned taken = 0;

	(void)state;
	fake_guest_reset(w->guest);
	assert_int_equal(virtq_track(w->device->queues[VIRTIO_GPU_QUEUE_CONTROL], &ring), 0);
	assert_int_equal(fake_guest_start(w->guest, w->device), 0);
	r = ask_info(w);
	display_peer_run(p, 5);
	for (unsigned i = 0; i < INFLIGHT_MAX_SIZE; i++) {
		taken += ring.slots[i].stage == INFLIGHT_TAKEN;
		assert_int_not_equal(ring.slots[i].stage, INFLIGHT_EXECUTING);
	}
	assert_int_equal(taken, 1);
	display_peer_say_info(p, 640, 480, 0);
	assert_int_equal(width_in(w, r), 640);
	for (unsigned i = 0; i < INFLIGHT_MAX_SIZE; i++)
		assert_int_equal(ring.slots[i].stage, INFLIGHT_FREE);
	gpu_world_destroy(w);
	display_peer_destroy(p);
}

static void draw(uint32_t *pixels, uint32_t seed)
{
	for (uint32_t i = 0; i < 64 * 64; i++)
		pixels[i] = (i * 7919 + seed) & 0xffffff;
}

static void expect(const struct peer_scanout *s, const uint32_t *pixels)
{
	assert_int_equal(s->width, 64);
	assert_int_equal(s->height, 64);
	for (uint32_t i = 0; i < 64 * 64; i++)
		assert_int_equal(s->pixels[i] & 0xffffff, pixels[i]);
}

static void every_new_socket_is_shown_all(void **state)
{
	for (int blind = 0; blind < 2; blind++) {
		struct gpu_world *w = gpu_world_create(&(struct gpu_world_options){.blind = blind, .scanouts = 2});
		struct virtio_gpu_update_cursor c = {
			.pos = {.scanout_id = 1, .x = 9, .y = 8}, .resource_id = 1, .hot_x = 2};
		uint32_t *pixels;
		struct display_peer *p;

		(void)state;
		assert_int_equal(gpu_create_2d(w, 1, BGRX, 64, 64), OK);
		pixels = gpu_back(w, 1, 64 * 64 * 4, NULL);
		draw(pixels, 1);
		assert_int_equal(gpu_transfer(w, 1, gpu_rect(0, 0, 64, 64), 0), OK);
		assert_int_equal(gpu_scan(w, 1, 1, gpu_rect(0, 0, 64, 64)), OK);
		assert_int_equal(gpu_flush(w, 1, gpu_rect(0, 0, 64, 64)), OK);
		c.hdr.type = VIRTIO_GPU_CMD_UPDATE_CURSOR;
		assert_int_equal(fake_guest_request(w->guest, VIRTIO_GPU_QUEUE_CURSOR, &c, sizeof(c), NULL, 0, NULL),
				 0);
		p = give_display(w);
		expect(&p->scanouts[1], pixels);
		assert_int_equal(p->scanouts[1].images, 1);
		assert_int_equal(p->scanouts[1].cursor.pos.x, 9);
		assert_int_equal(p->scanouts[1].cursor.pos.y, 8);
		assert_int_equal(p->scanouts[0].sizes, 0);

		/* While it is there, what is drawn comes; a display of our own sees it as well. */
		draw(pixels, 2);
		assert_int_equal(gpu_transfer(w, 1, gpu_rect(0, 0, 64, 64), 0), OK);
		assert_int_equal(gpu_flush(w, 1, gpu_rect(0, 0, 64, 64)), OK);
		display_peer_run(p, 5);
		expect(&p->scanouts[1], pixels);
		assert_int_equal(w->display->shown[1].frames, blind ? 0 : 2);

		/* Drawn while nobody looks. */
		display_peer_destroy(p);
		for (int i = 0; i < 3; i++)
			loop_run_once(fake_guest_loop(w->guest), 1);
		draw(pixels, 3);
		assert_int_equal(gpu_transfer(w, 1, gpu_rect(0, 0, 64, 64), 0), OK);
		assert_int_equal(gpu_flush(w, 1, gpu_rect(0, 0, 64, 64)), OK);
		p = give_display(w);
		expect(&p->scanouts[1], pixels);
		assert_int_equal(p->scanouts[1].images, 1);
		assert_int_equal(gpu_scan(w, 1, 0, gpu_rect(0, 0, 0, 0)), OK);
		display_peer_run(p, 5);
		assert_int_equal(p->scanouts[1].width, 0);
		gpu_world_destroy(w);
		display_peer_destroy(p);
	}
}

static void expect_fake(const struct peer_scanout *s, uint32_t id)
{
	assert_int_equal(s->width, 64);
	assert_int_equal(s->height, 64);
	for (uint32_t i = 0; i < 64 * 64; i++)
		assert_int_equal(s->pixels[i] & 0xffffff, fake_renderer_pixel(id, i % 64, i / 64) & 0xffffff);
}

static void frames_go_without_a_copy_where_they_can(void **state)
{
	struct gpu_world *w =
		gpu_world_create(&(struct gpu_world_options){.fake_3d = true, .blind = true, .dmabuf = true});
	struct display_peer *p = give_display(w);
	const struct peer_scanout *s = &p->scanouts[0];
	struct gpu_stats stats;

	(void)state;
	assert_int_equal(gpu_create_3d(w, 1, 64, 64), OK);
	assert_int_equal(gpu_create_3d(w, FAKE_NO_BUFFER, 64, 64), OK);
	assert_int_equal(gpu_scan(w, 0, 1, gpu_rect(0, 0, 64, 64)), OK);
	for (uint32_t i = 0; i < 20; i++)
		assert_int_equal(gpu_flush(w, 1, gpu_rect(i, i, 8, 8)), OK);
	display_peer_run(p, 5);
	assert_int_equal(s->buffers, 1);
	assert_int_equal(s->buffer_updates, 1);
	assert_int_equal(s->buffer_update.width, 64);
	gpu_get_stats(w->device, &stats);
	assert_int_equal(stats.frames, 20);
	assert_int_equal(stats.dmabuf_frames, 20);
	assert_int_equal(stats.pixel_copies, 0);
	display_peer_say_shown(p);
	display_peer_run(p, 5);
	assert_int_equal(s->buffer_updates, 2);
	assert_int_equal(s->buffer_update.x, 1);
	assert_int_equal(s->buffer_update.width, 26);

	/* One that the driver can't export. */
	assert_int_equal(gpu_scan(w, 0, FAKE_NO_BUFFER, gpu_rect(0, 0, 64, 64)), OK);
	assert_int_equal(gpu_flush(w, FAKE_NO_BUFFER, gpu_rect(3, 3, 1, 1)), OK);
	display_peer_run(p, 5);
	assert_int_equal(s->buffer_ends, 1);
	expect_fake(s, FAKE_NO_BUFFER);
	assert_int_equal(gpu_scan(w, 0, 1, gpu_rect(0, 0, 64, 64)), OK);
	assert_int_equal(gpu_flush(w, 1, gpu_rect(0, 0, 1, 1)), OK);
	display_peer_run(p, 5);
	assert_int_equal(s->buffers, 2);
	display_peer_destroy(p);

	/* The frame that was never read is read for who must have it by pixels. */
	p = give_display(w);
	expect_fake(&p->scanouts[0], 1);
	assert_int_equal(gpu_unref(w, 1), OK);
	display_peer_run(p, 5);
	assert_int_equal(p->scanouts[0].width, 0);
	gpu_world_destroy(w);
	display_peer_destroy(p);
}

static struct fake_request *flush_fenced(struct gpu_world *w)
{
	const struct virtio_gpu_resource_flush c = {
		.hdr = {.type = VIRTIO_GPU_CMD_RESOURCE_FLUSH, .flags = VIRTIO_GPU_FLAG_FENCE, .fence_id = 5},
		.r = gpu_rect(0, 0, 64, 64),
		.resource_id = 1};
	struct fake_request *r =
		fake_guest_add(w->guest, VIRTIO_GPU_QUEUE_CONTROL, &c, sizeof(c), sizeof(struct virtio_gpu_ctrl_hdr));

	fake_guest_kick(w->guest, VIRTIO_GPU_QUEUE_CONTROL);
	return r;
}

static void end_flush(struct gpu_world *w, struct fake_request *r)
{
	struct virtio_gpu_ctrl_hdr hdr;

	for (unsigned i = 0; i < 2000 && w->renderer->fence_count == 0; i++)
		loop_run_once(fake_guest_loop(w->guest), 1);
	assert_false(r->done);
	fake_renderer_finish(w->renderer, 1);
	assert_int_equal(fake_guest_wait(w->guest, r, 5000), 0);
	memcpy(&hdr, r->out, sizeof(hdr));
	assert_int_equal(hdr.type, OK);
	assert_int_equal(hdr.fence_id, 5);
	fake_guest_free_request(w->guest, r);
}

static void a_fenced_flush_waits_for_the_display_but_not_long(void **state)
{
	struct gpu_world *w =
		gpu_world_create(&(struct gpu_world_options){.fake_3d = true, .blind = true, .dmabuf = true});
	struct display_peer *p = give_display(w);
	struct fake_request *r;
	uint64_t began;

	(void)state;
	assert_int_equal(gpu_create_3d(w, 1, 64, 64), OK);
	assert_int_equal(gpu_scan(w, 0, 1, gpu_rect(0, 0, 64, 64)), OK);
	began = loop_now_ns();
	r = flush_fenced(w);
	display_peer_run(p, 5);
	assert_int_equal(p->scanouts[0].buffer_updates, 1);
	/* A busy machine may take as long for that as it waits. */
	assert_true(w->renderer->fence_count == 0 || loop_now_ns() - began >= 90000000u);
	/* Others go on meanwhile. */
	assert_int_equal(gpu_create_3d(w, 2, 64, 64), OK);
	display_peer_say_shown(p);
	end_flush(w, r);

	/* Without an answer. */
	began = loop_now_ns();
	r = flush_fenced(w);
	end_flush(w, r);
	assert_true(loop_now_ns() - began >= 90000000u);
	/* The peer goes away, the guest is reset, the device ends. */
	r = flush_fenced(w);
	display_peer_run(p, 5);
	display_peer_destroy(p);
	end_flush(w, r);
	p = give_display(w);
	r = flush_fenced(w);
	display_peer_run(p, 5);
	fake_guest_reset(w->guest);
	assert_true(r->lost);
	fake_guest_free_request(w->guest, r);
	assert_int_equal(fake_guest_start(w->guest, w->device), 0);
	assert_int_equal(gpu_create_3d(w, 1, 64, 64), OK);
	assert_int_equal(gpu_scan(w, 0, 1, gpu_rect(0, 0, 64, 64)), OK);
	flush_fenced(w);
	display_peer_run(p, 5);
	gpu_world_destroy(w);
	display_peer_destroy(p);
}

static void by_default_and_beside_others_all_get_pixels(void **state)
{
	(void)state;
	for (int dmabuf = 0; dmabuf < 2; dmabuf++) {
		struct gpu_world *w = gpu_world_create(
			&(struct gpu_world_options){.fake_3d = true, .blind = !dmabuf, .dmabuf = dmabuf});
		struct display_peer *p = give_display(w);

		assert_int_equal(gpu_create_3d(w, 1, 64, 64), OK);
		assert_int_equal(gpu_scan(w, 0, 1, gpu_rect(0, 0, 64, 64)), OK);
		assert_int_equal(gpu_flush(w, 1, gpu_rect(0, 0, 64, 64)), OK);
		display_peer_run(p, 5);
		expect_fake(&p->scanouts[0], 1);
		assert_int_equal(p->scanouts[0].buffers, 0);
		assert_int_equal(w->display->shown[0].frames, dmabuf);
		gpu_world_destroy(w);
		display_peer_destroy(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_display_answers_for_sizes_and_edid),
		cmocka_unit_test(without_an_answer_our_own_is_given),
		cmocka_unit_test(a_display_that_never_stops_answering_holds_up_nobody),
		cmocka_unit_test(a_reset_ends_what_is_asked),
		cmocka_unit_test(a_queue_that_stops_waits_for_no_answer),
		cmocka_unit_test(a_process_that_takes_over_asks_again),
		cmocka_unit_test(every_new_socket_is_shown_all),
		cmocka_unit_test(frames_go_without_a_copy_where_they_can),
		cmocka_unit_test(a_fenced_flush_waits_for_the_display_but_not_long),
		cmocka_unit_test(by_default_and_beside_others_all_get_pixels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
