// SPDX-License-Identifier: MIT
/* Registers as in Arm DDI 0183 (PrimeCell UART PL011), chapter 3. */
#include "vmm/arm64/pl011.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/log.h"
#include "vmm/bus.h"
#include "vmm/uart.h"
#include "vmm/vm.h"

enum {
	DR = 0x000,
	RSR = 0x004,
	FR = 0x018,
	ILPR = 0x020,
	IBRD = 0x024,
	FBRD = 0x028,
	LCR_H = 0x02c,
	CR = 0x030,
	IFLS = 0x034,
	IMSC = 0x038,
	RIS = 0x03c,
	MIS = 0x040,
	ICR = 0x044,
	DMACR = 0x048,
	IDS = 0xfe0, /* eight identification registers */
};

#define FR_CTS (1u << 0)
#define FR_DSR (1u << 1)
#define FR_DCD (1u << 2)
#define FR_RXFE (1u << 4)
#define FR_TXFF (1u << 5)
#define FR_RXFF (1u << 6)
#define FR_TXFE (1u << 7)
#define CR_LOOP (1u << 7)
#define CR_RESET 0x0300u
#define IFLS_RESET 0x12u
#define INT_RX (1u << 4)
#define INT_TX (1u << 5)
#define INT_RX_TIMEOUT (1u << 6)
#define INT_ALL 0x7ffu

struct pl011 {
	struct uart uart;
	struct bus_range range;
	/* All below by uart.lock. */
	uint32_t ilpr, ibrd, fbrd, lcr_h, cr, ifls, imsc, dmacr;
	bool tx_event; /* the raw transmit interrupt: room came, and was not cleared yet */
};

/* Reception asserts both: the FIFO level says nothing where bytes do not arrive one by one. */
static uint32_t raw_status(const struct pl011 *p)
{
	return (uart_queued(&p->uart) ? INT_RX | INT_RX_TIMEOUT : 0) | (p->tx_event ? INT_TX : 0);
}

static bool interrupts(void *owner)
{
	const struct pl011 *p = owner;

	return raw_status(p) & p->imsc;
}

static void drained(void *owner)
{
	struct pl011 *p = owner;

	p->tx_event = true;
}

static const struct uart_ops uart_ops = {.interrupts = interrupts, .drained = drained};

static void transmit(struct pl011 *p, uint8_t byte)
{
	if (p->cr & CR_LOOP) {
		uart_push(&p->uart, byte);
		p->tx_event = true;
		return;
	}
	p->tx_event = uart_transmit(&p->uart, byte);
}

static uint32_t read_register(struct pl011 *p, uint64_t offset)
{
	static const uint8_t ids[] = {0x11, 0x10, 0x34, 0x00, 0x0d, 0xf0, 0x05, 0xb1};

	switch (offset) {
	case DR:
		return uart_pop(&p->uart);
	case FR:
		return FR_CTS | FR_DSR | FR_DCD | (uart_queued(&p->uart) ? 0 : FR_RXFE) | (uart_queued(&p->uart) == UART_INPUT_BYTES ? FR_RXFF : 0) |
		       (p->uart.tx_full ? FR_TXFF : FR_TXFE);
	case ILPR:
		return p->ilpr;
	case IBRD:
		return p->ibrd;
	case FBRD:
		return p->fbrd;
	case LCR_H:
		return p->lcr_h;
	case CR:
		return p->cr;
	case IFLS:
		return p->ifls;
	case IMSC:
		return p->imsc;
	case RIS:
		return raw_status(p);
	case MIS:
		return raw_status(p) & p->imsc;
	case DMACR:
		return p->dmacr;
	}
	if (offset >= IDS && offset < IDS + 4 * sizeof(ids))
		return ids[(offset - IDS) / 4];
	return 0; /* RSR too: no receive error happens here */
}

static void write_register(struct pl011 *p, uint64_t offset, uint32_t value)
{
	switch (offset) {
	case DR:
		transmit(p, (uint8_t)value);
		break;
	case ILPR:
		p->ilpr = value & 0xff;
		break;
	case IBRD:
		p->ibrd = value & 0xffff;
		break;
	case FBRD:
		p->fbrd = value & 0x3f;
		break;
	case LCR_H:
		p->lcr_h = value & 0xff;
		break;
	case CR:
		p->cr = value & 0xffff;
		break;
	case IFLS:
		p->ifls = value & 0x3f;
		break;
	case IMSC:
		p->imsc = value & INT_ALL;
		break;
	case ICR:
		if (value & INT_TX)
			p->tx_event = false;
		break;
	case DMACR:
		p->dmacr = value & 7;
		break;
	case RSR: /* clears errors, of which there are none */
	default:
		break;
	}
}

/* Drivers use accesses of 1, 2 and 4 bytes; the register's low bytes are meant. */
static void access_pl011(void *owner, uint64_t offset, void *data, unsigned size, bool write)
{
	struct pl011 *p = owner;
	uint32_t value = 0;

	uart_begin(&p->uart);
	if (write) {
		memcpy(&value, data, size < sizeof(value) ? size : sizeof(value));
		write_register(p, offset, value);
	} else {
		value = read_register(p, offset);
		memset(data, 0, size);
		memcpy(data, &value, size < sizeof(value) ? size : sizeof(value));
	}
	uart_end(&p->uart);
}

int pl011_create(struct vm *vm, uint64_t base, uint32_t gsi, const char *spec, struct pl011 **out)
{
	struct pl011 *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	p->cr = CR_RESET;
	p->ifls = IFLS_RESET;
	err = uart_init(&p->uart, vm, gsi, spec, &uart_ops, p);
	if (err)
		goto fail;
	p->range = (struct bus_range){.base = base, .size = PL011_BYTES, .access = access_pl011, .owner = p};
	err = bus_add(vm_mmio(vm), &p->range);
	if (err) {
		p->range.size = 0;
		log_line(LOG_TOPIC_VMM, LOG_ERROR, "serial: address 0x%llx is taken", (unsigned long long)base);
		goto fail;
	}
	*out = p;
	return 0;
fail:
	pl011_destroy(p);
	return err;
}

void pl011_destroy(struct pl011 *p)
{
	if (!p)
		return;
	if (p->range.size)
		bus_remove(vm_mmio(p->uart.vm), &p->range);
	uart_finish(&p->uart);
	free(p);
}
