// SPDX-License-Identifier: MIT
#include "guest-drivers/bare/report.h"
#include "guest-drivers/bare/console.h"

static const char *report_name = "test";
static unsigned total, failed;

void report_start(const char *name)
{
	report_name = name;
	printf("TAP version 13\n");
}

bool report_check(bool ok, const char *format, ...)
{
	va_list args;

	total++;
	failed += !ok;
	printf("%sok %u - ", ok ? "" : "not ", total);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	return ok;
}

void report_skip(const char *format, ...)
{
	va_list args;

	total++;
	printf("ok %u # SKIP ", total);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

int report_skip_all(const char *reason)
{
	printf("1..0 # SKIP %s\n", reason);
	return 0;
}

int report_end(void)
{
	printf("1..%u\n", total);
	if (failed || !total) {
		printf("FAIL %s: %u of %u checks\n", report_name, failed, total);
		return 1;
	}
	printf("PASS %s: %u checks\n", report_name, total);
	return 0;
}
