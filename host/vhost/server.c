// SPDX-License-Identifier: MIT
#include "host/vhost/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/vhost/listener.h"
#include "host/vhost/session.h"
#include "host/virtio/inflight.h"
#include "protocol/virtio.h"

#define REAP_AGAIN_NS 100000000ull

/* ---- our requests to the frontend ---- */

static void close_backend(struct vhost_server *s)
{
	message_socket_close(&s->backend);
	vhost_shmem_end(&s->shmem);
	vhost_objects_end(&s->objects);
}

static int backend_received(void *owner, struct message *m)
{
	struct vhost_server *s = owner;
	/* All that we want an answer to. */
	int err = vhost_shmem_answered(&s->shmem, m);

	return err ? err : vhost_objects_answered(&s->objects, m);
}

static void backend_ended(void *owner, int err, const char *why)
{
	struct vhost_server *s = owner;

	(void)err;
	log_line(LOG_TOPIC_VHOST, LOG_DEBUG, "channel for our requests: %s", why);
	close_backend(s);
}

static const struct message_ops backend_ops = {.received = backend_received, .ended = backend_ended};

int vhost_server_open_backend(struct vhost_server *s, int fd)
{
	close_backend(s);
	return message_socket_open(&s->backend, s->loop, fd, &backend_ops, s);
}

static void ask(struct vhost_server *s, uint32_t request, const void *payload, size_t bytes)
{
	if (!s->backend.open)
		return;
	/* One that reads nothing of what it is told can't be told more. */
	if (message_send(&s->backend, request, 0, payload, bytes)) {
		log_line(LOG_TOPIC_VHOST, LOG_WARN, "the frontend does not read our requests; its channel for them is closed");
		close_backend(s);
	}
}

/* ---- the device's transport ---- */

static void interrupt(void *owner, unsigned queue)
{
	struct vhost_server *s = owner;
	const struct vhost_user_vring_state state = {.index = queue};

	if (!vhost_rings_call(&s->rings, queue) && vhost_server_has(s, VHOST_USER_PROTOCOL_F_INBAND_NOTIFICATIONS))
		ask(s, VHOST_USER_BACKEND_VRING_CALL, &state, sizeof(state));
}

static void config_changed(void *owner)
{
	struct vhost_server *s = owner;

	/* Not both: the frontend would interrupt the guest twice. */
	if (s->config.device->broken)
		vhost_rings_report_error(&s->rings);
	else if (vhost_server_has(s, VHOST_USER_PROTOCOL_F_CONFIG))
		ask(s, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, NULL, 0);
}

static void progress(void *owner)
{
	struct vhost_server *s = owner;

	if (s->config.progress)
		s->config.progress(s->config.owner);
}

static const struct virtio_transport_ops transport_ops = {
	.interrupt = interrupt,
	.config_changed = config_changed,
	.progress = progress,
};

/* ---- the connection ---- */

void vhost_server_reap(struct vhost_server *s)
{
	if (!vhost_memory_retired(s->memory))
		return;
	/* A live device may hold on to more than requests: the pixels of a resource lie in guest memory. */
	if (!s->config.device->status && vhost_rings_idle(&s->rings))
		vhost_memory_reap(s->memory);
	else if (!s->config.device->status)
		loop_arm_timer(s->loop, &s->reap_timer, loop_now_ns() + REAP_AGAIN_NS);
}

static void reap_again(struct loop_timer *t)
{
	vhost_server_reap(t->owner);
}

static void drain_again(struct loop_timer *t)
{
	vhost_server_drained(t->owner);
}

static void end_connection(struct vhost_server *s)
{
	s->draining = false;
	loop_cancel_timer(s->loop, &s->drain_timer);
	message_socket_close(&s->frontend);
	close_backend(s);
	vhost_rings_forget(&s->rings);
	vhost_memory_clear(s->memory);
	s->protocol_features = 0;
	s->shmem.agreed = s->objects.agreed = false;
	s->connected = s->begun = false;
	vhost_server_reap(s);
}

static void listen_again(struct vhost_server *s);

/* Outside of the socket's own handling, which must not find itself closed. */
static void drop(struct loop_task *t)
{
	struct vhost_server *s = t->owner;

	s->drop_posted = false;
	end_connection(s);
	if (s->listener >= 0)
		listen_again(s);
	else if (s->config.ended)
		s->config.ended(s->config.owner);
}

static void frontend_ended(void *owner, int err, const char *why)
{
	struct vhost_server *s = owner;

	if (err)
		log_line(LOG_TOPIC_VHOST, LOG_WARN, "the frontend is dropped: %s", why);
	else
		log_line(LOG_TOPIC_VHOST, LOG_DEBUG, "the frontend left");
	if (!s->drop_posted)
		loop_post(s->loop, &s->drop_task);
	s->drop_posted = true;
}

static int frontend_received(void *owner, struct message *m)
{
	struct vhost_server *s = owner;

	if (!s->begun && s->config.begun)
		s->config.begun(s->config.owner);
	s->begun = true;
	return vhost_server_request(s, m);
}

static const struct message_ops frontend_ops = {.received = frontend_received, .ended = frontend_ended};

static int connect_frontend(struct vhost_server *s, int fd)
{
	int err = message_socket_open(&s->frontend, s->loop, fd, &frontend_ops, s);

	if (err)
		return err;
	s->connected = true;
	log_line(LOG_TOPIC_VHOST, LOG_DEBUG, "a frontend is here");
	return 0;
}

static void somebody_connects(struct loop_fd *f, uint32_t events)
{
	struct vhost_server *s = f->owner;
	int fd = accept_or_back_off(&s->listen_backoff, s->loop, f, 0, LOG_TOPIC_VHOST, s->config.device->ops->name);
	int err;

	(void)events;
	if (fd < 0)
		return;
	err = connect_frontend(s, fd);
	if (err) {
		log_line(LOG_TOPIC_VHOST, LOG_WARN, "a frontend could not be taken: %s", strerror(-err));
		return;
	}
	loop_remove_fd(s->loop, &s->listen_watch);
	s->listening = false;
}

static void listen_again(struct vhost_server *s)
{
	int err;

	if (s->listening)
		return;
	s->listen_watch = (struct loop_fd){.fd = s->listener, .ready = somebody_connects, .owner = s};
	err = loop_add_fd(s->loop, &s->listen_watch, EPOLLIN);
	if (err)
		log_line(LOG_TOPIC_VHOST, LOG_ERROR, "can't wait for frontends any more: %s", strerror(-err));
	s->listening = !err;
}

/* ---- construction ---- */

static int take_fd(struct vhost_server *s, int fd)
{
	int listens = 0;
	socklen_t bytes = sizeof(listens);
	int err;

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &bytes) < 0) {
		err = -errno;
		log_line(LOG_TOPIC_VHOST, LOG_ERROR, "descriptor %d is no socket: %s", fd, strerror(-err));
		close(fd);
		return err;
	}
	if (listens) {
		vhost_listen_without_waiting(fd);
		s->listener = fd;
		return 0;
	}
	err = connect_frontend(s, fd);
	if (err)
		log_line(LOG_TOPIC_VHOST, LOG_ERROR, "descriptor %d can't be used: %s", fd, strerror(-err));
	return err;
}

int vhost_server_create(const struct vhost_server_config *config, struct vhost_server **out)
{
	struct vhost_server *s = calloc(1, sizeof(*s));
	int err;

	if (!s) {
		if (config->fd >= 0)
			close(config->fd);
		return -ENOMEM;
	}
	s->config = *config;
	s->loop = config->device->loop;
	s->listener = -1;
	s->objects = (struct vhost_objects){.socket = &s->backend, .fd = -1};
	s->drain_timer = (struct loop_timer){.expired = drain_again, .owner = s};
	s->reap_timer = (struct loop_timer){.expired = reap_again, .owner = s};
	s->drop_task = (struct loop_task){.run = drop, .owner = s};
	err = vhost_memory_create(config->mem, &s->memory);
	if (err) {
		if (config->fd >= 0)
			close(config->fd);
		free(s);
		return err;
	}
	vhost_rings_init(&s->rings, config->device, s->memory);
	for (unsigned i = 0; config->inflight && i < config->device->queue_count && !err; i++)
		err = virtq_track(config->device->queues[i], &config->inflight[i]);
	if (err) {
		if (config->fd >= 0)
			close(config->fd);
		vhost_memory_destroy(s->memory);
		free(s);
		return err;
	}
	virtio_device_set_transport(config->device, &transport_ops, s);
	s->shmem.device = config->device;
	s->shmem.socket = &s->backend;
	virtio_device_set_shmem_home(config->device, &vhost_shmem_ops, &s->shmem);
	if (config->objects)
		virtio_objects_set_home(config->objects, &vhost_objects_ops, &s->objects, config->mem);
	if (config->fd >= 0) {
		err = take_fd(s, config->fd);
	} else {
		s->path = strdup(config->socket_path);
		err = s->path ? vhost_listen(config->socket_path, &s->listener) : -ENOMEM;
		if (err) {
			free(s->path);
			s->path = NULL;
		}
	}
	if (!err && s->listener >= 0) {
		listen_again(s);
		if (!s->listening)
			err = -EIO;
	}
	if (err) {
		vhost_server_destroy(s);
		return err;
	}
	*out = s;
	return 0;
}

void vhost_server_destroy(struct vhost_server *s)
{
	if (!s)
		return;
	if (s->drop_posted)
		loop_unpost(s->loop, &s->drop_task);
	end_connection(s);
	loop_cancel_timer(s->loop, &s->reap_timer);
	virtio_device_set_transport(s->config.device, NULL, NULL);
	virtio_device_set_shmem_home(s->config.device, NULL, NULL);
	if (s->config.objects)
		virtio_objects_set_home(s->config.objects, NULL, NULL, NULL);
	if (s->listening)
		loop_remove_fd(s->loop, &s->listen_watch);
	accept_backoff_end(&s->listen_backoff);
	if (s->listener >= 0)
		close(s->listener);
	if (s->path)
		unlink(s->path);
	free(s->path);
	vhost_memory_destroy(s->memory);
	free(s);
}

bool vhost_server_is_connected(const struct vhost_server *s)
{
	return s->connected;
}
