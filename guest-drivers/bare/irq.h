/* SPDX-License-Identifier: MIT */
/*
 * Interrupts on one CPU. Handlers run with interrupts off, on the interrupted stack, and return; end of interrupt
 * is done by the library. Interrupts are off until main() turns them on with irq_enable() or waits.
 */
#ifndef MULLION_BARE_IRQ_H
#define MULLION_BARE_IRQ_H

#include <stdbool.h>
#include <stdint.h>

/* Called once by the start code. */
void irq_init(void);

/*
 * Let @handler(@arg) run for interrupt line @line: the IOAPIC's input on x86-64 (the "gsi"), the GIC's interrupt
 * number on arm64 (shared ones start at 32). It is edge-triggered or level-triggered as @edge says, active high.
 * Returns 0, -EINVAL for no such line, -EBUSY for one in use, -ENOSPC when no vector is left.
 */
int irq_attach_line(unsigned line, bool edge, void (*handler)(void *arg), void *arg);
void irq_detach_line(unsigned line);

/*
 * A message-signalled interrupt: what to write where to make @handler(@arg) run. Returns a number for
 * irq_detach_message(), -ENOSPC when no vector is left, -EOPNOTSUPP on machines without.
 */
int irq_attach_message(void (*handler)(void *arg), void *arg, uint64_t *address, uint32_t *data);
void irq_detach_message(int number);

/* Interrupts on and off for the whole CPU. irq_disable() returns whether they were on, for irq_restore(). */
void irq_enable(void);
bool irq_disable(void);
void irq_restore(bool were_on);

/*
 * With interrupts off: let them in and halt until at least one was handled, then off again. An interrupt that
 * arrives after the caller's last check wakes it at once; nothing is lost in between.
 */
void irq_wait(void);

/* Make sure that irq_wait() returns at @us (a time of clock_us()) at the latest. 0 calls it off. */
void irq_alarm(uint64_t us);

/* Call @handler(@arg) once at @us; replaces whatever was set, irq_alarm() included. */
void irq_timer(uint64_t us, void (*handler)(void *arg), void *arg);

/* How many interrupts came with no handler attached; tests look at it. */
extern volatile uint32_t irq_stray;

#endif
