// SPDX-License-Identifier: MIT
#include "host/video/v4l2_import.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/video/buffer.h"
#include "host/video/pages.h"
#include "host/video/picture.h"

static const struct {
	const char *name;
	uint32_t fourcc;
} formats[] = {{"NV12", V4L2_PIX_FMT_NV12}, {"I420", V4L2_PIX_FMT_YUV420}, {"YV12", V4L2_PIX_FMT_YVU420}};

_Static_assert(offsetof(struct v4l2_pix_format, width) == offsetof(struct v4l2_pix_format_mplane, width) &&
		       offsetof(struct v4l2_pix_format, height) == offsetof(struct v4l2_pix_format_mplane, height),
	       "copy_coded_format() and is_of_size()");

bool v4l2_has_planes_there(const struct video_layout *layout, const struct video_buffer *picture)
{
	size_t at = 0;

	for (unsigned i = 0; i < layout->format->planes; i++) {
		if (video_layout_offset(layout, picture, i) != at ||
		    video_layout_plane(layout, picture, i).stride_bytes != layout->planes[i].stride_bytes)
			return false;
		at += layout->planes[i].size_bytes;
	}
	return true;
}

static uint32_t find_fourcc(const struct video_layout *layout)
{
	for (unsigned i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		if (strcmp(formats[i].name, layout->format->name) == 0)
			return formats[i].fourcc;
	}
	return 0;
}

/* Of drivers that could have planes apart: they say it in another form, also where they have all in one piece. */
static bool is_multiplanar(int fd)
{
	struct v4l2_capability cap;

	return ioctl(fd, VIDIOC_QUERYCAP, &cap) == 0 &&
	       (cap.capabilities & V4L2_CAP_DEVICE_CAPS ? cap.device_caps : cap.capabilities) & V4L2_CAP_VIDEO_M2M_MPLANE;
}

static uint32_t output_type(int fd)
{
	return is_multiplanar(fd) ? V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE : V4L2_BUF_TYPE_VIDEO_OUTPUT;
}

static uint32_t capture_type(int fd)
{
	return is_multiplanar(fd) ? V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE : V4L2_BUF_TYPE_VIDEO_CAPTURE;
}

/* Set the format that pictures of @layout have. Returns false if the driver has another idea of them. */
static bool set_format(int fd, uint32_t type, const struct video_layout *layout, uint32_t fourcc, size_t room)
{
	struct v4l2_format f = {.type = type};
	struct v4l2_pix_format_mplane *mp = &f.fmt.pix_mp;
	struct v4l2_pix_format *p = &f.fmt.pix;

	if (V4L2_TYPE_IS_MULTIPLANAR(type)) {
		mp->pixelformat = fourcc;
		mp->width = layout->width;
		mp->height = layout->height;
		mp->field = V4L2_FIELD_NONE;
		mp->num_planes = 1;
		return ioctl(fd, VIDIOC_S_FMT, &f) == 0 && mp->pixelformat == fourcc && mp->width == layout->width &&
		       mp->height == layout->height && mp->num_planes == 1 &&
		       mp->plane_fmt[0].bytesperline == layout->planes[0].stride_bytes &&
		       mp->plane_fmt[0].sizeimage <= room;
	}
	p->pixelformat = fourcc;
	p->width = layout->width;
	p->height = layout->height;
	p->field = V4L2_FIELD_NONE;
	return ioctl(fd, VIDIOC_S_FMT, &f) == 0 && p->pixelformat == fourcc && p->width == layout->width &&
	       p->height == layout->height && p->bytesperline == layout->planes[0].stride_bytes && p->sizeimage <= room;
}

/* Queueing is enough: the driver imports it then, though nothing is switched on. */
static bool queue(int fd, uint32_t type, int dmabuf, size_t room, uint32_t bytes)
{
	struct v4l2_requestbuffers r = {.count = 1, .type = type, .memory = V4L2_MEMORY_DMABUF};
	struct v4l2_buffer b = {.type = type, .memory = r.memory, .length = (uint32_t)room, .bytesused = bytes};
	struct v4l2_plane plane = {.length = (uint32_t)room, .bytesused = bytes, .m.fd = dmabuf};

	b.m.fd = dmabuf;
	if (V4L2_TYPE_IS_MULTIPLANAR(type)) {
		b.length = 1;
		b.m.planes = &plane;
	}
	return ioctl(fd, VIDIOC_REQBUFS, &r) == 0 && ioctl(fd, VIDIOC_QBUF, &b) == 0;
}

static int open_again(const char *device)
{
	return open(device, O_RDWR | O_NONBLOCK | O_CLOEXEC);
}

bool v4l2_imports(const char *device, const struct video_layout *layout, const struct video_buffer *picture)
{
	const int dmabuf = video_pages_dmabuf(picture->pages);
	const uint32_t fourcc = find_fourcc(layout);
	const char *wrong = NULL;
	size_t room;
	int fd;

	if (dmabuf < 0 || !fourcc || !v4l2_has_planes_there(layout, picture)) {
		log_line(LOG_TOPIC_VIDEO, LOG_DEBUG, "%s reads no picture in place: %s", device,
			 dmabuf < 0 ? "it has no dma-buf" : "no driver's pictures lie so");
		return false;
	}
	room = video_pages_dmabuf_bytes(picture->pages);
	fd = open_again(device);
	if (fd < 0)
		wrong = "it can't be opened";
	else if (!set_format(fd, output_type(fd), layout, fourcc, room))
		wrong = "its pictures lie otherwise";
	else if (!queue(fd, output_type(fd), dmabuf, room, layout->total_bytes))
		wrong = strerror(errno);
	if (wrong)
		log_line(LOG_TOPIC_VIDEO, LOG_DEBUG, "%s reads no picture in place: %s", device, wrong);
	if (fd >= 0)
		close(fd);
	return !wrong;
}

/* Say to @to what @from decodes, and that it has pictures of @layout. */
static bool copy_coded_format(int from, int to, const struct video_layout *layout)
{
	struct v4l2_format f = {.type = output_type(from)};

	if (ioctl(from, VIDIOC_G_FMT, &f) < 0)
		return false;
	/* These two are in the same place in both forms. */
	f.fmt.pix.width = layout->width;
	f.fmt.pix.height = layout->height;
	return ioctl(to, VIDIOC_S_FMT, &f) == 0;
}

/* Pictures are whole macroblocks, more than what is to be seen of them: is that as large as the guest's? */
static bool is_of_size(int fd, const struct video_layout *layout)
{
	struct v4l2_format f = {.type = capture_type(fd)};

	return ioctl(fd, VIDIOC_G_FMT, &f) == 0 && f.fmt.pix.width == layout->width && f.fmt.pix.height == layout->height;
}

bool v4l2_writes(const char *device, int fd, const struct video_layout *layout, struct video_pages *pages)
{
	const uint32_t fourcc = find_fourcc(layout), type = capture_type(fd);
	const char *wrong = NULL;
	int again = -1;

	if (!fourcc || !is_of_size(fd, layout))
		wrong = "its pictures are larger, or of another format";
	else if ((again = open_again(device)) < 0)
		wrong = "it can't be opened";
	/* One that needs more room keeps things of its own there, which the guest could change. */
	else if (!copy_coded_format(fd, again, layout) || !set_format(again, type, layout, fourcc, layout->total_bytes))
		wrong = "its pictures lie otherwise";
	else if (!queue(again, type, video_pages_dmabuf(pages), video_pages_dmabuf_bytes(pages), 0))
		wrong = strerror(errno);
	log_line(LOG_TOPIC_VIDEO, LOG_DEBUG, "%s writes %s%s", device,
		 wrong ? "no pictures in place: " : "pictures in place", wrong ? wrong : "");
	if (again >= 0)
		close(again);
	return !wrong;
}

unsigned v4l2_decoder_buffers(int fd)
{
	struct v4l2_control c = {.id = V4L2_CID_MIN_BUFFERS_FOR_CAPTURE};

	return ioctl(fd, VIDIOC_G_CTRL, &c) == 0 && c.value > 0 ? (unsigned)c.value : 0;
}
