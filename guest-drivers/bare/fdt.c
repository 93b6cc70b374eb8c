// SPDX-License-Identifier: MIT
#include <stddef.h>

#include "guest-drivers/bare/fdt.h"
#include "guest-drivers/bare/string.h"

#define FDT_MAGIC 0xd00dfeedu
#define FDT_BEGIN_NODE 1u
#define FDT_END_NODE 2u
#define FDT_PROP 3u
#define FDT_NOP 4u
#define MAX_DEPTH 8

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

bool fdt_is(const void *fdt)
{
	return fdt && (uintptr_t)fdt % 4 == 0 && be32(fdt) == FDT_MAGIC;
}

static uint32_t align4(uint32_t n)
{
	return (n + 3) & ~3u;
}

void fdt_walk(const void *fdt, bool (*found)(const struct fdt_property *p, void *arg), void *arg)
{
	const uint8_t *base = fdt;
	uint32_t total = be32(base + 4), structure = be32(base + 8), strings = be32(base + 12), at = structure,
		 nodes = 0;
	const char *names[MAX_DEPTH] = {""};
	uint32_t ids[MAX_DEPTH] = {0};
	unsigned depth = 0; /* of the next node */

	while (at + 4 <= total) {
		uint32_t token = be32(base + at);

		at += 4;
		if (token == FDT_BEGIN_NODE) {
			const char *name = (const char *)base + at;

			if (depth < MAX_DEPTH) {
				names[depth] = name;
				ids[depth] = ++nodes;
			}
			depth++;
			at += align4((uint32_t)strlen(name) + 1);
		} else if (token == FDT_END_NODE) {
			if (!depth)
				return;
			depth--;
		} else if (token == FDT_PROP) {
			struct fdt_property p = {.bytes = be32(base + at), .value = base + at + 8};

			if (!depth || at + 8 + p.bytes > total)
				return;
			p.name = (const char *)base + strings + be32(base + at + 4);
			at += 8 + align4(p.bytes);
			if (depth > MAX_DEPTH)
				continue;
			p.node = names[depth - 1];
			p.node_id = ids[depth - 1];
			p.depth = depth - 1;
			if (!found(&p, arg))
				return;
		} else if (token != FDT_NOP) {
			return; /* the end, or something unknown */
		}
	}
}

uint32_t fdt_u32(const struct fdt_property *p, unsigned index)
{
	return index < p->bytes / 4 ? be32(p->value + 4u * index) : 0;
}

uint64_t fdt_u64(const struct fdt_property *p, unsigned index)
{
	return (uint64_t)fdt_u32(p, 2 * index) << 32 | fdt_u32(p, 2 * index + 1);
}
