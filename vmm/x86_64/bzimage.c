// SPDX-License-Identifier: MIT
/* Linux's x86 boot protocol (Documentation/arch/x86/boot.rst), 64-bit entry. */
#include <asm/bootparam.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "host/virtio/mem.h"
#include "vmm/image.h"
#include "vmm/x86_64/bzimage.h"
#include "vmm/x86_64/layout.h"

#define BOOT_FLAG 0xaa55u
#define SECTOR 512u
#define PROTOCOL_XLOADFLAGS 0x020cu
#define ENTRY_64 0x200u /* of the protected-mode part */
#define HEADER_OFFSET offsetof(struct boot_params, hdr)
#define LOADER_UNDEFINED 0xff

static int check_header(const struct image_file *f, const struct setup_header *h)
{
	uint64_t setup_bytes = (uint64_t)((h->setup_sects ? h->setup_sects : 4) + 1) * SECTOR;
	uint64_t kernel_bytes = (uint64_t)h->syssize * 16;

	if (h->version < PROTOCOL_XLOADFLAGS) {
		image_error(f, "Linux kernel with boot protocol %u.%02u: mullion needs 2.12 (Linux 3.8) or later",
			    h->version >> 8, h->version & 0xff);
		return -ENOEXEC;
	}
	if (!(h->loadflags & LOADED_HIGH) || !(h->xloadflags & XLF_KERNEL_64)) {
		image_error(f, "32-bit Linux kernel: mullion boots 64-bit ones (amd64)");
		return -ENOEXEC;
	}
	/* A signature may follow; less than this is a broken download or copy. */
	if (kernel_bytes <= ENTRY_64 || f->size_bytes < setup_bytes || f->size_bytes - setup_bytes < kernel_bytes) {
		image_error(f, "truncated Linux kernel: %llu bytes of %llu; copy it again",
			    (unsigned long long)f->size_bytes, (unsigned long long)(setup_bytes + kernel_bytes));
		return -ENOEXEC;
	}
	if (h->pref_address < LAYOUT_KERNEL || h->pref_address % 4096 || h->init_size < kernel_bytes ||
	    h->pref_address >= LAYOUT_LOW_RAM_END) {
		image_error(f, "broken Linux kernel header (load address 0x%llx, needs 0x%x bytes)",
			    (unsigned long long)h->pref_address, h->init_size);
		return -ENOEXEC;
	}
	return 0;
}

int bzimage_load(const struct image_file *f, const struct guest_mem *mem, struct boot_params *params,
		 struct image_loaded *out)
{
	struct setup_header *h = &params->hdr;
	/* The byte after the jump opcode says where the header ends (2.02 and later). */
	size_t header_bytes = 0x202u + f->head[0x201] - HEADER_OFFSET;
	uint64_t setup_bytes;
	int err;

	if (header_bytes > sizeof(*h))
		header_bytes = sizeof(*h);
	memset(h, 0, sizeof(*h));
	memcpy(h, f->head + HEADER_OFFSET, header_bytes);
	err = check_header(f, h);
	if (err)
		return err;
	if (!guest_mem_range(mem, h->pref_address, h->init_size)) {
		image_error(f, "this kernel needs %llu MiB to unpack itself: more with --memory",
			    (unsigned long long)((h->pref_address + h->init_size) >> 20) + 1);
		return -ENOMEM;
	}
	setup_bytes = (uint64_t)((h->setup_sects ? h->setup_sects : 4) + 1) * SECTOR;
	err = image_file_read(f, setup_bytes, (uint64_t)h->syssize * 16, mem, h->pref_address);
	if (err)
		return err;
	h->type_of_loader = LOADER_UNDEFINED;
	h->code32_start = (uint32_t)h->pref_address;
	*out = (struct image_loaded){
		.entry = h->pref_address + ENTRY_64,
		.end = h->pref_address + h->init_size,
		.initrd_max = h->initrd_addr_max,
		.cmdline_max = h->cmdline_size < LAYOUT_CMDLINE_BYTES ? h->cmdline_size : LAYOUT_CMDLINE_BYTES - 1,
	};
	return 0;
}
