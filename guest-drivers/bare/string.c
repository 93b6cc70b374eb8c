// SPDX-License-Identifier: MIT
/*
 * Built with -fno-tree-loop-distribute-patterns, so that no loop here turns into a call of itself. On x86-64 the
 * string instructions are used: one instruction a block, which matters where a hypervisor emulates each one.
 */
#include <stdint.h>

#include "guest-drivers/bare/string.h"

#if defined(__x86_64__)

void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
	void *to = dst;
	size_t words = n / 8, rest = n % 8;

	__asm__ volatile("rep movsq" : "+D"(to), "+S"(src), "+c"(words)::"memory");
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(src), "+c"(rest)::"memory");
	return dst;
}

void *memset(void *dst, int c, size_t n)
{
	void *to = dst;
	size_t words = n / 8, rest = n % 8;
	uint64_t fill = 0x0101010101010101ull * (uint8_t)c;

	__asm__ volatile("rep stosq" : "+D"(to), "+c"(words) : "a"(fill) : "memory");
	__asm__ volatile("rep stosb" : "+D"(to), "+c"(rest) : "a"(fill) : "memory");
	return dst;
}

#else

void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
	uint8_t *d = dst;
	const uint8_t *s = src;

	if (((uintptr_t)d | (uintptr_t)s) % 8 == 0) {
		for (; n >= 8; n -= 8, d += 8, s += 8)
			*(uint64_t *)(void *)d = *(const uint64_t *)(const void *)s;
	}
	while (n--)
		*d++ = *s++;
	return dst;
}

void *memset(void *dst, int c, size_t n)
{
	uint8_t *d = dst;
	uint64_t fill = 0x0101010101010101ull * (uint8_t)c;

	if ((uintptr_t)d % 8 == 0) {
		for (; n >= 8; n -= 8, d += 8)
			*(uint64_t *)(void *)d = fill;
	}
	while (n--)
		*d++ = (uint8_t)c;
	return dst;
}

#endif

void *memmove(void *dst, const void *src, size_t n)
{
	uint8_t *d = dst;
	const uint8_t *s = src;

	if ((uintptr_t)dst - (uintptr_t)src >= n)
		return memcpy(dst, src, n);
	while (n--)
		d[n] = s[n];
	return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const uint8_t *x = a, *y = b;

	for (; n; n--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

int strcmp(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return (unsigned char)*a - (unsigned char)*b;
}

int strncmp(const char *a, const char *b, size_t n)
{
	for (; n && *a && *a == *b; n--)
		a++, b++;
	return n ? (unsigned char)*a - (unsigned char)*b : 0;
}
