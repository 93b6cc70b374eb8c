// SPDX-License-Identifier: MIT
/* What needs no device: text, memory, options, the clock. */
#include "guest-drivers/bare/alloc.h"
#include "guest-drivers/bare/boot.h"
#include "guest-drivers/bare/console.h"
#include "guest-drivers/bare/irq.h"
#include "guest-drivers/bare/platform.h"
#include "guest-drivers/bare/report.h"
#include "guest-drivers/bare/string.h"

static void text_is(const char *want, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void text_is(const char *want, const char *format, ...)
{
	char got[80];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(got, sizeof(got), format, args);
	va_end(args);
	report_check(!strcmp(got, want) && n == (int)strlen(want), "printf_writes [%s], got [%s]", want, got);
}

static void printf_formats(void)
{
	char cut[5];

	text_is("-5 5 4294967295", "%d %u %u", -5, 5u, -1u);
	text_is("18446744073709551615 -9223372036854775808", "%lu %ld", ~0ul, (long)(1ul << 63));
	text_is("ff 0x00ff FF", "%x 0x%04x %X", 255u, 255u, 255u);
	text_is("[   7|7   |007|-07]", "[%4d|%-4d|%03d|%03d]", 7, 7, 7, -7);
	text_is("a bc b %", "%c %s %.1s %%", 'a', "bc", "bc");
	text_is("  x|12", "%*s|%zu", 3, "x", (size_t)12);
	report_check(snprintf(cut, sizeof(cut), "%s", "too long") == 8 && !strcmp(cut, "too "),
		     "snprintf_cuts_and_counts");
}

static bool all_bytes(const uint8_t *p, uint8_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != v)
			return false;
	return true;
}

static void memory(void)
{
	size_t before = alloc_left();
	uint8_t *a = alloc(100, 0), *b = alloc_zeroed(5000, PAGE_BYTES), *c = alloc(64, 256), move[8] = "abcdefg";

	report_check(a && b && c, "alloc_gives_memory");
	if (!a || !b || !c)
		return;
	report_check((uintptr_t)b % PAGE_BYTES == 0 && (uintptr_t)c % 256 == 0 && (uintptr_t)a % 16 == 0,
		     "alloc_aligns");
	report_check(all_bytes(b, 0, 5000), "alloc_zeroed_clears");
	memset(a, 0xa5, 100);
	memset(c, 0x5a, 64);
	report_check(all_bytes(b, 0, 5000) && all_bytes(a, 0xa5, 100), "allocations_do_not_overlap");
	alloc_free(a);
	alloc_free(b);
	alloc_free(c);
	alloc_free(NULL);
	a = alloc(before - 4096, 0); /* only fits if the free pieces were joined again */
	report_check(a != NULL, "alloc_free_joins");
	alloc_free(a);
	report_check(!alloc(before * 2, 0) && !alloc(~(size_t)0 - 8, 0), "alloc_refuses_too_much");

	memmove(move + 1, move, 6);
	report_check(!memcmp(move, "aabcdef", 8), "memmove_overlaps_upwards");
	memmove(move, move + 1, 6);
	report_check(!memcmp(move, "abcdeff", 8), "memmove_overlaps_downwards");
}

static void options(void)
{
	char v[8];

	report_check(boot_option_number("number", 0) == 42, "option_number");
	report_check(boot_option_number("hex", 0) == 0x1f000, "option_hexadecimal");
	report_check(boot_option_number("kib", 0) == 4096, "option_with_suffix");
	report_check(boot_option_number("missing", 7) == 7, "option_missing_has_fallback");
	report_check(boot_option("word", 0, v, sizeof(v)) && !strcmp(v, "first"), "option_first");
	report_check(boot_option("word", 1, v, sizeof(v)) && !strcmp(v, "second_"), "option_second_is_cut");
	report_check(!boot_option("word", 2, v, sizeof(v)), "option_third_is_missing");
	report_check(boot_option("flag", 0, v, sizeof(v)) && !v[0], "option_without_value");
	report_check(!boot_option("fla", 0, v, sizeof(v)), "option_name_is_whole");
}

static void ram(void)
{
	uint64_t bytes = 0, want = boot_option_number("memory", 0);

	for (unsigned i = 0; i < boot.ram_count; i++)
		bytes += boot.ram[i].bytes;
	report_check(bytes <= want && bytes + (1 << 20) >= want,
		     "ram_is_told: %lu KiB in %u ranges, machine has %lu KiB", bytes >> 10, boot.ram_count, want >> 10);
}

static void clock_runs(void)
{
	uint64_t last = clock_us(), now = last;
	bool monotonic = true;

	for (int i = 0; i < 1000; i++) {
		now = clock_us();
		monotonic &= now >= last;
		last = now;
	}
	report_check(monotonic, "clock_never_goes_back");
	report_check(now > 0 && now < 600000000u, "clock_counts: %lu us", now);
}

int main(void)
{
	report_start("library");
	report_check(boot.loader != NULL, "booted_by %s", boot.loader);
	printf_formats();
	memory();
	options();
	ram();
	clock_runs();
	return report_end();
}
