/* SPDX-License-Identifier: MIT */
/* The few C library functions that the library and the compiler need, as the C standard defines them. */
#ifndef MULLION_BARE_STRING_H
#define MULLION_BARE_STRING_H

#include <stddef.h>

void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);

#endif
