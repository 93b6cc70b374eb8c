// SPDX-License-Identifier: MIT
/* The fake guest's memory: two halves, blocks by powers of 2. */
#include <stdlib.h>
#include <string.h>

#include "tests/lib/fake_guest_parts.h"

static unsigned size_class(size_t bytes)
{
	unsigned c = 6;

	while (((size_t)1 << c) < bytes)
		c++;
	if (c >= SIZE_CLASSES)
		fake_guest_die("an allocation of %zu bytes", bytes);
	return c;
}

static uint64_t arena_alloc(struct fake_guest *g, struct arena *a, size_t bytes, size_t align)
{
	/* A block is aligned to its size, up to a page. */
	unsigned c = size_class(bytes > align ? bytes : align);
	uint64_t size = 1ull << c;
	uint64_t unit = size < PAGE ? size : PAGE;
	struct free_range *f = a->free[c];
	uint64_t gpa;

	if (align > PAGE)
		fake_guest_die("an alignment of %zu bytes; a page is the most", align);
	if (f) {
		a->free[c] = f->next;
		gpa = f->gpa;
		free(f);
	} else {
		gpa = (a->next + unit - 1) & ~(unit - 1);
		if (gpa + size > a->end)
			fake_guest_die("%zu bytes more than its memory has; give options.memory_bytes", bytes);
		a->next = gpa + size;
	}
	memset(fake_guest_ptr(g, gpa, bytes ? bytes : 1), 0, bytes);
	return gpa;
}

uint64_t fake_guest_alloc(struct fake_guest *g, size_t bytes, size_t align)
{
	return arena_alloc(g, &g->low, bytes, align);
}

uint64_t fake_guest_alloc_high(struct fake_guest *g, size_t bytes, size_t align)
{
	return arena_alloc(g, &g->high, bytes, align);
}

void fake_guest_reserve(struct fake_guest *g, size_t bytes)
{
	if (bytes > g->low.end - g->low.next)
		fake_guest_die("%zu bytes more than its memory has; give options.memory_bytes", bytes);
	g->low.next += bytes;
}

void fake_guest_free_aligned(struct fake_guest *g, uint64_t gpa, size_t bytes, size_t align)
{
	struct arena *a = gpa >= HIGH_GPA ? &g->high : &g->low;
	unsigned c = size_class(bytes > align ? bytes : align);
	struct free_range *f = fake_guest_must_alloc(1, sizeof(*f));

	f->gpa = gpa;
	f->next = a->free[c];
	a->free[c] = f;
}

void fake_guest_free(struct fake_guest *g, uint64_t gpa, size_t bytes)
{
	/* At worst a block goes back smaller than it was. */
	fake_guest_free_aligned(g, gpa, bytes, 1);
}

void *fake_guest_ptr(struct fake_guest *g, uint64_t gpa, size_t bytes)
{
	void *p = guest_mem_range(g->mem, gpa, bytes);

	if (!p)
		fake_guest_die("no memory at 0x%llx, %zu bytes", (unsigned long long)gpa, bytes);
	return p;
}

static void free_arena(struct arena *a)
{
	for (unsigned c = 0; c < SIZE_CLASSES; c++) {
		while (a->free[c]) {
			struct free_range *f = a->free[c];

			a->free[c] = f->next;
			free(f);
		}
	}
}

void fake_guest_free_arenas(struct fake_guest *g)
{
	free_arena(&g->low);
	free_arena(&g->high);
}
