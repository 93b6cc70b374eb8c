// SPDX-License-Identifier: MIT
#include <stdbool.h>
#include <stdint.h>

#include "guest-drivers/bare/console.h"
#include "guest-drivers/bare/string.h"

struct out {
	char *to;
	size_t room; /* bytes left for text, the final 0 not counted */
	int total;
};

static void emit(struct out *o, char c)
{
	if (o->room) {
		*o->to++ = c;
		o->room--;
	}
	o->total++;
}

static void emit_field(struct out *o, const char *text, int n, int width, bool left, char pad)
{
	if (!left)
		for (; width > n; width--)
			emit(o, pad);
	for (int i = 0; i < n; i++)
		emit(o, text[i]);
	for (; left && width > n; width--)
		emit(o, ' ');
}

static uint64_t fetch(va_list *args, int longs, bool sign)
{
	if (longs > 0)
		return va_arg(*args, uint64_t); /* long, long long and size_t are 64 bits on every machine here */
	if (sign)
		return (uint64_t)(int64_t)va_arg(*args, int);
	return va_arg(*args, unsigned);
}

static void emit_number(struct out *o, uint64_t v, bool negative, unsigned base, bool upper, int width, bool left,
			bool zero)
{
	char digits[24];
	int at = sizeof(digits);
	const char *set = upper ? "0123456789ABCDEF" : "0123456789abcdef";

	do {
		digits[--at] = set[v % base];
		v /= base;
	} while (v);
	if (negative && zero && !left) {
		emit(o, '-');
		width--;
	} else if (negative) {
		digits[--at] = '-';
	}
	emit_field(o, digits + at, (int)sizeof(digits) - at, width, left, zero && !left ? '0' : ' ');
}

static int number(const char **f)
{
	int n = 0;

	while (**f >= '0' && **f <= '9')
		n = n * 10 + *(*f)++ - '0';
	return n;
}

static const char *convert(struct out *o, const char *f, va_list *args)
{
	bool left = false, zero = false;
	int width, precision = -1, longs = 0;

	for (;; f++) {
		if (*f == '-')
			left = true;
		else if (*f == '0')
			zero = true;
		else
			break;
	}
	if (*f == '*') {
		width = va_arg(*args, int);
		f++;
	} else {
		width = number(&f);
	}
	if (*f == '.') {
		f++;
		if (*f == '*') {
			precision = va_arg(*args, int);
			f++;
		} else {
			precision = number(&f);
		}
	}
	for (; *f == 'l' || *f == 'z' || *f == 'h'; f++)
		longs += *f != 'h';

	switch (*f) {
	case 'd':
	case 'i': {
		int64_t v = (int64_t)fetch(args, longs, true);

		emit_number(o, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, v < 0, 10, false, width, left, zero);
		break;
	}
	case 'u':
		emit_number(o, fetch(args, longs, false), false, 10, false, width, left, zero);
		break;
	case 'x':
	case 'X':
		emit_number(o, fetch(args, longs, false), false, 16, *f == 'X', width, left, zero);
		break;
	case 'p':
		emit(o, '0');
		emit(o, 'x');
		emit_number(o, (uintptr_t)va_arg(*args, void *), false, 16, false, width, left, zero);
		break;
	case 'c': {
		char c = (char)va_arg(*args, int);

		emit_field(o, &c, 1, width, left, ' ');
		break;
	}
	case 's': {
		const char *s = va_arg(*args, const char *);
		int n = 0;

		if (!s)
			s = "(null)";
		while (s[n] && (precision < 0 || n < precision))
			n++;
		emit_field(o, s, n, width, left, ' ');
		break;
	}
	case '\0':
		return f; /* the format ends in the middle of a conversion */
	default:
		emit(o, *f);
	}
	return f + 1;
}

int vsnprintf(char *text, size_t bytes, const char *format, va_list args)
{
	struct out o = {.to = text, .room = bytes ? bytes - 1 : 0};
	va_list copy;

	va_copy(copy, args);
	while (*format) {
		if (*format == '%')
			format = convert(&o, format + 1, &copy);
		else
			emit(&o, *format++);
	}
	va_end(copy);
	if (bytes)
		*o.to = '\0';
	return o.total;
}

int snprintf(char *text, size_t bytes, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text, bytes, format, args);
	va_end(args);
	return n;
}

int vprintf(const char *format, va_list args)
{
	char line[512];
	int n = vsnprintf(line, sizeof(line), format, args);

	console_write(line, strlen(line));
	return n;
}

int printf(const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vprintf(format, args);
	va_end(args);
	return n;
}
