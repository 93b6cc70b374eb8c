// SPDX-License-Identifier: MIT
#include <stdbool.h>
#include <stdint.h>

#include "guest-drivers/bare/alloc.h"
#include "guest-drivers/bare/platform.h"
#include "guest-drivers/bare/string.h"

/*
 * Blocks lie end to end; each starts with this header and its payload follows. Alignment is met by leaving a free
 * block in front, so the header is always right below the pointer that was handed out.
 */
struct block {
	size_t bytes; /* header included */
	bool used;
	uint8_t pad[7];
};

#define ALIGN_LEAST 16u
#define SPLIT_LEAST 64u

static struct block *first;
static uintptr_t end;

static struct block *next_of(struct block *b)
{
	uintptr_t at = (uintptr_t)b + b->bytes;

	return at < end ? (struct block *)at : NULL;
}

void alloc_init(void *base, size_t bytes)
{
	uintptr_t from = ((uintptr_t)base + ALIGN_LEAST - 1) & ~(uintptr_t)(ALIGN_LEAST - 1);

	end = ((uintptr_t)base + bytes) & ~(uintptr_t)(ALIGN_LEAST - 1);
	first = (struct block *)from;
	*first = (struct block){.bytes = end - from};
}

/* Cut @b after @bytes when what is left over is worth a block. */
static void split(struct block *b, size_t bytes)
{
	struct block *rest;

	if (b->bytes - bytes < SPLIT_LEAST)
		return;
	rest = (struct block *)((uintptr_t)b + bytes);
	*rest = (struct block){.bytes = b->bytes - bytes};
	b->bytes = bytes;
}

static void join_following(struct block *b)
{
	struct block *n;

	while ((n = next_of(b)) && !n->used)
		b->bytes += n->bytes;
}

void *alloc(size_t bytes, size_t align)
{
	if (align < ALIGN_LEAST)
		align = ALIGN_LEAST;
	if (bytes > end)
		return NULL;
	bytes = bytes < SPLIT_LEAST ? SPLIT_LEAST : (bytes + ALIGN_LEAST - 1) & ~(size_t)(ALIGN_LEAST - 1);

	for (struct block *b = first; b; b = next_of(b)) {
		uintptr_t start = (uintptr_t)b, payload;

		if (b->used)
			continue;
		join_following(b);
		payload = (start + sizeof(*b) + align - 1) & ~(uintptr_t)(align - 1);
		/* The header goes right below the payload; what lies before it stays a free block of its own. */
		if (payload - sizeof(*b) != start && payload - sizeof(*b) - start < SPLIT_LEAST)
			payload += (SPLIT_LEAST + align - 1) & ~(uintptr_t)(align - 1);
		if (payload < start || payload + bytes < payload || payload + bytes > start + b->bytes)
			continue;
		if (payload - sizeof(*b) != start) {
			split(b, payload - sizeof(*b) - start);
			b = next_of(b);
		}
		split(b, bytes + sizeof(*b));
		b->used = true;
		return (void *)payload;
	}
	return NULL;
}

void *alloc_zeroed(size_t bytes, size_t align)
{
	void *p = alloc(bytes, align);

	return p ? memset(p, 0, bytes) : NULL;
}

void alloc_free(void *p)
{
	struct block *b;

	if (!p)
		return;
	b = (struct block *)((uintptr_t)p - sizeof(*b));
	if ((uintptr_t)p < (uintptr_t)first || (uintptr_t)p >= end || !b->used)
		panic("alloc: %p is freed but was not allocated, or was freed before", p);
	b->used = false;
	join_following(b);
}

size_t alloc_left(void)
{
	size_t n = 0;

	for (struct block *b = first; b; b = next_of(b)) {
		if (b->used)
			continue;
		join_following(b);
		n += b->bytes - sizeof(*b);
	}
	return n;
}
