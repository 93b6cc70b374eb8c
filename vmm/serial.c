// SPDX-License-Identifier: MIT
/* Register names and bits as in the 16550's data sheet, and in <linux/serial_reg.h>. */
#include "vmm/serial.h"

#include <errno.h>
#include <linux/serial_reg.h>
#include <stdlib.h>

#include "host/base/log.h"
#include "vmm/bus.h"
#include "vmm/uart.h"
#include "vmm/vm.h"

#define REGISTERS 8
#define IIR_FIFOS_ON 0xc0 /* tells a 16550A */

struct serial {
	struct uart uart;
	struct bus_range range;
	/* All below by uart.lock. */
	uint8_t ier, lcr, mcr, scr, fcr, dll, dlm;
	bool tx_empty_pending; /* the "transmitter empty" interrupt was not seen yet */
};

static uint8_t pending(const struct serial *s)
{
	if ((s->ier & UART_IER_RDI) && uart_queued(&s->uart))
		return UART_IIR_RDI;
	if ((s->ier & UART_IER_THRI) && s->tx_empty_pending)
		return UART_IIR_THRI;
	return UART_IIR_NO_INT;
}

/* OUT2 gates the interrupt on PCs, but some guests never set it: the IER alone decides. */
static bool interrupts(void *owner)
{
	return pending(owner) != UART_IIR_NO_INT;
}

static void drained(void *owner)
{
	struct serial *s = owner;

	s->tx_empty_pending = true;
}

static const struct uart_ops uart_ops = {.interrupts = interrupts, .drained = drained};

static void transmit(struct serial *s, uint8_t byte)
{
	if (s->mcr & UART_MCR_LOOP) {
		uart_push(&s->uart, byte);
		s->tx_empty_pending = true;
		return;
	}
	s->tx_empty_pending = uart_transmit(&s->uart, byte);
}

static void write_register(struct serial *s, uint64_t offset, uint8_t value)
{
	bool dlab = s->lcr & UART_LCR_DLAB;

	switch (offset) {
	case UART_TX:
		if (dlab)
			s->dll = value;
		else
			transmit(s, value);
		break;
	case UART_IER:
		if (dlab) {
			s->dlm = value;
			break;
		}
		/* Switching it on with an empty transmitter raises it at once; drivers kick themselves off that way. */
		if ((value & UART_IER_THRI) && !(s->ier & UART_IER_THRI) && !s->uart.tx_full)
			s->tx_empty_pending = true;
		s->ier = value & 0x0f;
		break;
	case UART_FCR:
		s->fcr = value;
		if (value & UART_FCR_CLEAR_RCVR)
			uart_clear(&s->uart);
		break;
	case UART_LCR:
		s->lcr = value;
		break;
	case UART_MCR:
		s->mcr = value & 0x1f;
		break;
	case UART_SCR:
		s->scr = value;
		break;
	}
}

static uint8_t read_modem_status(const struct serial *s)
{
	if (!(s->mcr & UART_MCR_LOOP))
		return UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS;
	/* Looped back: the outputs appear at the inputs. */
	return (uint8_t)((s->mcr & UART_MCR_RTS ? UART_MSR_CTS : 0) | (s->mcr & UART_MCR_DTR ? UART_MSR_DSR : 0) |
			 (s->mcr & UART_MCR_OUT1 ? UART_MSR_RI : 0) | (s->mcr & UART_MCR_OUT2 ? UART_MSR_DCD : 0));
}

static uint8_t read_register(struct serial *s, uint64_t offset)
{
	uint8_t value = 0;

	switch (offset) {
	case UART_RX:
		if (s->lcr & UART_LCR_DLAB)
			return s->dll;
		return uart_pop(&s->uart);
	case UART_IER:
		return s->lcr & UART_LCR_DLAB ? s->dlm : s->ier;
	case UART_IIR:
		value = pending(s);
		if (value == UART_IIR_THRI)
			s->tx_empty_pending = false; /* reading it acknowledges */
		return value | (s->fcr & UART_FCR_ENABLE_FIFO ? IIR_FIFOS_ON : 0);
	case UART_LCR:
		return s->lcr;
	case UART_MCR:
		return s->mcr;
	case UART_LSR:
		return (uint8_t)((uart_queued(&s->uart) ? UART_LSR_DR : 0) | (s->uart.tx_full ? 0 : UART_LSR_THRE | UART_LSR_TEMT));
	case UART_MSR:
		return read_modem_status(s);
	case UART_SCR:
		return s->scr;
	}
	return value;
}

static void access_serial(void *owner, uint64_t offset, void *data, unsigned size, bool write)
{
	struct serial *s = owner;
	uint8_t *bytes = data;

	/* Wider accesses are as many byte accesses, which is what the ISA bus makes of them. */
	uart_begin(&s->uart);
	for (unsigned i = 0; i < size; i++) {
		if (write)
			write_register(s, offset + i, bytes[i]);
		else
			bytes[i] = read_register(s, offset + i);
	}
	uart_end(&s->uart);
}

int serial_create(struct vm *vm, uint16_t base, uint32_t gsi, const char *spec, struct serial **out)
{
	struct serial *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->dll = 1;
	err = uart_init(&s->uart, vm, gsi, spec, &uart_ops, s);
	if (err)
		goto fail;
	s->range = (struct bus_range){.base = base, .size = REGISTERS, .access = access_serial, .owner = s};
	err = bus_add(vm_pio(vm), &s->range);
	if (err) {
		s->range.size = 0;
		log_line(LOG_TOPIC_VMM, LOG_ERROR, "serial: I/O port 0x%x is taken", base);
		goto fail;
	}
	*out = s;
	return 0;
fail:
	serial_destroy(s);
	return err;
}

void serial_destroy(struct serial *s)
{
	if (!s)
		return;
	if (s->range.size)
		bus_remove(vm_pio(s->uart.vm), &s->range);
	uart_finish(&s->uart);
	free(s);
}
