// SPDX-License-Identifier: MIT
/* The devices that every arm64 machine has. Power control is PSCI, which KVM answers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/log.h"
#include "vmm/arch.h"
#include "vmm/arm64/machine.h"
#include "vmm/arm64/pl011.h"
#include "vmm/arm64/pl031.h"
#include "vmm/arm64/pl061.h"
#include "vmm/pvpanic.h"
#include "vmm/vm.h"

struct platform {
	struct pl011 *uart;
	struct pl031 *rtc;
	struct pl061 *gpio;
	struct pvpanic *pvpanic;
	struct v2m *v2m;
};

int arch_platform_create(struct vm *vm, const char *serial, struct platform **out)
{
	struct platform *p = calloc(1, sizeof(*p));
	int err = p ? 0 : -ENOMEM;

	if (!err)
		err = pl031_create(vm, LAYOUT_RTC, &p->rtc);
	if (!err)
		err = pl061_create(vm, LAYOUT_GPIO, LAYOUT_GSI_GPIO, LAYOUT_GPIO_POWER, &p->gpio);
	if (!err)
		err = pvpanic_create(vm, vm_mmio(vm), LAYOUT_PVPANIC, &p->pvpanic);
	if (!err && !vm_arch(vm)->gic.has_its)
		err = v2m_create(vm, &p->v2m);
	if (err)
		log_line(LOG_TOPIC_VMM, LOG_ERROR, "can't make the platform's devices: %s", strerror(-err));
	else
		err = pl011_create(vm, LAYOUT_UART, LAYOUT_GSI_UART, serial, &p->uart);
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
	pl011_destroy(p->uart);
	pl061_destroy(p->gpio);
	pl031_destroy(p->rtc);
	pvpanic_destroy(p->pvpanic);
	v2m_destroy(p->v2m);
	free(p);
}
