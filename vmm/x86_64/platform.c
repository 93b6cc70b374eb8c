// SPDX-License-Identifier: MIT
/* The devices that every x86-64 machine has. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/log.h"
#include "vmm/arch.h"
#include "vmm/pvpanic.h"
#include "vmm/serial.h"
#include "vmm/vm.h"
#include "vmm/x86_64/power.h"
#include "vmm/x86_64/rtc.h"

struct platform {
	struct power *power;
	struct rtc *rtc;
	struct pvpanic *pvpanic;
	struct serial *serial;
};

int arch_platform_create(struct vm *vm, const char *serial, struct platform **out)
{
	struct platform *p = calloc(1, sizeof(*p));
	int err = p ? 0 : -ENOMEM;

	if (!err)
		err = power_create(vm, &p->power);
	if (!err)
		err = rtc_create(vm, &p->rtc);
	if (!err)
		err = pvpanic_create(vm, vm_pio(vm), LAYOUT_PORT_PVPANIC, &p->pvpanic);
	if (err)
		log_line(LOG_TOPIC_VMM, LOG_ERROR, "can't make the platform's devices: %s", strerror(-err));
	else
		err = serial_create(vm, LAYOUT_PORT_SERIAL, LAYOUT_GSI_SERIAL, serial, &p->serial);
	if (err) {
		arch_platform_destroy(p);
		return err;
	}
	*out = p;
	return 0;
}

void arch_platform_destroy(struct platform *p)
{
	if (!p)
		return;
	serial_destroy(p->serial);
	pvpanic_destroy(p->pvpanic);
	rtc_destroy(p->rtc);
	power_destroy(p->power);
	free(p);
}
