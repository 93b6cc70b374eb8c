// SPDX-License-Identifier: MIT
#include "vmm/x86_64/aml.h"

#include <assert.h>
#include <string.h>

/* Section 20.3: opcodes */
#define OP_ZERO 0x00
#define OP_ONE 0x01
#define OP_NAME 0x08
#define OP_BYTE 0x0a
#define OP_WORD 0x0b
#define OP_DWORD 0x0c
#define OP_STRING 0x0d
#define OP_QWORD 0x0e
#define OP_SCOPE 0x10
#define OP_BUFFER 0x11
#define OP_PACKAGE 0x12
#define OP_EXTENDED 0x5b
#define OP_DEVICE 0x82 /* after OP_EXTENDED */

/* Section 6.4: resource descriptors */
#define RES_IRQ 0x22
#define RES_IO 0x47
#define RES_END 0x79
#define RES_MEMORY32_FIXED 0x86
#define RES_DWORD_SPACE 0x87
#define RES_WORD_SPACE 0x88
#define RES_INTERRUPT 0x89
#define RES_QWORD_SPACE 0x8a
#define SPACE_MEMORY 0
#define SPACE_IO 1
#define SPACE_BUS 2
#define SPACE_FIXED_RANGE 0x0c /* neither end moves; the bridge passes it on */
#define MEMORY_READ_WRITE 1
#define IO_ENTIRE_RANGE 3

/* A PkgLength of three bytes holds 20 bits, and every shorter length too. */
#define LENGTH_BYTES 3u
#define LENGTH_MAX 0xfffffu

static void put(struct aml *a, const void *bytes, size_t n)
{
	if (a->overflow || n > a->room - a->used) {
		a->overflow = true;
		return;
	}
	memcpy(a->buffer + a->used, bytes, n);
	a->used += n;
}

static void put8(struct aml *a, unsigned v)
{
	uint8_t byte = (uint8_t)v;

	put(a, &byte, sizeof(byte));
}

static void put16(struct aml *a, unsigned v)
{
	uint16_t word = (uint16_t)v;

	put(a, &word, sizeof(word));
}

static void put32(struct aml *a, uint32_t v)
{
	put(a, &v, sizeof(v));
}

static void put64(struct aml *a, uint64_t v)
{
	put(a, &v, sizeof(v));
}

void aml_init(struct aml *a, void *buffer, size_t room)
{
	*a = (struct aml){.buffer = buffer, .room = room};
}

static void put_name(struct aml *a, const char *name)
{
	char segment[4] = {'_', '_', '_', '_'};
	size_t n;

	if (*name == '\\') {
		put8(a, '\\');
		name++;
	}
	n = strlen(name);
	assert(n >= 1 && n <= sizeof(segment));
	memcpy(segment, name, n);
	put(a, segment, sizeof(segment));
}

static void open_block(struct aml *a)
{
	assert(a->depth < AML_MAX_DEPTH);
	a->open[a->depth].length_at = a->used;
	a->open[a->depth].size_at = 0;
	a->depth++;
	put(a, "\0\0", LENGTH_BYTES);
}

void aml_end(struct aml *a)
{
	size_t at, size_at, length;

	assert(a->depth);
	a->depth--;
	at = a->open[a->depth].length_at;
	size_at = a->open[a->depth].size_at;
	if (size_at) {
		uint16_t size;

		put8(a, RES_END);
		put8(a, 0); /* no checksum */
		size = (uint16_t)(a->used - size_at - sizeof(size));
		if (!a->overflow)
			memcpy(a->buffer + size_at, &size, sizeof(size));
	}
	length = a->used - at;
	if (a->overflow)
		return;
	if (length > LENGTH_MAX) {
		a->overflow = true;
		return;
	}
	a->buffer[at] = (uint8_t)((LENGTH_BYTES - 1) << 6 | (length & 0xf));
	a->buffer[at + 1] = (uint8_t)(length >> 4);
	a->buffer[at + 2] = (uint8_t)(length >> 12);
}

void aml_begin_scope(struct aml *a, const char *name)
{
	put8(a, OP_SCOPE);
	open_block(a);
	put_name(a, name);
}

void aml_begin_device(struct aml *a, const char *name)
{
	put8(a, OP_EXTENDED);
	put8(a, OP_DEVICE);
	open_block(a);
	put_name(a, name);
}

void aml_begin_package(struct aml *a, uint8_t elements)
{
	put8(a, OP_PACKAGE);
	open_block(a);
	put8(a, elements);
}

void aml_name(struct aml *a, const char *name)
{
	put8(a, OP_NAME);
	put_name(a, name);
}

void aml_integer(struct aml *a, uint64_t v)
{
	if (v <= 1) {
		put8(a, v ? OP_ONE : OP_ZERO);
	} else if (v <= 0xff) {
		put8(a, OP_BYTE);
		put8(a, (uint8_t)v);
	} else if (v <= 0xffff) {
		put8(a, OP_WORD);
		put16(a, (uint16_t)v);
	} else if (v <= 0xffffffff) {
		put8(a, OP_DWORD);
		put32(a, (uint32_t)v);
	} else {
		put8(a, OP_QWORD);
		put64(a, v);
	}
}

void aml_string(struct aml *a, const char *s)
{
	put8(a, OP_STRING);
	put(a, s, strlen(s) + 1);
}

static unsigned hex_digit(char c)
{
	assert((c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'));
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'A' + 10);
}

/* Section 19.3.4: three letters of five bits, then four hexadecimal digits, big-endian. */
void aml_eisa_id(struct aml *a, const char *id)
{
	uint32_t v = 0;

	assert(strlen(id) == 7);
	for (unsigned i = 0; i < 3; i++)
		v = v << 5 | ((uint32_t)(id[i] - 0x40) & 0x1f);
	for (unsigned i = 3; i < 7; i++)
		v = v << 4 | hex_digit(id[i]);
	put8(a, OP_DWORD);
	put32(a, __builtin_bswap32(v));
}

/* ---- resources ---- */

void aml_begin_resources(struct aml *a)
{
	put8(a, OP_BUFFER);
	open_block(a);
	put8(a, OP_WORD);
	a->open[a->depth - 1].size_at = a->used;
	put16(a, 0);
}

void aml_io(struct aml *a, uint16_t port, uint8_t length)
{
	put8(a, RES_IO);
	put8(a, 1); /* decodes 16 bits */
	put16(a, port);
	put16(a, port);
	put8(a, 1);
	put8(a, length);
}

void aml_irq(struct aml *a, unsigned line)
{
	put8(a, RES_IRQ);
	put16(a, 1u << line);
}

void aml_memory32(struct aml *a, uint32_t base, uint32_t length)
{
	put8(a, RES_MEMORY32_FIXED);
	put16(a, 9);
	put8(a, MEMORY_READ_WRITE);
	put32(a, base);
	put32(a, length);
}

void aml_interrupt(struct aml *a, uint32_t gsi)
{
	put8(a, RES_INTERRUPT);
	put16(a, 6);
	put8(a, 1 | 1 << 1); /* consumer, edge */
	put8(a, 1);
	put32(a, gsi);
}

static void word_space(struct aml *a, unsigned space, unsigned flags, uint16_t first, uint16_t last)
{
	put8(a, RES_WORD_SPACE);
	put16(a, 13);
	put8(a, space);
	put8(a, SPACE_FIXED_RANGE);
	put8(a, flags);
	put16(a, 0); /* granularity */
	put16(a, first);
	put16(a, last);
	put16(a, 0); /* translation */
	put16(a, (unsigned)last - first + 1);
}

void aml_bus_numbers(struct aml *a, uint16_t first, uint16_t last)
{
	word_space(a, SPACE_BUS, 0, first, last);
}

void aml_io_window(struct aml *a, uint16_t first, uint16_t last)
{
	word_space(a, SPACE_IO, IO_ENTIRE_RANGE, first, last);
}

void aml_memory_window32(struct aml *a, uint32_t base, uint32_t length)
{
	put8(a, RES_DWORD_SPACE);
	put16(a, 23);
	put8(a, SPACE_MEMORY);
	put8(a, SPACE_FIXED_RANGE);
	put8(a, MEMORY_READ_WRITE);
	put32(a, 0);
	put32(a, base);
	put32(a, base + (length - 1));
	put32(a, 0);
	put32(a, length);
}

void aml_memory_window64(struct aml *a, uint64_t base, uint64_t length)
{
	put8(a, RES_QWORD_SPACE);
	put16(a, 43);
	put8(a, SPACE_MEMORY);
	put8(a, SPACE_FIXED_RANGE);
	put8(a, MEMORY_READ_WRITE);
	put64(a, 0);
	put64(a, base);
	put64(a, base + (length - 1));
	put64(a, 0);
	put64(a, length);
}
