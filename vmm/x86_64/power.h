/* SPDX-License-Identifier: MIT */
/*
 * ACPI's fixed hardware (specification 6.5, section 4.8): PM1 event and control blocks with the power button, the PM
 * timer, the reset register; and the keyboard controller's reset line, the one thing left of it.
 */
#ifndef MULLION_VMM_X86_64_POWER_H
#define MULLION_VMM_X86_64_POWER_H

struct power;
struct vm;

int power_create(struct vm *vm, struct power **out);
void power_destroy(struct power *p);

#endif
