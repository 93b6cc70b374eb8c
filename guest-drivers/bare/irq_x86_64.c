// SPDX-License-Identifier: MIT
/* IDT, local APIC (xAPIC registers), its one-shot timer, and the IOAPIC. Intel SDM volume 3, chapters 6 and 11. */
#include <linux/errno.h>
#include <stddef.h>

#include "guest-drivers/bare/io.h"
#include "guest-drivers/bare/irq.h"
#include "guest-drivers/bare/platform.h"

#define LAPIC(reg) (PLATFORM_LAPIC_BASE + (reg))
#define LAPIC_ID 0x020
#define LAPIC_TPR 0x080
#define LAPIC_EOI 0x0b0
#define LAPIC_SVR 0x0f0
#define LAPIC_LVT_TIMER 0x320
#define LAPIC_LVT_LINT0 0x350
#define LAPIC_LVT_LINT1 0x360
#define LAPIC_TIMER_INITIAL 0x380
#define LAPIC_TIMER_CURRENT 0x390
#define LAPIC_TIMER_DIVIDE 0x3e0
#define LVT_MASKED (1u << 16)
#define SVR_ENABLE (1u << 8)
#define DIVIDE_BY_16 0x3

#define IOAPIC_SELECT (PLATFORM_IOAPIC_BASE + 0x00)
#define IOAPIC_WINDOW (PLATFORM_IOAPIC_BASE + 0x10)
#define IOAPIC_VERSION 0x01
#define IOAPIC_REDIRECTION 0x10

#define MSI_BASE 0xfee00000u

#define VECTOR_FIRST 0x30
#define VECTOR_COUNT 64
#define VECTOR_TIMER 0xf0
#define VECTOR_SPURIOUS 0xff

/* As irq_x86_64.S pushes it. */
struct irq_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};

struct idt_gate {
	uint16_t offset_low;
	uint16_t selector;
	uint16_t type; /* 0x8e00: present, ring 0, interrupt gate */
	uint16_t offset_mid;
	uint32_t offset_high;
	uint32_t reserved;
};

struct vector {
	void (*handler)(void *arg);
	void *arg;
	int line; /* IOAPIC input, or -1 */
};

extern char irq_entries[]; /* irq_x86_64.S */
void irq_enter(struct irq_frame *f);

volatile uint32_t irq_stray;
static struct idt_gate idt[256] __attribute__((aligned(16)));
static struct vector vectors[VECTOR_COUNT];
static unsigned ioapic_inputs;
static uint32_t timer_ticks_per_ms; /* measured by the first user of the timer */
static void (*timer_handler)(void *arg);
static void *timer_arg;
static uint64_t timer_at_us; /* 0: not set */

static uint32_t ioapic_read(unsigned reg)
{
	mmio_write32(IOAPIC_SELECT, reg);
	return mmio_read32(IOAPIC_WINDOW);
}

static void ioapic_write(unsigned reg, uint32_t v)
{
	mmio_write32(IOAPIC_SELECT, reg);
	mmio_write32(IOAPIC_WINDOW, v);
}

static void ioapic_route(unsigned input, uint32_t low)
{
	uint32_t apic_id = mmio_read32(LAPIC(LAPIC_ID)) >> 24;

	ioapic_write(IOAPIC_REDIRECTION + 2 * input, LVT_MASKED);
	ioapic_write(IOAPIC_REDIRECTION + 2 * input + 1, apic_id << 24);
	ioapic_write(IOAPIC_REDIRECTION + 2 * input, low);
}

void irq_init(void)
{
	struct __attribute__((packed)) {
		uint16_t limit;
		uint64_t base;
	} pointer = {sizeof(idt) - 1, (uint64_t)(uintptr_t)idt};

	for (unsigned i = 0; i < 256; i++) {
		uint64_t at = (uint64_t)(uintptr_t)irq_entries + 16u * i;

		idt[i] = (struct idt_gate){.offset_low = (uint16_t)at,
					   .selector = 0x08,
					   .type = 0x8e00,
					   .offset_mid = (uint16_t)(at >> 16),
					   .offset_high = (uint32_t)(at >> 32)};
	}
	__asm__ volatile("lidt %0" ::"m"(pointer));

	port_write8(PLATFORM_PIC_MASTER_DATA, 0xff);
	port_write8(PLATFORM_PIC_SLAVE_DATA, 0xff);

	mmio_write32(LAPIC(LAPIC_TPR), 0);
	mmio_write32(LAPIC(LAPIC_LVT_LINT0), LVT_MASKED);
	mmio_write32(LAPIC(LAPIC_LVT_LINT1), LVT_MASKED);
	mmio_write32(LAPIC(LAPIC_LVT_TIMER), LVT_MASKED | VECTOR_TIMER);
	mmio_write32(LAPIC(LAPIC_TIMER_DIVIDE), DIVIDE_BY_16);
	mmio_write32(LAPIC(LAPIC_SVR), SVR_ENABLE | VECTOR_SPURIOUS);

	ioapic_inputs = ((ioapic_read(IOAPIC_VERSION) >> 16) & 0xff) + 1;
}

static const char *exception_name(uint64_t vector)
{
	static const char *const names[] = {"divide error",
					    "debug",
					    "NMI",
					    "breakpoint",
					    "overflow",
					    "bound range",
					    "invalid opcode",
					    "no coprocessor",
					    "double fault",
					    "coprocessor",
					    "invalid TSS",
					    "segment not present",
					    "stack fault",
					    "general protection",
					    "page fault"};

	return vector < sizeof(names) / sizeof(names[0]) ? names[vector] : "exception";
}

static void exception(const struct irq_frame *f)
{
	uint64_t cr2;

	__asm__ volatile("movq %%cr2, %0" : "=r"(cr2));
	panic("cpu: %s (vector %lu, error 0x%lx) at 0x%lx, address 0x%lx, stack 0x%lx", exception_name(f->vector),
	      f->vector, f->error, f->rip, cr2, f->rsp);
}

static uint32_t timer_ticks(uint64_t us)
{
	uint64_t ticks = us * timer_ticks_per_ms / 1000 + 1;

	return ticks > 0xffffffffu ? 0xffffffffu : (uint32_t)ticks;
}

static void timer_fired(void)
{
	void (*handler)(void *) = timer_handler;
	uint64_t now = clock_us();

	if (!timer_at_us)
		return;
	/* The counter may be shorter than the time asked for: go on counting. */
	if (now < timer_at_us) {
		mmio_write32(LAPIC(LAPIC_TIMER_INITIAL), timer_ticks(timer_at_us - now));
		return;
	}
	timer_at_us = 0;
	if (handler)
		handler(timer_arg);
}

void irq_enter(struct irq_frame *f)
{
	const struct vector *v;

	if (f->vector < 32)
		exception(f);
	if (f->vector == VECTOR_SPURIOUS)
		return; /* no end of interrupt for these */
	if (f->vector == VECTOR_TIMER) {
		timer_fired();
	} else {
		v = f->vector >= VECTOR_FIRST && f->vector < VECTOR_FIRST + VECTOR_COUNT
			    ? &vectors[f->vector - VECTOR_FIRST]
			    : NULL;
		if (v && v->handler)
			v->handler(v->arg);
		else
			irq_stray++;
	}
	mmio_write32(LAPIC(LAPIC_EOI), 0);
}

static int vector_take(void (*handler)(void *), void *arg, int line)
{
	for (int i = 0; i < VECTOR_COUNT; i++) {
		if (vectors[i].handler)
			continue;
		vectors[i] = (struct vector){handler, arg, line};
		return i;
	}
	return -ENOSPC;
}

int irq_attach_line(unsigned line, bool edge, void (*handler)(void *arg), void *arg)
{
	int n;

	if (line >= ioapic_inputs)
		return -EINVAL;
	for (int i = 0; i < VECTOR_COUNT; i++)
		if (vectors[i].handler && vectors[i].line == (int)line)
			return -EBUSY;
	n = vector_take(handler, arg, (int)line);
	if (n < 0)
		return n;
	ioapic_route(line, (uint32_t)(VECTOR_FIRST + n) | (edge ? 0 : 1u << 15));
	return 0;
}

void irq_detach_line(unsigned line)
{
	for (int i = 0; i < VECTOR_COUNT; i++) {
		if (!vectors[i].handler || vectors[i].line != (int)line)
			continue;
		ioapic_route(line, LVT_MASKED);
		vectors[i].handler = NULL;
	}
}

int irq_attach_message(void (*handler)(void *arg), void *arg, uint64_t *address, uint32_t *data)
{
	int n = vector_take(handler, arg, -1);

	if (n < 0)
		return n;
	*address = MSI_BASE | (mmio_read32(LAPIC(LAPIC_ID)) >> 24) << 12;
	*data = (uint32_t)(VECTOR_FIRST + n);
	return n;
}

void irq_detach_message(int number)
{
	if (number >= 0 && number < VECTOR_COUNT)
		vectors[number].handler = NULL;
}

void irq_enable(void)
{
	__asm__ volatile("sti" ::: "memory");
}

bool irq_disable(void)
{
	uint64_t flags;

	__asm__ volatile("pushfq; popq %0; cli" : "=r"(flags)::"memory");
	return flags & (1u << 9);
}

void irq_restore(bool were_on)
{
	if (were_on)
		irq_enable();
}

void irq_wait(void)
{
	/* sti lets interrupts in only after the instruction that follows: hlt can't miss one. */
	__asm__ volatile("sti; hlt; cli" ::: "memory");
}

/* Count the timer's ticks over one millisecond of the clock. */
static void timer_measure(void)
{
	uint64_t from;
	uint32_t left;

	mmio_write32(LAPIC(LAPIC_LVT_TIMER), LVT_MASKED | VECTOR_TIMER);
	mmio_write32(LAPIC(LAPIC_TIMER_INITIAL), 0xffffffffu);
	from = clock_us();
	while (clock_us() - from < 1000)
		cpu_relax();
	left = mmio_read32(LAPIC(LAPIC_TIMER_CURRENT));
	timer_ticks_per_ms = (uint32_t)((uint64_t)(0xffffffffu - left) * 1000 / (clock_us() - from));
	if (!timer_ticks_per_ms)
		panic("irq: the local APIC's timer does not count");
	mmio_write32(LAPIC(LAPIC_TIMER_INITIAL), 0);
	mmio_write32(LAPIC(LAPIC_LVT_TIMER), VECTOR_TIMER);
}

void irq_timer(uint64_t us, void (*handler)(void *arg), void *arg)
{
	bool on = irq_disable();
	uint64_t now;

	if (!timer_ticks_per_ms)
		timer_measure();
	now = clock_us();
	timer_at_us = us;
	timer_handler = handler;
	timer_arg = arg;
	mmio_write32(LAPIC(LAPIC_TIMER_INITIAL), !us ? 0 : us > now ? timer_ticks(us - now) : 1);
	irq_restore(on);
}

void irq_alarm(uint64_t us)
{
	irq_timer(us, NULL, NULL);
}
