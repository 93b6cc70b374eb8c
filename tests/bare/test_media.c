// SPDX-License-Identifier: MIT
/*
 * virtio-media on a real machine: the host's codec decodes an H.264 clip, which is the initial RAM disk, from and to
 * MMAP buffers in the device's shared memory. Each picture's checksum, as cksum(1) has it, is printed for
 * tests/bare/media to compare with what the codec makes of the clip outside.
 *
 * Each access unit of the clip must begin with a delimiter.
 */
#include "guest-drivers/bare/boot.h"
#include "guest-drivers/bare/console.h"
#include "guest-drivers/bare/media.h"
#include "guest-drivers/bare/report.h"
#include "guest-drivers/bare/string.h"
#include "tests/bare/clip.h"

#include <linux/errno.h>

enum { INPUTS = 2, OUTPUTS = 4, INPUT_BYTES = 1 << 17 };

#define OUTPUT V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE
#define CAPTURE V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE

static struct media m;
static uint32_t session;
static void *in[INPUTS], *out[OUTPUTS];
static uint64_t mapped[2][OUTPUTS]; /* OUTPUT, CAPTURE: bytes of each */
static unsigned free_inputs, pictures;
static bool has_size, ended;

/* The polynomial and the length that POSIX has in cksum. */
static uint32_t checksum(const uint8_t *data, uint32_t bytes)
{
	static uint32_t table[256];
	uint32_t sum = 0;

	for (uint32_t i = 0; !table[255] && i < 256; i++) {
		table[i] = i << 24;
		for (unsigned bit = 0; bit < 8; bit++)
			table[i] = table[i] << 1 ^ (table[i] >> 31 ? 0x04c11db7 : 0);
	}
	for (uint32_t i = 0; i < bytes; i++)
		sum = sum << 8 ^ table[sum >> 24 ^ data[i]];
	for (; bytes; bytes >>= 8)
		sum = sum << 8 ^ table[sum >> 24 ^ (bytes & 0xff)];
	return ~sum;
}

static int make_buffers(uint32_t type, uint32_t count, void **at)
{
	struct v4l2_requestbuffers r = {.count = count, .type = type, .memory = V4L2_MEMORY_MMAP};
	int rc = media_ioctl(&m, session, VIDIOC_REQBUFS, &r);

	if (!rc && r.count != count)
		return -ENOBUFS;
	for (uint32_t i = 0; !rc && i < count; i++) {
		struct v4l2_buffer b = {.index = i, .type = type, .length = 1};
		struct v4l2_plane plane = {0};
		uint64_t bytes;

		rc = media_buffer_ioctl(&m, session, VIDIOC_QUERYBUF, &b, &plane);
		rc = rc ? rc : media_map(&m, session, plane.m.mem_offset, &at[i], &bytes);
		if (!rc && bytes != plane.length)
			rc = -EPROTO;
		mapped[type == CAPTURE][i] = rc ? 0 : bytes;
	}
	return rc;
}

static int queue(uint32_t type, uint32_t index, uint32_t bytes)
{
	struct v4l2_buffer b = {.index = index, .type = type, .memory = V4L2_MEMORY_MMAP, .length = 1};
	struct v4l2_plane plane = {.bytesused = bytes};

	return media_buffer_ioctl(&m, session, VIDIOC_QBUF, &b, &plane);
}

static int stream(uint32_t type, bool on)
{
	return media_ioctl(&m, session, on ? VIDIOC_STREAMON : VIDIOC_STREAMOFF, &type);
}

static int start_capture(void)
{
	struct v4l2_format f = {.type = CAPTURE};
	int rc = media_ioctl(&m, session, VIDIOC_G_FMT, &f);

	if (rc)
		return rc;
	has_size = true;
	printf("media: pictures of %ux%u\n", f.fmt.pix_mp.width, f.fmt.pix_mp.height);
	rc = make_buffers(CAPTURE, OUTPUTS, out);
	for (uint32_t i = 0; !rc && i < OUTPUTS; i++)
		rc = queue(CAPTURE, i, 0);
	return rc ? rc : stream(CAPTURE, true);
}

static int take_buffer(const struct virtio_media_event_dqbuf *e)
{
	const uint32_t index = e->buffer.index;

	if (index >= (e->buffer.type == OUTPUT ? INPUTS : OUTPUTS) ||
	    e->planes[0].bytesused > mapped[e->buffer.type == CAPTURE][index])
		return -EPROTO;
	if (e->buffer.type == OUTPUT) {
		free_inputs |= 1u << index;
		return e->buffer.flags & V4L2_BUF_FLAG_ERROR ? -EIO : 0;
	}
	if (e->buffer.flags & V4L2_BUF_FLAG_LAST) {
		ended = true;
		return 0;
	}
	printf("media: picture %u: %u\n", pictures++, checksum(out[index], e->planes[0].bytesused));
	return queue(CAPTURE, index, 0);
}

/* Wait for an event, and do what it asks for. */
static int serve(void)
{
	union media_event e;
	int rc = media_wait_event(&m, &e);

	if (rc)
		return rc;
	if (e.hdr.event == VIRTIO_MEDIA_EVT_DQBUF)
		return take_buffer(&e.dqbuf);
	if (e.hdr.event != VIRTIO_MEDIA_EVT_EVENT)
		return -EPROTO;
	return e.event.event.type == V4L2_EVENT_SOURCE_CHANGE && !has_size ? start_capture() : 0;
}

static int play(const uint8_t *clip, size_t bytes)
{
	struct v4l2_decoder_cmd stop = {.cmd = V4L2_DEC_CMD_STOP};
	int rc = 0;

	for (size_t at = 0, end; at < bytes && !rc; at = end) {
		unsigned i = 0;

		end = clip_unit_end(clip, bytes, at);
		while (!rc && !free_inputs)
			rc = serve();
		while (!rc && !(free_inputs >> i & 1))
			i++;
		if (!rc && end - at > INPUT_BYTES)
			rc = -EFBIG;
		if (rc)
			break;
		memcpy(in[i], clip + at, end - at);
		free_inputs &= ~(1u << i);
		rc = queue(OUTPUT, i, (uint32_t)(end - at));
	}
	rc = rc ? rc : media_ioctl(&m, session, VIDIOC_DECODER_CMD, &stop);
	while (!rc && !ended)
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
	rc = media_ioctl(&m, session, VIDIOC_S_FMT, &f);
	rc = rc ? rc : media_ioctl(&m, session, VIDIOC_SUBSCRIBE_EVENT, &change);
	rc = rc ? rc : make_buffers(OUTPUT, INPUTS, in);
	free_inputs = (1u << INPUTS) - 1;
	return rc ? rc : stream(OUTPUT, true);
}

int main(void)
{
	uint32_t marker;
	int rc;

	report_start("media");
	rc = media_open(&m, VIRTIO_ANY, 0);
	if (!report_check(!rc && m.window, "a media device with shared memory (%d)", rc))
		return report_end();
	report_check(m.config.device_caps & V4L2_CAP_VIDEO_M2M_MPLANE && m.config.device_type == 0, "it is a codec");
	report_check(media_session_open(&m, &session) == 0, "a session opens");
	rc = set_up();
	report_check(rc == 0, "input buffers are mapped (%d)", rc);
	rc = play((const uint8_t *)(uintptr_t)boot.initrd_base, boot.initrd_bytes);
	report_check(rc == 0 && pictures > 0, "%u pictures are decoded (%d)", pictures, rc);
	/* Its memory stays until it is unmapped, and then the place is a hole. */
	report_check(media_session_close(&m, session) == 0, "the session closes");
	memcpy(in[0], "live", 4);
	memcpy(&marker, in[0], 4);
	report_check(memcmp(&marker, "live", 4) == 0, "mappings outlive it");
	for (unsigned i = 0; i < INPUTS; i++)
		report_check(media_unmap(&m, in[i]) == 0, "input %u is unmapped", i);
	report_check(media_unmap(&m, in[0]) == -EINVAL, "but not twice");
	memcpy(&marker, in[0], 4);
	report_check(memcmp(&marker, "live", 4) != 0, "what was there is gone");
	media_close(&m);
	return report_end();
}
