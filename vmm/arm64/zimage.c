// SPDX-License-Identifier: MIT
/* Linux's arch/arm/boot/compressed/head.S, and Documentation/arch/arm/booting.rst. */
#include "vmm/arm64/zimage.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "host/virtio/mem.h"
#include "vmm/arm64/layout.h"
#include "vmm/image.h"

#define MIB (1024ull * 1024)
#define MAGIC 0x016f2818u
#define LITTLE_ENDIAN_MARK 0x04030201u

struct header {
	uint32_t code[9];
	uint32_t magic, start, end, endian;
};

static struct header header_of(const struct image_file *f)
{
	struct header h;

	memcpy(&h, f->head, sizeof(h));
	return h;
}

bool zimage_is(const struct image_file *f)
{
	return header_of(f).magic == MAGIC;
}

int zimage_load(const struct image_file *f, const struct guest_mem *mem, struct image_loaded *out)
{
	struct header h = header_of(f);
	uint64_t bytes = f->size_bytes;

	if (h.endian != LITTLE_ENDIAN_MARK) {
		image_error(f, "big-endian or very old 32-bit kernel: mullion boots little-endian ones");
		return -ENOEXEC;
	}
	/* What follows the image, a device tree say, is loaded too. */
	if (h.end <= h.start || h.end - h.start > bytes) {
		image_error(f, "truncated or broken 32-bit kernel: %llu bytes of %u", (unsigned long long)bytes,
			    h.end - h.start);
		return -ENOEXEC;
	}
	if (bytes > LAYOUT_ZIMAGE_END - LAYOUT_ZIMAGE) {
		image_error(f, "32-bit kernel of %llu MiB: at most %llu MiB fit where it must be",
			    (unsigned long long)(bytes / MIB), (LAYOUT_ZIMAGE_END - LAYOUT_ZIMAGE) / MIB);
		return -ENOEXEC;
	}
	/* It unpacks itself below its end, and what goes with it follows. */
	if (!guest_mem_range(mem, LAYOUT_LOW_RAM, LAYOUT_INITRD32 - LAYOUT_LOW_RAM)) {
		image_error(f, "a 32-bit kernel needs %llu MiB: more with --memory",
			    (LAYOUT_INITRD32 - LAYOUT_LOW_RAM) / MIB);
		return -ENOMEM;
	}
	*out = (struct image_loaded){
		.entry = LAYOUT_ZIMAGE,
		.end = LAYOUT_INITRD32,
		.initrd_max = LAYOUT_INITRD32_END - 1,
		.cmdline_max = LAYOUT_CMDLINE32_BYTES - 1,
	};
	return image_file_read(f, 0, bytes, mem, LAYOUT_ZIMAGE);
}
