// SPDX-License-Identifier: MIT
#include "guest-drivers/bare/console.h"
#include "guest-drivers/bare/irq.h"
#include "guest-drivers/bare/platform.h"

void panic(const char *format, ...)
{
	va_list args;

	irq_disable();
	va_start(args, format);
	printf("PANIC: ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
	platform_panicked();
}
