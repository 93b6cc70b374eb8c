/* SPDX-License-Identifier: MIT */
/* The console: a 16550 on x86-64, a PL011 on arm64. Output waits for the device; nothing is buffered. */
#ifndef MULLION_BARE_CONSOLE_H
#define MULLION_BARE_CONSOLE_H

#include <stdarg.h>
#include <stddef.h>

/* Set the device up. Called once by the start code, before main(). */
void console_init(void);

/* Write @n bytes; a line feed goes out as CR LF. */
void console_write(const char *text, size_t n);

/* The next byte received, or -1 when none waits. */
int console_read(void);

/*
 * As in C, with the conversions d i u x X c s p % and the flags 0 - , a width (or *), a precision for s, and the
 * sizes hh h l ll z. No floating point. All return the length of the whole text; printf() writes 511 bytes of it at most, and
 * snprintf() always ends @out with a 0 when @bytes is not 0.
 */
int printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
int vprintf(const char *format, va_list args) __attribute__((format(printf, 1, 0)));
int snprintf(char *out, size_t bytes, const char *format, ...) __attribute__((format(printf, 3, 4)));
int vsnprintf(char *out, size_t bytes, const char *format, va_list args) __attribute__((format(printf, 3, 0)));

#endif
