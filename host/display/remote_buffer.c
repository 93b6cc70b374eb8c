// SPDX-License-Identifier: MIT
#include "host/display/remote_buffer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static void forget(struct remote_buffer *b)
{
	if (remote_buffer_is_shown(b) && b->shown.fd >= 0)
		close(b->shown.fd);
	b->shown = (struct display_buffer){0};
}

bool remote_buffer_is(const struct remote_buffer *b, const struct display_buffer *other)
{
	const struct display_rect *r = &b->shown.shown, *o = &other->shown;

	return b->shown.id == other->id && r->x == o->x && r->y == o->y && r->width == o->width &&
	       r->height == o->height;
}

int remote_buffer_show(struct remote_buffer *b, const struct display_buffer *buffer)
{
	int fd = fcntl(buffer->fd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	forget(b);
	b->shown = *buffer;
	b->shown.fd = fd;
	b->due = true;
	return 0;
}

void remote_buffer_end(struct remote_buffer *b)
{
	b->due |= remote_buffer_is_shown(b);
	forget(b);
}

void remote_buffer_finish(struct remote_buffer *b)
{
	forget(b);
	b->due = false;
}

void remote_buffer_tell(struct remote_buffer *b, unsigned scanout, struct vhost_user_gpu_dmabuf_scanout2 *out, int *fd)
{
	const struct display_buffer *s = &b->shown;

	*out = (struct vhost_user_gpu_dmabuf_scanout2){.dmabuf_scanout.scanout_id = scanout};
	*fd = -1;
	b->due = false;
	if (!remote_buffer_is_shown(b))
		return;
	out->dmabuf_scanout = (struct vhost_user_gpu_dmabuf_scanout){
		.scanout_id = scanout,
		.x = s->shown.x,
		.y = s->shown.y,
		.width = s->shown.width,
		.height = s->shown.height,
		.fd_width = s->width,
		.fd_height = s->height,
		.fd_stride = s->stride_bytes,
		.fd_flags = s->flip ? VHOST_USER_GPU_DMABUF_Y_0_TOP : 0,
		.fd_drm_fourcc = (int32_t)s->fourcc,
	};
	out->modifier = s->modifier;
	/* The frontend keeps it. */
	*fd = s->fd;
	b->shown.fd = -1;
}

ssize_t remote_buffer_send(int socket, const void *bytes, size_t count, int fd)
{
	struct iovec iov = {(void *)(uintptr_t)bytes, count};
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control.room);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	}
	return sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void remote_buffer_tell_shown(struct display_shown **list)
{
	struct display_shown *s = *list, *next;

	*list = NULL;
	for (; s; s = next) {
		next = s->next;
		s->shown(s);
	}
}

void remote_buffer_forget(struct display_shown **list, const struct display_shown *shown)
{
	while (*list && *list != shown)
		list = &(*list)->next;
	if (*list)
		*list = shown->next;
}
