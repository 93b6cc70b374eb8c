// SPDX-License-Identifier: MIT
/* Linux's Documentation/arch/arm64/booting.rst, section 4; zboot: drivers/firmware/efi/libstub/zboot-header.S. */
#include "vmm/arm64/kernel.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "host/virtio/mem.h"
#include "vmm/arm64/layout.h"
#include "vmm/arm64/unpack.h"
#include "vmm/image.h"

#define MIB (1024ull * 1024)
#define ALIGNMENT 0x200000u
#define OLD_TEXT_OFFSET 0x80000u /* of kernels before 3.17, which don't tell their size either */
#define FLAG_PAGE_SIZE(flags) (((flags) >> 1) & 3)

struct header {
	uint32_t code[2];
	uint64_t text_offset, image_size, flags, reserved[3];
	char magic[4];
	uint32_t pe;
};

struct zboot_header {
	uint32_t mz;
	char magic[4];
	uint32_t payload_offset, payload_bytes, reserved[2];
	char packer[32];
};

static bool is_image(const void *head)
{
	return !memcmp((const char *)head + offsetof(struct header, magic), "ARM\x64", 4);
}

static bool is_zboot(const struct image_file *f)
{
	return !memcmp(f->head, "MZ", 2) && !memcmp(f->head + offsetof(struct zboot_header, magic), "zimg", 4);
}

bool kernel_is(const struct image_file *f)
{
	return is_image(f->head) || is_zboot(f) || packer_of(f->head);
}

/* The processor must have the pages that the kernel was built for; without them it stops without a word. */
static int check_pages(const struct image_file *f, uint64_t flags, uint64_t page_sizes)
{
	static const char *const names[] = {"", "4K", "16K", "64K"};
	unsigned four = (page_sizes >> 28) & 15, sixty_four = (page_sizes >> 24) & 15, sixteen = (page_sizes >> 20) & 15;
	unsigned size = FLAG_PAGE_SIZE(flags);
	bool missing = (size == 1 && four == 15) || (size == 2 && !sixteen) || (size == 3 && sixty_four == 15);

	if (!page_sizes || !missing)
		return 0;
	image_error(f, "kernel for %s pages, which this processor does not have: use another one", names[size]);
	return -ENOEXEC;
}

/* Where the kernel goes and how much it needs, out of a header that may say anything. */
static int read_header(const struct image_file *f, const void *head, uint64_t file_bytes, uint64_t page_sizes,
		       uint64_t *offset, struct image_loaded *out)
{
	struct header h;
	uint64_t bytes;

	memcpy(&h, head, sizeof(h));
	bytes = h.image_size;
	if (!bytes) {
		h.text_offset = OLD_TEXT_OFFSET;
		bytes = file_bytes;
	}
	if (h.text_offset >= ALIGNMENT || h.text_offset % 4096) {
		image_error(f, "broken kernel: text offset 0x%llx", (unsigned long long)h.text_offset);
		return -ENOEXEC;
	}
	if (bytes < file_bytes)
		bytes = file_bytes; /* what follows the image, a signature say, is loaded too */
	if (h.flags & 1) {
		image_error(f, "big-endian kernel: mullion's devices are little-endian; use a little-endian one");
		return -ENOEXEC;
	}
	*offset = h.text_offset;
	*out = (struct image_loaded){
		.entry = LAYOUT_KERNEL + h.text_offset,
		.end = LAYOUT_KERNEL + h.text_offset + bytes,
		.initrd_max = LAYOUT_LOW_RAM_END - 1,
		.cmdline_max = LAYOUT_CMDLINE_BYTES - 1,
	};
	if (out->end < bytes || out->end > LAYOUT_LOW_RAM_END) {
		image_error(f, "broken kernel: image size 0x%llx", (unsigned long long)bytes);
		return -ENOEXEC;
	}
	return check_pages(f, h.flags, page_sizes);
}

/* The end of the image must be RAM as well: its .bss. */
static int check_room(const struct image_file *f, const struct guest_mem *mem, const struct image_loaded *k)
{
	if (guest_mem_range(mem, k->entry, k->end - k->entry))
		return 0;
	image_error(f, "the kernel needs %llu MiB: more with --memory",
		    (unsigned long long)((k->end - LAYOUT_LOW_RAM) / MIB) + 1);
	return -ENOMEM;
}

static int load_plain(const struct image_file *f, const struct guest_mem *mem, uint64_t page_sizes,
		      struct image_loaded *out)
{
	uint64_t offset;
	int err;

	if (f->size_bytes < sizeof(struct header)) {
		image_error(f, "truncated kernel (%llu bytes)", (unsigned long long)f->size_bytes);
		return -ENOEXEC;
	}
	err = read_header(f, f->head, f->size_bytes, page_sizes, &offset, out);
	if (!err)
		err = check_room(f, mem, out);
	if (!err)
		err = image_file_read(f, 0, f->size_bytes, mem, out->entry);
	return err;
}

static int load_packed(const struct image_file *f, const struct packer *packer, uint64_t at, uint64_t bytes,
		       const struct guest_mem *mem, uint64_t page_sizes, struct image_loaded *out)
{
	const struct guest_mem_region *ram = guest_mem_find(mem, LAYOUT_KERNEL);
	uint64_t room = ram ? ram->gpa + ram->size_bytes - LAYOUT_KERNEL : 0;
	uint8_t *to = room ? guest_mem_range(mem, LAYOUT_KERNEL, room) : NULL;
	uint64_t offset;
	int64_t got = to ? unpack(packer, f, at, bytes, to, room) : -ENOMEM;
	int err;

	if (!to)
		image_error(f, "no room for a kernel: more with --memory");
	if (got < 0)
		return (int)got;
	if ((uint64_t)got < sizeof(struct header) || !is_image(to)) {
		image_error(f, "packed file, but what it holds is no arm64 kernel (an initrd goes with --initrd)");
		return -ENOEXEC;
	}
	err = read_header(f, to, (uint64_t)got, page_sizes, &offset, out);
	if (!err)
		err = check_room(f, mem, out);
	if (!err && offset)
		memmove(to + offset, to, (size_t)got);
	return err;
}

static int load_zboot(const struct image_file *f, const struct guest_mem *mem, uint64_t page_sizes,
		      struct image_loaded *out)
{
	const struct packer *packer;
	struct zboot_header h;

	memcpy(&h, f->head, sizeof(h));
	h.packer[sizeof(h.packer) - 1] = '\0';
	packer = packer_named(h.packer);
	if (!packer) {
		for (char *c = h.packer; *c; c++)
			if (*c < ' ' || *c > '~')
				*c = '?';
		image_error(f, "kernel packed by \"%s\": mullion unpacks gzip and zstd; give the unpacked Image", h.packer);
		return -ENOEXEC;
	}
	if (h.payload_offset > f->size_bytes || h.payload_bytes > f->size_bytes - h.payload_offset) {
		image_error(f, "truncated or broken kernel (%u packed bytes at %u of a file of %llu)", h.payload_bytes,
			    h.payload_offset, (unsigned long long)f->size_bytes);
		return -ENOEXEC;
	}
	return load_packed(f, packer, h.payload_offset, h.payload_bytes, mem, page_sizes, out);
}

int kernel_load(const struct image_file *f, const struct guest_mem *mem, uint64_t page_sizes, struct image_loaded *out)
{
	if (is_image(f->head))
		return load_plain(f, mem, page_sizes, out);
	if (is_zboot(f))
		return load_zboot(f, mem, page_sizes, out);
	return load_packed(f, packer_of(f->head), 0, f->size_bytes, mem, page_sizes, out);
}
