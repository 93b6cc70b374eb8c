/* SPDX-License-Identifier: MIT */
/*
 * Small arm64 kernels, device trees and overlays that boot.c accepts, for tests to start from and to break.
 */
#ifndef MULLION_TESTS_LIB_ARM64_IMAGES_H
#define MULLION_TESTS_LIB_ARM64_IMAGES_H

#include <libfdt.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

/* Linux's Documentation/arch/arm64/booting.rst, section 4 */
struct arm64_image {
	uint32_t code[2];
	uint64_t text_offset, image_size, flags, reserved[3];
	char magic[4];
	uint32_t pe;
	uint8_t bytes[448];
};

static inline struct arm64_image arm64_image_make(void)
{
	struct arm64_image i = {
		.code = {0xfa405a4d, 0x1474903b},
		.image_size = 0x10000,
		.flags = 0xa, /* little-endian, 4 KiB pages, anywhere */
		.magic = "ARM\x64",
	};

	memset(i.bytes, 0x5c, sizeof(i.bytes));
	return i;
}

/* Packed, behind a zboot header if @zboot says which packer that names. Returns the size; @room is enough. */
static inline size_t arm64_image_pack(const struct arm64_image *i, int zstd, const char *zboot, uint8_t *to, size_t room)
{
	size_t head = zboot ? 64 : 0, n;
	uint32_t word;

	if (zstd) {
		n = ZSTD_compress(to + head, room - head, i, sizeof(*i), 1);
	} else {
		z_stream z = {.next_in = (Bytef *)(uintptr_t)i, .avail_in = sizeof(*i)};

		if (deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
			abort();
		z.next_out = to + head;
		z.avail_out = (uInt)(room - head);
		if (deflate(&z, Z_FINISH) != Z_STREAM_END)
			abort();
		n = z.total_out;
		deflateEnd(&z);
	}
	if (!zboot)
		return n;
	memset(to, 0, head);
	memcpy(to, "MZ\0\0zimg", 8);
	word = (uint32_t)head;
	memcpy(to + 8, &word, 4);
	word = (uint32_t)n;
	memcpy(to + 12, &word, 4);
	strncpy((char *)to + 24, zboot, 31);
	return head + n;
}

/* A 32-bit kernel of @bytes, of which the header is filled. */
static inline void zimage_make(uint8_t *to, uint32_t bytes)
{
	const uint32_t words[] = {0x016f2818, 0x1000, 0x1000 + bytes, 0x04030201};

	memset(to, 0x7a, bytes);
	memcpy(to + 0x24, words, sizeof(words));
}

static inline void arm64_text(void *to, const char *name, const char *value)
{
	fdt_property(to, name, value, (int)strlen(value) + 1);
}

/* What the user's own tree may look like: cells of @cells words, memory and initrd of another machine, a node of its own. */
static inline void tree_make(void *to, int room, unsigned cells)
{
	fdt_create(to, room);
	fdt_finish_reservemap(to);
	fdt_begin_node(to, "");
	fdt_property_u32(to, "#address-cells", cells);
	fdt_property_u32(to, "#size-cells", cells);
	arm64_text(to, "model", "the user's");
	fdt_begin_node(to, "memory@0");
	arm64_text(to, "device_type", "memory");
	fdt_property_u64(to, "reg", 0);
	fdt_end_node(to);
	fdt_begin_node(to, "chosen");
	arm64_text(to, "bootargs", "of the file");
	fdt_property_u32(to, "linux,initrd-start", 1);
	fdt_property_u32(to, "linux,initrd-end", 2);
	fdt_end_node(to);
	fdt_begin_node(to, "memory@80000000");
	arm64_text(to, "device_type", "memory");
	fdt_end_node(to);
	fdt_end_node(to);
	fdt_finish(to);
}

/* Adds the node "added" with @text below /: by its path, or below the node with @label. */
static inline void overlay_make(void *to, int room, const char *label, const char *text)
{
	fdt_create(to, room);
	fdt_finish_reservemap(to);
	fdt_begin_node(to, "");
	fdt_begin_node(to, "fragment@0");
	if (label)
		fdt_property_u32(to, "target", UINT32_MAX);
	else
		arm64_text(to, "target-path", "/");
	fdt_begin_node(to, "__overlay__");
	fdt_begin_node(to, "added");
	arm64_text(to, "text", text);
	fdt_end_node(to);
	fdt_end_node(to);
	fdt_end_node(to);
	if (label) {
		fdt_begin_node(to, "__fixups__");
		arm64_text(to, label, "/fragment@0:target:0");
		fdt_end_node(to);
	}
	fdt_end_node(to);
	fdt_finish(to);
}

#endif
