/* SPDX-License-Identifier: MIT */
#ifndef MULLION_VMM_X86_64_BZIMAGE_H
#define MULLION_VMM_X86_64_BZIMAGE_H

struct boot_params;
struct guest_mem;
struct image_file;
struct image_loaded;

/* Linux bzImage (boot protocol 2.12 and later, 64-bit entry); fills @params->hdr. As elf_load() of vmm/image.h. */
int bzimage_load(const struct image_file *f, const struct guest_mem *mem, struct boot_params *params,
		 struct image_loaded *out);

#endif
