// SPDX-License-Identifier: MIT
#include "host/gpu/resource.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define BUCKETS 1024u

const struct gpu_limits gpu_limits_default = {
	.resources = 16384,
	.resource_bytes = 2ull << 30,
	.contexts = 1024,
	.backing_entries = 262144, /* 1 GiB in single pages */
	.command_bytes = 4u << 20, /* Mesa sends 256 KiB at most */
	.pending = 4096,
	.journal_bytes = 64u << 20,
};

struct gpu_resource_table {
	struct gpu_limits limits;
	unsigned count;
	uint64_t bytes; /* of resources, and what was charged besides; never above limits.resource_bytes */
	struct gpu_resource *buckets[BUCKETS];
};

int gpu_resource_table_create(const struct gpu_limits *limits, struct gpu_resource_table **out)
{
	struct gpu_resource_table *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->limits = *limits;
	*out = t;
	return 0;
}

void gpu_resource_table_destroy(struct gpu_resource_table *t)
{
	if (!t)
		return;
	assert(t->count == 0);
	free(t);
}

int gpu_resource_charge(struct gpu_resource_table *t, uint64_t bytes)
{
	if (bytes > t->limits.resource_bytes - t->bytes)
		return -ENOSPC;
	t->bytes += bytes;
	return 0;
}

void gpu_resource_uncharge(struct gpu_resource_table *t, uint64_t bytes)
{
	assert(bytes <= t->bytes);
	t->bytes -= bytes;
}

int gpu_resource_set_backing(struct gpu_resource_table *t, struct gpu_resource *res, struct iovec *pieces,
			     unsigned count, size_t bytes)
{
	struct iovec *shrunk;
	int err;

	assert(!res->backing);
	err = gpu_resource_charge(t, count * sizeof(*pieces));
	if (err < 0)
		return err;
	shrunk = count ? realloc(pieces, count * sizeof(*pieces)) : NULL;
	res->backing = shrunk ? shrunk : pieces;
	res->backing_count = count;
	res->backing_bytes = bytes;
	res->backing_charged = count * sizeof(*pieces);
	return 0;
}

void gpu_resource_drop_backing(struct gpu_resource_table *t, struct gpu_resource *res)
{
	free(res->backing);
	gpu_resource_uncharge(t, res->backing_charged);
	res->backing = NULL;
	res->backing_count = 0;
	res->backing_bytes = 0;
	res->backing_charged = 0;
}

int gpu_resource_add(struct gpu_resource_table *t, uint32_t id, uint64_t bytes, struct gpu_resource **out)
{
	struct gpu_resource *res;
	int err;

	if (id == 0)
		return -EINVAL;
	if (gpu_resource_find(t, id))
		return -EEXIST;
	if (t->count >= t->limits.resources)
		return -ENOSPC;
	err = gpu_resource_charge(t, bytes);
	if (err < 0)
		return err;
	res = calloc(1, sizeof(*res));
	if (!res) {
		gpu_resource_uncharge(t, bytes);
		return -ENOMEM;
	}
	res->id = id;
	res->size_bytes = bytes;
	res->charged_bytes = bytes;
	res->next = t->buckets[id % BUCKETS];
	t->buckets[id % BUCKETS] = res;
	t->count++;
	*out = res;
	return 0;
}

struct gpu_resource *gpu_resource_find(const struct gpu_resource_table *t, uint32_t id)
{
	struct gpu_resource *res = t->buckets[id % BUCKETS];

	while (res && res->id != id)
		res = res->next;
	return res;
}

void gpu_resource_remove(struct gpu_resource_table *t, struct gpu_resource *res)
{
	struct gpu_resource **link = &t->buckets[res->id % BUCKETS];

	while (*link && *link != res)
		link = &(*link)->next;
	assert(*link);
	*link = res->next;
	t->count--;
	gpu_resource_uncharge(t, res->charged_bytes);
	gpu_resource_drop_backing(t, res);
	free(res->levels);
	free(res);
}

struct gpu_resource *gpu_resource_first(const struct gpu_resource_table *t)
{
	for (unsigned i = 0; i < BUCKETS; i++) {
		if (t->buckets[i])
			return t->buckets[i];
	}
	return NULL;
}

unsigned gpu_resource_count(const struct gpu_resource_table *t)
{
	return t->count;
}

uint64_t gpu_resource_bytes(const struct gpu_resource_table *t)
{
	return t->bytes;
}
