// SPDX-License-Identifier: MIT
#include "host/video/v4l2_import.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
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

/* Set the format that pictures of @layout have. Returns false if the driver has another idea of them. */
static bool set_format(int fd, const struct video_layout *layout, uint32_t fourcc, size_t room)
{
	struct v4l2_format f = {.type = V4L2_BUF_TYPE_VIDEO_OUTPUT};
	struct v4l2_pix_format *p = &f.fmt.pix;

	p->pixelformat = fourcc;
	p->width = layout->width;
	p->height = layout->height;
	p->field = V4L2_FIELD_NONE;
	return ioctl(fd, VIDIOC_S_FMT, &f) == 0 && p->pixelformat == fourcc && p->width == layout->width &&
	       p->height == layout->height && p->bytesperline == layout->planes[0].stride_bytes && p->sizeimage <= room;
}

/* Queueing is enough: the driver imports it then, though nothing is switched on. */
static bool queue(int fd, int dmabuf, size_t room, uint32_t bytes)
{
	struct v4l2_requestbuffers r = {.count = 1, .type = V4L2_BUF_TYPE_VIDEO_OUTPUT, .memory = V4L2_MEMORY_DMABUF};
	struct v4l2_buffer b = {.type = r.type, .memory = r.memory, .length = (uint32_t)room, .bytesused = bytes};

	b.m.fd = dmabuf;
	return ioctl(fd, VIDIOC_REQBUFS, &r) == 0 && ioctl(fd, VIDIOC_QBUF, &b) == 0;
}

bool v4l2_imports(const char *device, const struct video_layout *layout, const struct video_buffer *picture)
{
	const int dmabuf = video_pages_dmabuf(picture->pages);
	const char *wrong = NULL;
	uint32_t fourcc = 0;
	size_t room;
	int fd;

	for (unsigned i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		if (strcmp(formats[i].name, layout->format->name) == 0)
			fourcc = formats[i].fourcc;
	}
	if (dmabuf < 0 || !fourcc || !v4l2_has_planes_there(layout, picture)) {
		log_line(LOG_TOPIC_VIDEO, LOG_DEBUG, "%s reads no picture in place: %s", device,
			 dmabuf < 0 ? "it has no dma-buf" : "no driver's pictures lie so");
		return false;
	}
	room = video_pages_dmabuf_bytes(picture->pages);
	fd = open(device, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	/* A driver of planes that are apart (MPLANE) has no such format: its pictures are copied. */
	if (fd < 0)
		wrong = "it can't be opened";
	else if (!set_format(fd, layout, fourcc, room))
		wrong = "its pictures lie otherwise";
	else if (!queue(fd, dmabuf, room, layout->total_bytes))
		wrong = strerror(errno);
	if (wrong)
		log_line(LOG_TOPIC_VIDEO, LOG_DEBUG, "%s reads no picture in place: %s", device, wrong);
	if (fd >= 0)
		close(fd);
	return !wrong;
}
