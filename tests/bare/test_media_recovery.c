// SPDX-License-Identifier: MIT
/*
 * A virtio-media decoder whose process is killed again and again while this guest plays a clip, which is the initial RAM disk
 * (tests/bare/media does that). The stream that was at work fails and says so; the session stays, with all that is mapped, and
 * plays the clip from the start when its queues are restarted. The pictures are the same each time. Options: rounds= (how
 * often the whole clip is to be played), width= (of its pictures)
 */
#include <linux/errno.h>

#include "guest-drivers/bare/boot.h"
#include "guest-drivers/bare/console.h"
#include "guest-drivers/bare/media.h"
#include "guest-drivers/bare/report.h"
#include "guest-drivers/bare/string.h"
#include "tests/bare/clip.h"

enum { INPUTS = 2, OUTPUTS = 4, INPUT_BYTES = 1 << 17, PLAYS_A_SESSION = 4 };

#define OUTPUT V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE
#define CAPTURE V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE

static struct media m;
static uint32_t session, width;
static uint8_t *in[INPUTS], *out[OUTPUTS]; /* mapped; NULL: not yet */
static uint64_t mapped[2][OUTPUTS];	   /* bytes of each */
static unsigned queued[2];		   /* OUTPUT, CAPTURE: buffers that are with the device, a bit each */
static bool captures, ended, lost;
static unsigned played, failed, refused, twice, forgotten;
static struct clip_pictures shown;

/* The process died at that command, or the stream has failed: that is no error of the guest's. */
static int note(int rc)
{
	refused += rc == -EIO;
	lost |= rc == -EIO;
	return rc == -EIO ? 0 : rc;
}

static int queue(uint32_t type, uint32_t index, uint32_t bytes)
{
	struct v4l2_buffer b = {.index = index, .type = type, .memory = V4L2_MEMORY_MMAP, .length = 1};
	struct v4l2_plane plane = {.bytesused = bytes};
	int rc = media_buffer_ioctl(&m, session, VIDIOC_QBUF, &b, &plane);

	if (!rc)
		queued[type == CAPTURE] |= 1u << index;
	return note(rc);
}

static int stream(uint32_t type, bool on)
{
	int rc = media_ioctl(&m, session, on ? VIDIOC_STREAMON : VIDIOC_STREAMOFF, &type);

	if (!rc && !on)
		queued[type == CAPTURE] = 0;
	if (!rc && type == CAPTURE)
		captures = on;
	return note(rc);
}

static int make_buffers(uint32_t type, uint32_t count, uint8_t **at)
{
	struct v4l2_requestbuffers r = {.count = count, .type = type, .memory = V4L2_MEMORY_MMAP};
	int rc = note(media_ioctl(&m, session, VIDIOC_REQBUFS, &r));

	for (uint32_t i = 0; !rc && !lost && i < count; i++) {
		struct v4l2_buffer b = {.index = i, .type = type, .length = 1};
		struct v4l2_plane plane = {0};
		uint64_t bytes;
		void *seen;

		rc = media_buffer_ioctl(&m, session, VIDIOC_QUERYBUF, &b, &plane);
		rc = note(rc ? rc : media_map(&m, session, plane.m.mem_offset, &seen, &bytes));
		if (!rc && !lost) {
			at[i] = seen;
			mapped[type == CAPTURE][i] = bytes;
		}
	}
	return rc;
}

static int unmap(uint8_t **at, uint32_t count)
{
	int rc = 0;

	for (uint32_t i = 0; !rc && i < count; i++) {
		rc = at[i] ? media_unmap(&m, at[i]) : 0;
		at[i] = NULL;
	}
	return rc;
}

static int queue_capture(void)
{
	int rc = 0;

	for (uint32_t i = 0; !rc && !lost && i < OUTPUTS; i++)
		rc = queue(CAPTURE, i, 0);
	return rc || lost ? rc : stream(CAPTURE, true);
}

/* *is: the device knows how large the pictures are. */
static int look_at_size(bool *is)
{
	struct v4l2_format f = {.type = CAPTURE};
	int rc = note(media_ioctl(&m, session, VIDIOC_G_FMT, &f));

	*is = !rc && !lost && f.fmt.pix_mp.width == width;
	return rc;
}

static int start_capture(void)
{
	/* Of a try that ended half-way. */
	int rc = unmap(out, OUTPUTS);

	rc = rc ? rc : make_buffers(CAPTURE, OUTPUTS, out);
	return rc || lost ? rc : queue_capture();
}

static int take_buffer(const struct virtio_media_event_dqbuf *e)
{
	const bool is_capture = e->buffer.type == CAPTURE;
	const uint32_t index = e->buffer.index;

	if (index >= (is_capture ? OUTPUTS : INPUTS) || e->planes[0].bytesused > mapped[is_capture][index])
		return -EPROTO;
	/* Each comes back once. */
	twice += !(queued[is_capture] >> index & 1);
	queued[is_capture] &= ~(1u << index);
	lost |= (e->buffer.flags & V4L2_BUF_FLAG_ERROR) != 0;
	if (!is_capture || lost)
		return 0;
	if (e->buffer.flags & V4L2_BUF_FLAG_LAST) {
		ended = true;
		return 0;
	}
	clip_check_picture(&shown, out[index], e->planes[0].bytesused);
	return queue(CAPTURE, index, 0);
}

/* Wait for an event, and do what it asks for. */
static int serve(void)
{
	struct v4l2_decoder_cmd stop = {.cmd = V4L2_DEC_CMD_STOP};
	union media_event e;
	bool is_known;
	int rc = media_wait_event(&m, &e);

	if (rc || e.hdr.session_id != session)
		return rc;
	if (e.hdr.event == VIRTIO_MEDIA_EVT_DQBUF)
		return take_buffer(&e.dqbuf);
	if (e.event.event.type != V4L2_EVENT_SOURCE_CHANGE || captures || lost)
		return 0;
	rc = look_at_size(&is_known);
	if (rc || is_known)
		return rc ? rc : start_capture();
	/* It is told to look, and that is what it sees: the stream has failed. */
	rc = note(media_ioctl(&m, session, VIDIOC_DECODER_CMD, &stop));
	return rc || lost ? rc : -EPROTO;
}

static int play(const uint8_t *clip, size_t bytes)
{
	struct v4l2_decoder_cmd stop = {.cmd = V4L2_DEC_CMD_STOP};
	int rc = 0;

	for (size_t at = 0, end; at < bytes && !rc && !lost; at = end) {
		unsigned i = 0;

		end = clip_unit_end(clip, bytes, at);
		while (!rc && !lost && queued[0] == (1u << INPUTS) - 1)
			rc = serve();
		while (queued[0] >> i & 1 && i < INPUTS - 1)
			i++;
		if (!rc && end - at > INPUT_BYTES - 8)
			rc = -EFBIG;
		if (rc || lost)
			break;
		memcpy(in[i], clip + at, end - at);
		rc = queue(OUTPUT, i, (uint32_t)(end - at));
	}
	if (!rc && !lost)
		rc = note(media_ioctl(&m, session, VIDIOC_DECODER_CMD, &stop));
	while (!rc && !lost && !ended)
		rc = serve();
	/* What it had queued comes back. */
	while (!rc && lost && (queued[0] || (captures && queued[1])))
		rc = serve();
	return rc;
}

static int set_up(void)
{
	struct v4l2_event_subscription change = {.type = V4L2_EVENT_SOURCE_CHANGE};
	struct v4l2_format f = {.type = OUTPUT};
	int rc;

	f.fmt.pix_mp.pixelformat = V4L2_PIX_FMT_H264;
	f.fmt.pix_mp.num_planes = 1;
	f.fmt.pix_mp.plane_fmt[0].sizeimage = INPUT_BYTES;
	captures = lost = false;
	queued[0] = queued[1] = 0;
	rc = note(media_session_open(&m, &session));
	if (rc || lost)
		return rc;
	rc = note(media_ioctl(&m, session, VIDIOC_S_FMT, &f));
	rc = rc || lost ? rc : note(media_ioctl(&m, session, VIDIOC_SUBSCRIBE_EVENT, &change));
	rc = rc || lost ? rc : make_buffers(OUTPUT, INPUTS, in);
	for (unsigned i = 0; !rc && !lost && i < INPUTS; i++)
		memcpy(in[i] + INPUT_BYTES - 8, "mapping", 8);
	return rc;
}

static int close_session(void)
{
	int rc = unmap(in, INPUTS);

	rc = rc ? rc : unmap(out, OUTPUTS);
	return rc ? rc : media_session_close(&m, session);
}

/* From the start: both queues off, and on again. */
static int restart(void)
{
	union media_event e;
	bool is_known;
	int rc;

	lost = ended = false;
	shown.count = 0;
	rc = stream(OUTPUT, false);
	rc = rc || lost ? rc : stream(CAPTURE, false);
	/* Of before. */
	while (!rc && !lost && media_take_event(&m, &e))
		;
	/* What was told is not told again. */
	rc = rc || lost ? rc : look_at_size(&is_known);
	if (!rc && !lost && is_known)
		rc = out[OUTPUTS - 1] ? queue_capture() : start_capture();
	return rc || lost ? rc : stream(OUTPUT, true);
}

int main(void)
{
	const unsigned rounds = (unsigned)boot_option_number("rounds", 10);
	const uint8_t *clip = (const uint8_t *)(uintptr_t)boot.initrd_base;
	unsigned tries = 0;
	int rc = media_open(&m, VIRTIO_ANY, 0);

	width = (uint32_t)boot_option_number("width", 112);
	printf("# playing\n");
	while (!rc && played < rounds && tries++ < 100 * rounds) {
		rc = set_up();
		for (unsigned i = 0; !rc && in[INPUTS - 1] && i < PLAYS_A_SESSION; i++) {
			rc = restart();
			rc = rc || lost ? rc : play(clip, boot.initrd_bytes);
			failed += lost;
			played += !rc && !lost;
			/* All of them, or a later clip tells. */
			shown.odd += !rc && !lost && shown.count != shown.expected;
			for (unsigned k = 0; k < INPUTS; k++)
				forgotten += memcmp(in[k] + INPUT_BYTES - 8, "mapping", 8) != 0;
		}
		if (!rc && session)
			rc = close_session();
		session = 0;
	}
	printf("# %u clips whole, %u lost, %u commands refused\n", played, failed, refused);
	report_start("media recovery");
	report_check(!rc, "every_command_is_answered: error %d", rc);
	report_check(played >= rounds, "the_clip_is_played: %u of %u", played, rounds);
	report_check(shown.odd == 0 && shown.expected > 0, "pictures_are_the_same_each_time: %u of %u are not",
		     shown.odd, shown.expected);
	report_check(twice == 0, "buffers_come_back_once: %u came again", twice);
	report_check(forgotten == 0, "what_is_mapped_stays: %u times not", forgotten);
	return report_end();
}
