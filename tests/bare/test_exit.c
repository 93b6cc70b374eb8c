// SPDX-License-Identifier: MIT
/* Ends as the option end= says; the runner looks at the exit status. */
#include "guest-drivers/bare/boot.h"
#include "guest-drivers/bare/console.h"
#include "guest-drivers/bare/platform.h"
#include "guest-drivers/bare/report.h"
#include "guest-drivers/bare/string.h"

int main(void)
{
	char end[16] = "";

	report_start("exit");
	report_check(boot_option("end", 0, end, sizeof(end)), "ends by %s", end);
	report_end();
	if (!strcmp(end, "reset"))
		platform_reset();
	if (!strcmp(end, "panic"))
		panic("asked for");
	if (!strcmp(end, "fault"))
		*(volatile uint32_t *)0xffffff0000000000u = 1; /* nothing is mapped there */
	return 0;
}
