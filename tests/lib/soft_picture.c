// SPDX-License-Identifier: MIT
#include "tests/lib/soft_picture.h"

#include <math.h>

void soft_picture_draw(uint8_t *p, uint32_t width, uint32_t height, unsigned n)
{
	for (uint32_t y = 0; y < height; y++) {
		for (uint32_t x = 0; x < width; x++)
			p[y * width + x] = (uint8_t)(60 + (x + 2 * n) / 2 + y / 4);
	}
	for (uint32_t y = 0; y < height / 2; y++) {
		for (uint32_t x = 0; x < width; x++)
			p[width * height + y * width + x] = (uint8_t)(x % 2 ? 100 + y / 2 : 140 - x / 4);
	}
}

double soft_picture_psnr(const uint8_t *a, const uint8_t *b, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (a[i] - b[i]) * (a[i] - b[i]);
	return sum == 0 ? 99 : 10 * log10(255.0 * 255.0 * (double)n / sum);
}
