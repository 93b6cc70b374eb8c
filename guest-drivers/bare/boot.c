// SPDX-License-Identifier: MIT
#include "guest-drivers/bare/boot.h"
#include "guest-drivers/bare/alloc.h"
#include "guest-drivers/bare/console.h"
#include "guest-drivers/bare/irq.h"
#include "guest-drivers/bare/platform.h"
#include "guest-drivers/bare/string.h"

struct boot_info boot;

extern char image_end[]; /* linker script */

bool boot_option(const char *name, unsigned index, char *out, size_t bytes)
{
	size_t n = strlen(name), len;
	const char *at = boot.command_line;

	while (*at) {
		while (*at == ' ')
			at++;
		for (len = 0; at[len] && at[len] != ' '; len++)
			;
		if (len >= n && !strncmp(at, name, n) && (len == n || at[n] == '=') && index-- == 0) {
			size_t from = len == n ? n : n + 1, value = len - from;

			if (value >= bytes)
				value = bytes - 1;
			memcpy(out, at + from, value);
			out[value] = '\0';
			return true;
		}
		at += len;
	}
	return false;
}

uint64_t boot_parse_number(const char **text)
{
	const char *s = *text;
	unsigned base = 10;
	uint64_t v = 0;

	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
		base = 16;
		s += 2;
	}
	for (;; s++) {
		unsigned digit;

		if (*s >= '0' && *s <= '9')
			digit = (unsigned)(*s - '0');
		else if ((*s | 0x20) >= 'a' && (*s | 0x20) <= 'f')
			digit = (unsigned)((*s | 0x20) - 'a' + 10);
		else
			break;
		if (digit >= base)
			break;
		v = v * base + digit;
	}
	switch (*s) {
	case 'K':
		v <<= 10;
		s++;
		break;
	case 'M':
		v <<= 20;
		s++;
		break;
	case 'G':
		v <<= 30;
		s++;
		break;
	}
	*text = s;
	return v;
}

uint64_t boot_option_number(const char *name, uint64_t fallback)
{
	char value[32];
	const char *s = value;

	return boot_option(name, 0, value, sizeof(value)) && value[0] ? boot_parse_number(&s) : fallback;
}

/* Give the allocator the largest range of mapped RAM that holds neither the image nor the initial RAM disk. */
static void find_heap(void)
{
	uint64_t floor = ((uint64_t)(uintptr_t)image_end + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
	uint64_t best = 0, best_bytes = 0;

	for (unsigned i = 0; i < boot.ram_count; i++) {
		uint64_t from = boot.ram[i].base, to = from + boot.ram[i].bytes;

		if (from < floor)
			from = floor;
		if (to > PLATFORM_MAPPED_BYTES)
			to = PLATFORM_MAPPED_BYTES;
		if (boot.initrd_bytes && boot.initrd_base < to && boot.initrd_base + boot.initrd_bytes > from) {
			uint64_t behind = boot.initrd_base + boot.initrd_bytes;

			if (behind < to && (boot.initrd_base <= from || to - behind > boot.initrd_base - from))
				from = (behind + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
			else
				to = boot.initrd_base;
		}
		if (to > from && to - from > best_bytes) {
			best = from;
			best_bytes = to - from;
		}
	}
	if (best_bytes < PAGE_BYTES)
		panic("boot: no RAM for the heap above the image's end at %p; the loader named %u ranges",
		      (void *)image_end, boot.ram_count);
	alloc_init((void *)(uintptr_t)best, best_bytes);
}

void boot_start(uint64_t kind, uintptr_t info)
{
	int rc;

	console_init();
	boot_read(kind, info);
	find_heap();
	clock_init();
	irq_init();
	rc = main();
	if (rc)
		panic("main() returned %d", rc);
	platform_power_off();
}
