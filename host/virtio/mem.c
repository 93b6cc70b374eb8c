// SPDX-License-Identifier: MIT
#include "host/virtio/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct guest_mem {
	unsigned count;
	unsigned capacity;
	struct guest_mem_region *regions; /* by address; they don't overlap */
};

int guest_mem_create(struct guest_mem **out)
{
	*out = calloc(1, sizeof(**out));
	return *out ? 0 : -ENOMEM;
}

void guest_mem_destroy(struct guest_mem *m)
{
	if (!m)
		return;
	free(m->regions);
	free(m);
}

/* How many regions begin at or below @gpa. */
static unsigned count_below(const struct guest_mem *m, uint64_t gpa)
{
	unsigned low = 0;
	unsigned high = m->count;

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (m->regions[middle].gpa <= gpa)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int guest_mem_add(struct guest_mem *m, const struct guest_mem_region *region)
{
	uint64_t last;
	unsigned at;

	if (!region->size_bytes || !region->host)
		return -EINVAL;
	last = region->gpa + (region->size_bytes - 1);
	if (last < region->gpa || (uintptr_t)region->host + (region->size_bytes - 1) < (uintptr_t)region->host)
		return -EINVAL;
	at = count_below(m, region->gpa);
	if (at > 0 && region->gpa - m->regions[at - 1].gpa < m->regions[at - 1].size_bytes)
		return -EEXIST;
	if (at < m->count && last >= m->regions[at].gpa)
		return -EEXIST;
	if (m->count == GUEST_MEM_MAX_REGIONS)
		return -ENOSPC;
	if (m->count == m->capacity) {
		unsigned capacity = m->capacity ? 2 * m->capacity : 4;
		struct guest_mem_region *grown = realloc(m->regions, capacity * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		m->regions = grown;
		m->capacity = capacity;
	}
	memmove(&m->regions[at + 1], &m->regions[at], (m->count - at) * sizeof(*m->regions));
	m->regions[at] = *region;
	m->count++;
	return 0;
}

void guest_mem_swap(struct guest_mem *a, struct guest_mem *b)
{
	const struct guest_mem old = *a;

	*a = *b;
	*b = old;
}

void guest_mem_clear(struct guest_mem *m)
{
	m->count = 0;
}

const struct guest_mem_region *guest_mem_next(const struct guest_mem *m, uint64_t gpa)
{
	for (unsigned i = 0; i < m->count; i++)
		if (m->regions[i].gpa >= gpa)
			return &m->regions[i];
	return NULL;
}

const struct guest_mem_region *guest_mem_find(const struct guest_mem *m, uint64_t gpa)
{
	unsigned n = count_below(m, gpa);
	const struct guest_mem_region *r;

	if (!n)
		return NULL;
	r = &m->regions[n - 1];
	return gpa - r->gpa < r->size_bytes ? r : NULL;
}

void *guest_mem_range(const struct guest_mem *m, uint64_t gpa, uint64_t size_bytes)
{
	const struct guest_mem_region *r = guest_mem_find(m, gpa);

	if (!r || !size_bytes || size_bytes > r->size_bytes - (gpa - r->gpa))
		return NULL;
	return r->host + (gpa - r->gpa);
}

bool guest_mem_address(const struct guest_mem *m, const void *host, uint64_t *gpa, uint64_t *left)
{
	const uintptr_t at = (uintptr_t)host;

	for (unsigned i = 0; i < m->count; i++) {
		const struct guest_mem_region *r = &m->regions[i];

		if (at - (uintptr_t)r->host < r->size_bytes) {
			*gpa = r->gpa + (at - (uintptr_t)r->host);
			*left = r->size_bytes - (at - (uintptr_t)r->host);
			return true;
		}
	}
	return false;
}

int guest_mem_ranges(const struct guest_mem *m, const struct iovec *pieces, unsigned count,
		     struct guest_mem_range *ranges, unsigned most)
{
	unsigned found = 0;

	for (unsigned i = 0; i < count; i++) {
		const char *at = pieces[i].iov_base;
		uint64_t bytes = pieces[i].iov_len, left;

		for (; bytes > 0; found++) {
			if (found == most)
				return -E2BIG;
			if (!guest_mem_address(m, at, &ranges[found].gpa, &left))
				return -EFAULT;
			ranges[found].bytes = left < bytes ? left : bytes;
			bytes -= ranges[found].bytes;
			at += ranges[found].bytes;
		}
	}
	return (int)found;
}
