/* SPDX-License-Identifier: MIT */
/*
 * The guest's resources: ids, what they are, the guest pages behind them, and the limits on all of that.
 * Thread: the gpu loop.
 */
#ifndef MULLION_HOST_GPU_RESOURCE_H
#define MULLION_HOST_GPU_RESOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct gpu_host_blob;
struct gpu_level;
struct guest_mem;
struct virtio_object;

enum gpu_resource_kind {
	GPU_RESOURCE_2D,   /* RESOURCE_CREATE_2D */
	GPU_RESOURCE_3D,   /* RESOURCE_CREATE_3D */
	GPU_RESOURCE_BLOB, /* RESOURCE_CREATE_BLOB of plain memory; of an object of a context it is GPU_RESOURCE_3D */
};

/* RESOURCE_CREATE_3D's words (virtio 1.4, section 5.7.6.8; values are gallium's). 2D resources fill them in too. */
struct gpu_resource_shape {
	uint32_t target, format, bind;
	uint32_t width, height, depth;
	uint32_t array_size, last_level, nr_samples, flags;
};

struct gpu_resource {
	uint32_t id; /* the guest's, never 0 */
	enum gpu_resource_kind kind;
	struct gpu_resource_shape shape;
	uint32_t blob_mem, blob_flags; /* VIRTIO_GPU_BLOB_MEM_*, 0: RESOURCE_CREATE_BLOB did not make it */
	uint64_t blob_id, size_bytes; /* size_bytes: of a blob, or what the limit accounts for */
	/* Backing: whole ranges of guest memory, checked; owned by the resource. Of a host blob: its memory, one range. */
	struct iovec *backing;
	unsigned backing_count;
	size_t backing_bytes;
	struct gpu_host_blob *host; /* host_blob.c's: its memory is the host's; NULL: it is not */
	bool has_uuid;
	uint8_t uuid[16];
	struct virtio_object *object; /* what other devices see of it; NULL: not shared (export.h) */
	void *renderer; /* the renderer's own object, NULL if none */
	struct gpu_level *levels;  /* content.c's, from malloc(); NULL: none */
	uint64_t charged_bytes;    /* private to resource.c: what it counts against the limit */
	uint64_t backing_charged;  /* and the array of its backing */
	struct gpu_resource *next; /* private to resource.c */
};

struct gpu_limits {
	uint32_t resources;      /* how many */
	uint64_t resource_bytes; /* all together, on the host */
	uint32_t contexts;
	uint32_t backing_entries; /* of one resource */
	uint32_t command_bytes;   /* of one SUBMIT_3D */
	uint32_t pending;         /* fenced commands waiting */
	uint64_t journal_bytes;   /* the memory that a journal is given; live records fill 3/8 of it at most */
};

/* Generous to a desktop, small enough for a host: 16384 resources, 2 GiB, 1024 contexts, ... */
extern const struct gpu_limits gpu_limits_default;

struct gpu_resource_table;

int gpu_resource_table_create(const struct gpu_limits *limits, struct gpu_resource_table **out);
/* The table must be empty: see gpu_resource_first(). NULL is fine. */
void gpu_resource_table_destroy(struct gpu_resource_table *t);

/*
 * Enter a resource; *out is zeroed but for @id and @bytes. Returns 0, -EEXIST (id taken), -EINVAL (id 0),
 * -ENOSPC (a limit), -ENOMEM.
 */
int gpu_resource_add(struct gpu_resource_table *t, uint32_t id, uint64_t bytes, struct gpu_resource **out);
struct gpu_resource *gpu_resource_find(const struct gpu_resource_table *t, uint32_t id);
/* Take @res out and free it, backing array included. The renderer's object must be gone already. */
void gpu_resource_remove(struct gpu_resource_table *t, struct gpu_resource *res);
/* Any resource, or NULL when the table is empty: to empty it at reset. */
struct gpu_resource *gpu_resource_first(const struct gpu_resource_table *t);

/*
 * Give @res, which has none, the backing @pieces (from malloc(), taken over) of @bytes all together. The array counts
 * against limits.resource_bytes: a guest can list one page as often as it likes. Returns 0, or -ENOSPC and @pieces is
 * still the caller's.
 */
int gpu_resource_set_backing(struct gpu_resource_table *t, struct gpu_resource *res, struct iovec *pieces,
			     unsigned count, size_t bytes);
/* Undo it; no-op without one. */
void gpu_resource_drop_backing(struct gpu_resource_table *t, struct gpu_resource *res);

/*
 * Count other host memory that the guest caused (scanout frames) against limits.resource_bytes. Returns 0 or
 * -ENOSPC; what was charged is uncharged when the memory is freed.
 */
int gpu_resource_charge(struct gpu_resource_table *t, uint64_t bytes);
void gpu_resource_uncharge(struct gpu_resource_table *t, uint64_t bytes);

unsigned gpu_resource_count(const struct gpu_resource_table *t);
uint64_t gpu_resource_bytes(const struct gpu_resource_table *t);

#endif
