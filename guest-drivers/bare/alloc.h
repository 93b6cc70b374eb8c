/* SPDX-License-Identifier: MIT */
/*
 * Memory: first fit over one range of RAM, the largest that lies above the image and below the end of the
 * identity mapping. Addresses are physical, so anything allocated here can be given to a device. Not for
 * interrupt handlers.
 */
#ifndef MULLION_BARE_ALLOC_H
#define MULLION_BARE_ALLOC_H

#include <stddef.h>

#define PAGE_BYTES 4096u

/* Give the range to the allocator. Called once by the start code. */
void alloc_init(void *base, size_t bytes);

/*
 * @bytes of memory aligned to @align (a power of two, 16 at least is given), not cleared; NULL when there is no
 * such range left. The caller frees it with alloc_free().
 */
void *alloc(size_t bytes, size_t align);
/* The same, filled with 0. */
void *alloc_zeroed(size_t bytes, size_t align);
/* NULL is fine. */
void alloc_free(void *p);

/* Bytes that are free, in however many pieces. */
size_t alloc_left(void);

#endif
