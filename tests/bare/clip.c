// SPDX-License-Identifier: MIT
#include "tests/bare/clip.h"

/* Before the next delimiter, NAL unit type 9. */
size_t clip_unit_end(const uint8_t *data, size_t bytes, size_t at)
{
	for (size_t i = at + 4; i + 4 < bytes; i++) {
		if (data[i] == 0 && data[i + 1] == 0 && data[i + 2] == 1 && (data[i + 3] & 0x1f) == 9)
			return i > at && data[i - 1] == 0 ? i - 1 : i;
	}
	return bytes;
}

void clip_check_picture(struct clip_pictures *c, const uint8_t *p, uint32_t bytes)
{
	uint32_t sum = 2166136261u;

	while (bytes--)
		sum = (sum ^ *p++) * 16777619u;
	if (c->count < CLIP_MAX_PICTURES && c->count < c->expected)
		c->odd += c->sums[c->count] != sum;
	else if (c->count < CLIP_MAX_PICTURES)
		c->sums[c->expected++] = sum;
	c->count++;
}
