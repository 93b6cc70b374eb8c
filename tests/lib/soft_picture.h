/* SPDX-License-Identifier: MIT */
/* A picture that codecs keep well, in NV12, and how much one differs from another. */
#ifndef MULLION_TESTS_LIB_SOFT_PICTURE_H
#define MULLION_TESTS_LIB_SOFT_PICTURE_H

#include <stddef.h>
#include <stdint.h>

/* Picture @n of a film, @width * @height * 3 / 2 bytes. */
void soft_picture_draw(uint8_t *p, uint32_t width, uint32_t height, unsigned n);
/* PSNR of @n bytes, in dB; 99 where they are equal. */
double soft_picture_psnr(const uint8_t *a, const uint8_t *b, size_t n);

#endif
