/* SPDX-License-Identifier: MIT */
/*
 * The table behind irq.h, which a VM owns: where each GSI goes. Thread: any.
 */
#ifndef MULLION_VMM_IRQ_TABLE_H
#define MULLION_VMM_IRQ_TABLE_H

struct irq_table;
struct vm;

int irq_table_create(int vm_fd, struct irq_table **out);
void irq_table_destroy(struct irq_table *t);

/* Tell KVM the routes of the pins; when the irqchip exists. Returns 0 or a negative errno. */
int irq_table_install(struct irq_table *t);

struct irq_table *vm_irq_table(struct vm *vm);

#endif
