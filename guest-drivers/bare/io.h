/* SPDX-License-Identifier: MIT */
/* Device registers, I/O ports and memory barriers. All widths are in bits; addresses are identity-mapped. */
#ifndef MULLION_BARE_IO_H
#define MULLION_BARE_IO_H

#include <stdint.h>

static inline void barrier_compiler(void)
{
	__asm__ volatile("" ::: "memory");
}

#if defined(__x86_64__)

static inline uint8_t mmio_read8(uintptr_t a)
{
	return *(volatile uint8_t *)a;
}
static inline uint16_t mmio_read16(uintptr_t a)
{
	return *(volatile uint16_t *)a;
}
static inline uint32_t mmio_read32(uintptr_t a)
{
	return *(volatile uint32_t *)a;
}
static inline void mmio_write8(uintptr_t a, uint8_t v)
{
	*(volatile uint8_t *)a = v;
}
static inline void mmio_write16(uintptr_t a, uint16_t v)
{
	*(volatile uint16_t *)a = v;
}
static inline void mmio_write32(uintptr_t a, uint32_t v)
{
	*(volatile uint32_t *)a = v;
}

/* x86 keeps loads in order and stores in order; only a store followed by a load needs an instruction. */
static inline void barrier_read(void)
{
	barrier_compiler();
}
static inline void barrier_write(void)
{
	barrier_compiler();
}
static inline void barrier_full(void)
{
	__asm__ volatile("lock; orl $0, (%%rsp)" ::: "memory", "cc");
}
static inline void cpu_relax(void)
{
	__asm__ volatile("pause" ::: "memory");
}

static inline uint8_t port_read8(uint16_t p)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(p));
	return v;
}

static inline uint16_t port_read16(uint16_t p)
{
	uint16_t v;

	__asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(p));
	return v;
}

static inline uint32_t port_read32(uint16_t p)
{
	uint32_t v;

	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(p));
	return v;
}

static inline void port_write8(uint16_t p, uint8_t v)
{
	__asm__ volatile("outb %0, %1" ::"a"(v), "Nd"(p));
}
static inline void port_write16(uint16_t p, uint16_t v)
{
	__asm__ volatile("outw %0, %1" ::"a"(v), "Nd"(p));
}
static inline void port_write32(uint16_t p, uint32_t v)
{
	__asm__ volatile("outl %0, %1" ::"a"(v), "Nd"(p));
}

#elif defined(__aarch64__)

/*
 * One plain load or store each. What a compiler makes of a volatile may move the address on, too, or take two registers at
 * once, and of such an access to a device the processor does not say what it was (ESR_EL2.ISV is 0): no VMM can do it.
 */
static inline uint8_t mmio_read8(uintptr_t a)
{
	uint8_t v;

	__asm__ volatile("ldrb %w0, [%1]" : "=r"(v) : "r"(a));
	return v;
}
static inline uint16_t mmio_read16(uintptr_t a)
{
	uint16_t v;

	__asm__ volatile("ldrh %w0, [%1]" : "=r"(v) : "r"(a));
	return v;
}
static inline uint32_t mmio_read32(uintptr_t a)
{
	uint32_t v;

	__asm__ volatile("ldr %w0, [%1]" : "=r"(v) : "r"(a));
	return v;
}
static inline void mmio_write8(uintptr_t a, uint8_t v)
{
	__asm__ volatile("strb %w0, [%1]" ::"rZ"(v), "r"(a));
}
static inline void mmio_write16(uintptr_t a, uint16_t v)
{
	__asm__ volatile("strh %w0, [%1]" ::"rZ"(v), "r"(a));
}
static inline void mmio_write32(uintptr_t a, uint32_t v)
{
	__asm__ volatile("str %w0, [%1]" ::"rZ"(v), "r"(a));
}

static inline void barrier_read(void)
{
	__asm__ volatile("dmb ishld" ::: "memory");
}
static inline void barrier_write(void)
{
	__asm__ volatile("dmb ishst" ::: "memory");
}
static inline void barrier_full(void)
{
	__asm__ volatile("dmb ish" ::: "memory");
}
static inline void cpu_relax(void)
{
	__asm__ volatile("yield" ::: "memory");
}

#endif

/* Two 32-bit writes, low half first: what virtio asks of 64-bit registers. */
static inline void mmio_write64_halves(uintptr_t a, uint64_t v)
{
	mmio_write32(a, (uint32_t)v);
	mmio_write32(a + 4, (uint32_t)(v >> 32));
}

#endif
