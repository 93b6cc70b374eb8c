/* SPDX-License-Identifier: MIT */
/*
 * 32-bit arm Linux kernels (zImage), for guests of --aarch32.
 */
#ifndef MULLION_VMM_ARM64_ZIMAGE_H
#define MULLION_VMM_ARM64_ZIMAGE_H

#include <stdbool.h>

struct guest_mem;
struct image_file;
struct image_loaded;

bool zimage_is(const struct image_file *f);

/* As elf_load() of vmm/image.h. */
int zimage_load(const struct image_file *f, const struct guest_mem *mem, struct image_loaded *out);

#endif
