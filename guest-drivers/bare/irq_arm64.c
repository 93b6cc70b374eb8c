// SPDX-License-Identifier: MIT
/*
 * The GIC (architecture versions 2 and 3; the CPU tells which) and the EL1 virtual timer. Arm IHI
 * 0048 and 0069.
 */
#include <linux/errno.h>
#include <stddef.h>

#include "guest-drivers/bare/io.h"
#include "guest-drivers/bare/irq.h"
#include "guest-drivers/bare/platform.h"

#define GICD(reg) (PLATFORM_GICD_BASE + (uintptr_t)(reg))
#define GICC(reg) (PLATFORM_GICC_BASE + (uintptr_t)(reg))
#define GICR(reg) (PLATFORM_GICR_BASE + (uintptr_t)(reg))
#define GICR_SGI(reg) (PLATFORM_GICR_BASE + 0x10000u + (uintptr_t)(reg))

#define GICD_CTLR 0x000
#define GICD_TYPER 0x004
#define GICD_IGROUPR 0x080
#define GICD_ISENABLER 0x100
#define GICD_ICENABLER 0x180
#define GICD_IPRIORITYR 0x400
#define GICD_ITARGETSR 0x800
#define GICD_ICFGR 0xc00
#define GICD_IROUTER 0x6000
#define GICR_WAKER 0x014
#define GICC_CTLR 0x000
#define GICC_PMR 0x004
#define GICC_IAR 0x00c
#define GICC_EOIR 0x010
#define WAKER_SLEEP (1u << 1)
#define WAKER_CHILDREN_ASLEEP (1u << 2)

#define WAKE_TIMEOUT_US 1000000u

#define FIRST_SPI 32u
#define MAX_LINES 256u
#define FIRST_SPECIAL 1020u

struct line {
	void (*handler)(void *arg);
	void *arg;
};

void irq_enter(void);
_Noreturn void exception(uint64_t kind, uint64_t esr, uint64_t elr, uint64_t far);

volatile uint32_t irq_stray;
static struct line lines[MAX_LINES];
static unsigned line_count;
static bool v3;
static void (*timer_handler)(void *arg);
static void *timer_arg;
static uint64_t timer_at_us; /* 0: not set */

static void set_bit(unsigned reg, unsigned line)
{
	uintptr_t at = (v3 && line < FIRST_SPI ? GICR_SGI(reg) : GICD(reg)) + line / 32 * 4;

	/* Enable registers take ones; the group registers keep the others' bits. */
	mmio_write32(at, reg == GICD_IGROUPR ? mmio_read32(at) | 1u << line % 32 : 1u << line % 32);
}

void irq_init(void)
{
	uint64_t features;

	__asm__("mrs %0, id_aa64pfr0_el1" : "=r"(features));
	v3 = (features >> 24) & 0xf; /* the GIC's registers are system registers */
	line_count = ((mmio_read32(GICD(GICD_TYPER)) & 0x1f) + 1) * 32;
	if (line_count > MAX_LINES)
		line_count = MAX_LINES;
	if (v3) {
		const uint64_t deadline = clock_us() + WAKE_TIMEOUT_US;

		mmio_write32(GICD(GICD_CTLR), 0x12); /* affinity routing, group 1 */
		mmio_write32(GICR(GICR_WAKER), mmio_read32(GICR(GICR_WAKER)) & ~WAKER_SLEEP);
		while (mmio_read32(GICR(GICR_WAKER)) & WAKER_CHILDREN_ASLEEP) {
			if (clock_us() > deadline)
				panic("irq: the GIC's redistributor at 0x%x does not wake up", PLATFORM_GICR_BASE);
			cpu_relax();
		}
		__asm__ volatile("mrs x0, S3_0_C12_C12_5\n" /* ICC_SRE_EL1 */
				 "orr x0, x0, #1\n"
				 "msr S3_0_C12_C12_5, x0\n"
				 "isb\n"
				 "mov x0, #0xff\n"
				 "msr S3_0_C4_C6_0, x0\n" /* ICC_PMR_EL1 */
				 "mov x0, #1\n"
				 "msr S3_0_C12_C12_7, x0\n" /* ICC_IGRPEN1_EL1 */
				 "isb\n" ::
					 : "x0", "memory");
	} else {
		mmio_write32(GICD(GICD_CTLR), 1);
		mmio_write32(GICC(GICC_PMR), 0xff);
		mmio_write32(GICC(GICC_CTLR), 1);
	}
	if (v3)
		set_bit(GICD_IGROUPR, PLATFORM_VTIMER_IRQ);
	set_bit(GICD_ISENABLER, PLATFORM_VTIMER_IRQ);
}

static void timer_set(void)
{
	uint64_t now = clock_us(), hz, left = timer_at_us > now ? timer_at_us - now : 0;

	__asm__ volatile("mrs %0, cntfrq_el0" : "=r"(hz));
	if (!timer_at_us) {
		__asm__ volatile("msr cntv_ctl_el0, xzr; isb" ::: "memory");
		return;
	}
	if (left > 1000000)
		left = 1000000; /* the counter has 31 bits: go on when it fires */
	__asm__ volatile("msr cntv_tval_el0, %0; msr cntv_ctl_el0, %1; isb" ::"r"(left * hz / 1000000 + 1), "r"(1ull)
			 : "memory");
}

static void timer_fired(void)
{
	void (*handler)(void *) = timer_handler;

	if (timer_at_us && clock_us() < timer_at_us) {
		timer_set();
		return;
	}
	timer_at_us = 0;
	timer_set();
	if (handler)
		handler(timer_arg);
}

void irq_enter(void)
{
	uint64_t id;

	if (v3)
		__asm__ volatile("mrs %0, S3_0_C12_C12_0; dsb sy" : "=r"(id)::"memory"); /* ICC_IAR1_EL1 */
	else
		id = mmio_read32(GICC(GICC_IAR));
	if ((id & 0x3ff) >= FIRST_SPECIAL)
		return;
	if ((id & 0x3ff) == PLATFORM_VTIMER_IRQ)
		timer_fired();
	else if ((id & 0x3ff) < MAX_LINES && lines[id & 0x3ff].handler)
		lines[id & 0x3ff].handler(lines[id & 0x3ff].arg);
	else
		irq_stray++;
	if (v3)
		__asm__ volatile("msr S3_0_C12_C12_1, %0; isb" ::"r"(id) : "memory"); /* ICC_EOIR1_EL1 */
	else
		mmio_write32(GICC(GICC_EOIR), (uint32_t)id);
}

void exception(uint64_t kind, uint64_t esr, uint64_t elr, uint64_t far)
{
	panic("cpu: exception %lu, class 0x%lx, syndrome 0x%lx at 0x%lx, address 0x%lx", kind, esr >> 26, esr, elr,
	      far);
}

int irq_attach_line(unsigned line, bool edge, void (*handler)(void *arg), void *arg)
{
	uintptr_t config = GICD(GICD_ICFGR) + line / 16 * 4;
	uint32_t bit = 2u << line % 16 * 2;

	if (line < FIRST_SPI || line >= line_count || line >= MAX_LINES)
		return -EINVAL;
	if (lines[line].handler)
		return -EBUSY;
	lines[line] = (struct line){handler, arg};
	mmio_write32(config, edge ? mmio_read32(config) | bit : mmio_read32(config) & ~bit);
	mmio_write8(GICD(GICD_IPRIORITYR) + line, 0xa0);
	if (v3) {
		set_bit(GICD_IGROUPR, line);
		mmio_write64_halves(GICD(GICD_IROUTER) + 8u * line, 0);
	} else {
		mmio_write8(GICD(GICD_ITARGETSR) + line, 1);
	}
	set_bit(GICD_ISENABLER, line);
	return 0;
}

void irq_detach_line(unsigned line)
{
	if (line < FIRST_SPI || line >= line_count || line >= MAX_LINES)
		return;
	set_bit(GICD_ICENABLER, line);
	lines[line].handler = NULL;
}

int irq_attach_message(void (*handler)(void *arg), void *arg, uint64_t *address, uint32_t *data)
{
	(void)handler, (void)arg, (void)address, (void)data;
	return -EOPNOTSUPP; /* devices are on virtio-mmio here */
}

void irq_detach_message(int number)
{
	(void)number;
}

void irq_enable(void)
{
	__asm__ volatile("msr daifclr, #2" ::: "memory");
}

bool irq_disable(void)
{
	uint64_t flags;

	__asm__ volatile("mrs %0, daif; msr daifset, #2" : "=r"(flags)::"memory");
	return !(flags & (1u << 7));
}

void irq_restore(bool were_on)
{
	if (were_on)
		irq_enable();
}

void irq_wait(void)
{
	/* wfi ends at a pending interrupt even while interrupts are masked: none can slip in between. */
	__asm__ volatile("dsb sy; wfi; msr daifclr, #2; isb; msr daifset, #2" ::: "memory");
}

void irq_timer(uint64_t us, void (*handler)(void *arg), void *arg)
{
	bool on = irq_disable();

	timer_at_us = us;
	timer_handler = handler;
	timer_arg = arg;
	timer_set();
	irq_restore(on);
}

void irq_alarm(uint64_t us)
{
	irq_timer(us, NULL, NULL);
}
