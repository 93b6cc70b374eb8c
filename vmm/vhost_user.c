// SPDX-License-Identifier: MIT
#include "vmm/vhost_user.h"

#include <assert.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_net.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/base/loop.h"
#include "host/virtio/device.h"
#include "host/virtio/mem.h"
#include "protocol/vhost_user.h"
#include "protocol/virtio.h"
#include "protocol/virtio_video.h"
#include "vmm/event.h"
#include "vmm/shared_objects.h"
#include "vmm/vhost_user_kinds.h"
#include "vmm/vhost_user_session.h"

/*
 * What may be passed on of features that are not the device's own: the rest would need an IOMMU, doorbells that carry
 * data, or queues that are reset one by one.
 */
#define RING_FEATURES                                                                                                  \
	(VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_F_RING_PACKED) |                                          \
	 VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC) | VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX) |                              \
	 VIRTIO_BIT(VIRTIO_F_IN_ORDER) | VIRTIO_BIT(VIRTIO_F_ORDER_PLATFORM))
/* Section 6: device features are 0 to 23 and 50 to 63. */
#define DEVICE_FEATURES (0x0000000000ffffffull | 0xfffc000000000000ull)

struct fs_config {
	uint8_t tag[VHOST_USER_TAG_MAX];
	uint32_t num_request_queues;
};

struct vhost_user {
	struct virtio_device device;
	struct virtio_device_ops ops; /* this device's own: queues and name differ */
	uint16_t queue_max[VIRTIO_DEVICE_MAX_QUEUES + 1];
	const struct vhost_user_kind *kind;
	char *socket;
	int (*connect)(void *owner); /* NULL: to the socket's path */
	void *owner;
	struct vhost_session session;
	atomic_bool is_connected; /* for other threads */
	uint8_t config[VHOST_USER_MAX_CONFIG];
	uint64_t own_features; /* offered to the driver and unknown to the backend */

	int error_fd; /* the backend writes it when the guest broke a ring */
	struct loop_fd session_watch, backend_watch, error_watch; /* ready NULL: not watched */
	struct virtio_queue_fds fds[VIRTIO_DEVICE_MAX_QUEUES];
	struct virtq_setup setups[VIRTIO_DEVICE_MAX_QUEUES]; /* size 0: not to be started */
	bool running[VIRTIO_DEVICE_MAX_QUEUES];		     /* the backend has the ring */
	bool up;					     /* between start and reset */
	bool maps; /* as up, but from the start's first word on */
	bool imports; /* its driver may look for what other devices share */
	struct loop_task
		changed_task; /* its config space changed, or it shares something, while we talked about something else */
	bool changed_posted;
};

static struct vhost_user *vhost_user_from_device(struct virtio_device *d)
{
	return (struct vhost_user *)d;
}

/* ---- the connection and the loop ---- */

static int watch(struct vhost_user *v, struct loop_fd *f, int fd, void (*ready)(struct loop_fd *f, uint32_t events))
{
	int err;

	if (fd < 0 || f->ready)
		return 0;
	*f = (struct loop_fd){.fd = fd, .ready = ready, .owner = v};
	err = loop_add_fd(v->device.loop, f, EPOLLIN);
	if (err)
		f->ready = NULL;
	return err;
}

static void unwatch(struct vhost_user *v, struct loop_fd *f)
{
	if (f->ready)
		loop_remove_fd(v->device.loop, f);
	f->ready = NULL;
}

/* Every call of the session may have closed it: its descriptors are watched only between calls. */
static void session_begin(struct vhost_user *v)
{
	unwatch(v, &v->session_watch);
	unwatch(v, &v->backend_watch);
	vhost_session_allow(&v->session);
}

/*
 * It wants something in its shared memory. Between a reset and the next start nothing is: what it asked for before comes
 * too late.
 */
static int map(void *owner, uint32_t request, struct virtio_shmem_request *r)
{
	struct vhost_user *v = owner;

	if (!v->maps)
		return -EOPNOTSUPP;
	return request == VHOST_USER_BACKEND_SHMEM_MAP ? virtio_shmem_map(&v->device, r)
						       : virtio_shmem_unmap(&v->device, r);
}

static void session_ready(struct loop_fd *f, uint32_t events);
static void backend_ready(struct loop_fd *f, uint32_t events);

/* @err as the session's calls returned it: not 0 means that the backend is lost. */
static int session_end(struct vhost_user *v, int err)
{
	if (!err)
		err = watch(v, &v->session_watch, v->session.fd, session_ready);
	if (!err)
		err = watch(v, &v->backend_watch, v->session.backend_fd, backend_ready);
	if (!err && (v->session.changed || v->session.announced_count) && !v->changed_posted) {
		loop_post(v->device.loop, &v->changed_task);
		v->changed_posted = true;
	}
	atomic_store(&v->is_connected, !err && v->session.fd >= 0);
	if (!err)
		return 0;
	if (v->session.fd >= 0) {
		unwatch(v, &v->session_watch);
		vhost_session_close(&v->session);
		snprintf(v->session.why, sizeof(v->session.why), "its socket can't be watched: %s", strerror(-err));
	}
	return err;
}

/* Whether the driver said that buffers may be other devices' (feature bit of virtio-video's). */
static void begin_importing(struct vhost_user *v)
{
	if (!v->session.objects || (v->kind->id != VIRTIO_ID_VIDEO_DECODER && v->kind->id != VIRTIO_ID_VIDEO_ENCODER) ||
	    !virtio_device_has(&v->device, VIRTIO_VIDEO_F_RESOURCE_VIRTIO_OBJECT) || v->imports)
		return;
	shared_objects_join(v->session.objects);
	v->imports = true;
}

static void stop_importing(struct vhost_user *v)
{
	if (v->imports)
		shared_objects_leave(v->session.objects);
	v->imports = false;
}

static void lost(struct vhost_user *v)
{
	char why[400];

	snprintf(why, sizeof(why), "%s: %s", v->socket, v->session.why);
	memset(v->running, 0, sizeof(v->running));
	v->up = v->maps = false;
	stop_importing(v);
	virtio_device_break(&v->device, why);
}

static void session_ready(struct loop_fd *f, uint32_t events)
{
	struct vhost_user *v = f->owner;

	(void)events;
	session_begin(v);
	if (session_end(v, vhost_session_unasked(&v->session)))
		lost(v);
}

static int read_config(struct vhost_user *v)
{
	if (v->kind->own_config || !v->kind->config_bytes)
		return 0;
	return vhost_session_get_config(&v->session, v->config, v->kind->config_bytes);
}

/* What of the config space is ours to say although the backend has one. */
static void adapt_config(struct vhost_user *v)
{
	if (v->kind->id == VIRTIO_ID_BLOCK) {
		uint16_t queues = (uint16_t)v->device.queue_count;

		memcpy(v->config + offsetof(struct virtio_blk_config, num_queues), &queues, sizeof(queues));
	}
}

/* Serve the backend: one request, if one is there, and what it announced before. */
static void serve(struct vhost_user *v)
{
	bool changed;
	int err;

	session_begin(v);
	err = vhost_session_asked(&v->session, &changed);
	for (unsigned n = v->session.announced_count; n > 0 && !err && v->session.announced_count; n--)
		err = vhost_session_take_object(&v->session);
	if (!err && changed)
		err = read_config(v);
	if (session_end(v, err)) {
		lost(v);
	} else if (changed) {
		adapt_config(v);
		virtio_device_config_changed(&v->device);
	}
}

static void backend_ready(struct loop_fd *f, uint32_t events)
{
	(void)events;
	serve(f->owner);
}

static void changed_meanwhile(struct loop_task *t)
{
	struct vhost_user *v = t->owner;

	v->changed_posted = false;
	if (v->session.fd >= 0)
		serve(v);
}

static void error_ready(struct loop_fd *f, uint32_t events)
{
	struct vhost_user *v = f->owner;

	(void)events;
	if (event_take(f->fd) && v->up)
		virtio_device_break(&v->device, "its process reports a broken ring");
}

static int vhost_user_attach(struct virtio_device *d, const struct virtio_queue_fds *fds)
{
	struct vhost_user *v = vhost_user_from_device(d);
	int err;

	if (!fds) {
		unwatch(v, &v->session_watch);
		unwatch(v, &v->backend_watch);
		unwatch(v, &v->error_watch);
		return 0;
	}
	memcpy(v->fds, fds, d->queue_count * sizeof(*fds));
	err = watch(v, &v->error_watch, v->error_fd, error_ready);
	return err ? err : session_end(v, 0);
}

/* ---- queues ---- */

static bool area_is_good(const struct vhost_user *v, uint64_t gpa, uint64_t bytes, uint64_t align)
{
	return gpa % align == 0 && guest_mem_range(v->device.mem, gpa, bytes);
}

static bool setup_is_good(const struct vhost_user *v, const struct virtq_setup *s)
{
	bool packed = virtio_device_has(&v->device, VIRTIO_F_RING_PACKED);
	uint64_t n = s->size;

	if (!n || n > v->kind->queue_size || (!packed && n & (n - 1)) || !area_is_good(v, s->desc_gpa, 16 * n, 16))
		return false;
	if (packed)
		return area_is_good(v, s->driver_gpa, 4, 4) && area_is_good(v, s->device_gpa, 4, 4);
	return area_is_good(v, s->driver_gpa, 6 + 2 * n, 2) && area_is_good(v, s->device_gpa, 6 + 8 * n, 4);
}

/* Between session_begin() and session_end(). */
static int hand_over(struct vhost_user *v, unsigned q)
{
	struct vhost_ring ring = {
		.index = q,
		.setup = &v->setups[q],
		.packed = virtio_device_has(&v->device, VIRTIO_F_RING_PACKED),
		.kick = v->fds[q].doorbell,
		.call = v->fds[q].call,
		.error = v->error_fd,
	};
	int err = vhost_session_start_ring(&v->session, v->device.mem, &ring);

	v->running[q] = !err;
	return err;
}

static int vhost_user_start_queue(struct virtio_device *d, unsigned q, const struct virtq_setup *setup)
{
	struct vhost_user *v = vhost_user_from_device(d);

	if (!setup_is_good(v, setup))
		return -EINVAL;
	v->setups[q] = *setup;
	if (!v->up || v->running[q])
		return 0;
	session_begin(v);
	if (session_end(v, hand_over(v, q)))
		lost(v);
	return 0;
}

static void vhost_user_stop_queue(struct virtio_device *d, unsigned q)
{
	struct vhost_user *v = vhost_user_from_device(d);

	v->setups[q].size = 0;
	if (!v->running[q])
		return;
	v->running[q] = false;
	session_begin(v);
	if (session_end(v, vhost_session_stop_ring(&v->session, q)))
		lost(v);
}

static int open_session(struct vhost_user *v, uint64_t patience_ns)
{
	int err = v->connect ? vhost_session_open_fd(&v->session, v->connect(v->owner))
			     : vhost_session_open(&v->session, v->socket, patience_ns);

	v->session.map = map;
	v->session.owner = v;
	if (!err && vhost_session_can(&v->session, VHOST_USER_PROTOCOL_F_SHMEM))
		err = vhost_session_get_shmem(&v->session);
	return err;
}

static uint64_t offer_of(const struct vhost_user *v)
{
	return ((v->session.features & (RING_FEATURES | (DEVICE_FEATURES & ~v->kind->hidden))) | v->own_features);
}

/* Again after it was lost. The driver has accepted what the one before had: this one must have it too. */
static int reconnect(struct vhost_user *v)
{
	uint64_t missing;
	int err = open_session(v, 0);

	if (!err)
		err = read_config(v);
	missing = v->device.negotiated & ~offer_of(v);
	if (!err && (v->session.shmem.id != v->device.shmem.id ||
		     v->session.shmem.size_bytes != v->device.shmem.size_bytes)) {
		vhost_session_close(&v->session);
		snprintf(v->session.why, sizeof(v->session.why),
			 "it was started again with another shared memory region: restart the guest");
		return -ENOTSUP;
	}
	if (!err && missing) {
		vhost_session_close(&v->session);
		snprintf(v->session.why, sizeof(v->session.why),
			 "it was started again without features 0x%llx that the guest uses: restart the guest",
			 (unsigned long long)missing);
		return -ENOTSUP;
	}
	if (!err)
		adapt_config(v);
	return err;
}

static int vhost_user_start(struct virtio_device *d)
{
	struct vhost_user *v = vhost_user_from_device(d);
	bool again = v->session.fd < 0;
	int err;

	v->maps = true;
	begin_importing(v);
	/* What was reported before the reset is over with it. */
	(void)event_take(v->error_fd);
	session_begin(v);
	err = again ? reconnect(v) : 0;
	if (!err)
		err = vhost_session_set_features(&v->session, d->negotiated & v->session.features);
	if (!err)
		err = vhost_session_set_memory(&v->session, d->mem);
	for (unsigned q = 0; q < d->queue_count && !err; q++) {
		if (v->setups[q].size)
			err = hand_over(v, q);
	}
	if (session_end(v, err)) {
		lost(v);
		return 0; /* the device said why when it broke */
	}
	v->up = true;
	if (again)
		log_line(LOG_TOPIC_VHOST, LOG_INFO, "%s: %s: connected again", v->ops.name, v->socket);
	return 0;
}

/* A doorbell that came as an exit, and one for each queue at the start: some drivers fill it before. */
static void vhost_user_kick(struct virtio_device *d, unsigned q)
{
	struct vhost_user *v = vhost_user_from_device(d);
	int err = v->running[q] ? event_ring(v->fds[q].doorbell) : 0;

	if (err)
		log_line(LOG_TOPIC_VHOST, LOG_DEBUG, "%s: queue %u: doorbell: %s", v->ops.name, q, strerror(-err));
}

/* The class stopped the queues before. */
static void vhost_user_reset(struct virtio_device *d)
{
	struct vhost_user *v = vhost_user_from_device(d);

	v->up = v->maps = false;
	stop_importing(v);
	/* It takes back its objects itself, but maybe not before the next start. */
	if (v->session.objects)
		shared_objects_drop(v->session.objects, &v->session);
}

static int vhost_user_config_access(struct virtio_device *d, uint32_t off, void *buf, size_t n, bool write)
{
	struct vhost_user *v = vhost_user_from_device(d);
	int err;

	if (!write) {
		memcpy(buf, v->config + off, n);
		return 0;
	}
	if (v->kind->own_config || v->session.fd < 0)
		return -EINVAL;
	session_begin(v);
	err = vhost_session_set_config(&v->session, off, buf, (uint32_t)n);
	/* What one field says may depend on another. */
	if (!err)
		err = read_config(v);
	if (session_end(v, err))
		lost(v);
	else
		adapt_config(v);
	return 0;
}

static void vhost_user_destroy(struct virtio_device *d)
{
	struct vhost_user *v = vhost_user_from_device(d);

	vhost_user_attach(d, NULL);
	stop_importing(v);
	if (v->changed_posted)
		loop_unpost(d->loop, &v->changed_task);
	vhost_session_close(&v->session);
	virtio_device_finish(d);
	if (v->error_fd >= 0)
		close(v->error_fd);
	free(v->socket);
	free(v);
}

static const struct virtio_outside_ops outside_ops = {
	.attach = vhost_user_attach,
	.start_queue = vhost_user_start_queue,
	.stop_queue = vhost_user_stop_queue,
};

/* ---- making one ---- */

static int count_queues(struct vhost_user *v, unsigned asked)
{
	const struct vhost_user_kind *k = v->kind;
	unsigned count = k->fixed_queues + (k->request_queues ? (asked ? asked : 1) : 0);

	assert(count >= 1 && count <= VIRTIO_DEVICE_MAX_QUEUES);
	if (v->session.queue_limit && count > v->session.queue_limit) {
		log_line(LOG_TOPIC_VHOST, LOG_ERROR,
			 "%s: %s: it serves %u queues, and %u are needed: give fewer with queues=, or start it with more",
			 k->device_name, v->socket, v->session.queue_limit, count);
		return -EINVAL;
	}
	for (unsigned i = 0; i < count; i++)
		v->queue_max[i] = k->queue_size;
	return 0;
}

static int check_backend(struct vhost_user *v)
{
	const struct vhost_user_kind *k = v->kind;

	if (!(v->session.features & VIRTIO_BIT(VIRTIO_F_VERSION_1))) {
		log_line(LOG_TOPIC_VHOST, LOG_ERROR, "%s: %s: it is older than virtio 1.0: use a newer one",
			 k->device_name, v->socket);
		return -ENOTSUP;
	}
	if (k->config_bytes && !k->own_config && !vhost_session_can(&v->session, VHOST_USER_PROTOCOL_F_CONFIG)) {
		log_line(LOG_TOPIC_VHOST, LOG_ERROR,
			 "%s: %s: it can't tell its config space (no CONFIG protocol feature): use a newer one, or is "
			 "it another kind of device?",
			 k->device_name, v->socket);
		return -ENOTSUP;
	}
	return 0;
}

static void fill_config(struct vhost_user *v, const struct vhost_user_setup *c)
{
	if (v->kind->has_tag) {
		struct fs_config fs = {.num_request_queues = c->queues ? c->queues : 1};

		memcpy(fs.tag, c->tag, strlen(c->tag));
		memcpy(v->config, &fs, sizeof(fs));
	}
	if (v->kind->has_mac) {
		uint8_t mac[6] = {0};

		if (c->mac)
			memcpy(mac, c->mac, sizeof(mac));
		else if (getrandom(mac, sizeof(mac), GRND_NONBLOCK) != (ssize_t)sizeof(mac))
			mac[5] = (uint8_t)loop_now_ns();
		if (!c->mac)
			mac[0] = (uint8_t)((mac[0] & 0xfc) | 2); /* locally administered, for one station */
		memcpy(v->config + offsetof(struct virtio_net_config, mac), mac, sizeof(mac));
		v->own_features = VIRTIO_BIT(VIRTIO_NET_F_MAC);
	}
	if (v->kind->id == VIRTIO_ID_BLOCK && c->queues > 1)
		v->own_features = VIRTIO_BIT(VIRTIO_BLK_F_MQ);
}

int vhost_user_create(const struct vhost_user_setup *config, struct loop *loop, const struct guest_mem *mem,
		      struct virtio_device **out)
{
	struct vhost_user *v = calloc(1, sizeof(*v));
	const struct vhost_user_kind *k = config->kind;
	int err = -ENOMEM;

	if (!v)
		return -ENOMEM;
	v->kind = k;
	v->session = VHOST_SESSION_CLOSED;
	v->session.objects = config->objects;
	v->error_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	v->socket = strdup(config->socket);
	if (!v->socket || v->error_fd < 0)
		goto fail;
	v->changed_task = (struct loop_task){.run = changed_meanwhile, .owner = v};
	v->connect = config->connect;
	v->owner = config->owner;
	err = open_session(v, VHOST_SESSION_PATIENCE_NS);
	if (err)
		goto lost;
	err = check_backend(v);
	if (!err)
		err = count_queues(v, config->queues);
	if (err)
		goto fail;
	fill_config(v, config);
	err = read_config(v);
	if (err)
		goto lost;
	v->ops = (struct virtio_device_ops){
		.name = k->device_name,
		.id = k->id,
		.queue_max = v->queue_max,
		.config_bytes = k->config_bytes,
		.start = vhost_user_start,
		.kick = vhost_user_kick,
		.reset = vhost_user_reset,
		.config = vhost_user_config_access,
		.destroy = vhost_user_destroy,
		.outside = &outside_ops,
	};
	err = virtio_device_init(&v->device, &v->ops, offer_of(v), loop, mem);
	if (err)
		goto fail;
	if (v->session.shmem.size_bytes)
		virtio_device_set_shmem(&v->device, v->session.shmem.id, v->session.shmem.size_bytes);
	adapt_config(v);
	atomic_store(&v->is_connected, true);
	*out = &v->device;
	return 0;
lost:
	/* A program of ours that ends at once has said why. */
	log_line(LOG_TOPIC_VHOST, config->connect && err == -EPIPE ? LOG_DEBUG : LOG_ERROR, "%s: %s: %s", k->device_name, v->socket, v->session.why);
fail:
	vhost_session_close(&v->session);
	if (v->error_fd >= 0)
		close(v->error_fd);
	free(v->socket);
	free(v);
	return err;
}

const char *vhost_user_socket(const struct virtio_device *d, bool *is_connected)
{
	const struct vhost_user *v = (const struct vhost_user *)d;

	*is_connected = atomic_load(&v->is_connected);
	return v->socket;
}
