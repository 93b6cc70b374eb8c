/* SPDX-License-Identifier: MIT */
/*
 * arm64 Linux kernels: Image, Image packed by gzip or zstd, and EFI zboot images that are packed so.
 */
#ifndef MULLION_VMM_ARM64_KERNEL_H
#define MULLION_VMM_ARM64_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

struct guest_mem;
struct image_file;
struct image_loaded;

/* True if the first bytes are those of one of them; a packed file is taken for a packed kernel. */
bool kernel_is(const struct image_file *f);

/* As elf_load() of vmm/image.h. @page_sizes: ID_AA64MMFR0_EL1 of the processor, 0 if not known. */
int kernel_load(const struct image_file *f, const struct guest_mem *mem, uint64_t page_sizes, struct image_loaded *out);

#endif
