// SPDX-License-Identifier: MIT
/* Register names and bits as in the 16550's data sheet, and in <linux/serial_reg.h>. */
#include "vmm/serial.h"

#include <errno.h>
#include <linux/serial_reg.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/log.h"
#include "vmm/bus.h"
#include "vmm/character.h"
#include "vmm/irq.h"
#include "vmm/vm.h"

#define INPUT_BYTES 1024u /* power of 2; the guest sees a FIFO that is never overrun */
#define REGISTERS 8
#define IIR_FIFOS_ON 0xc0 /* tells a 16550A */

struct serial {
	struct vm *vm;
	uint32_t gsi;
	struct bus_range range;
	struct character *character;

	pthread_mutex_t lock; /* all below */
	uint8_t ier, lcr, mcr, scr, fcr, dll, dlm;
	bool tx_full;	       /* the host's end has no room: THRE is off */
	bool tx_empty_pending; /* the "transmitter empty" interrupt was not seen yet */
	bool line;	       /* as KVM knows it */
	bool input_paused;
	uint8_t input[INPUT_BYTES];
	uint32_t head, tail; /* free-running */
};

static uint32_t queued(const struct serial *s)
{
	return s->head - s->tail;
}

static uint8_t pending(const struct serial *s)
{
	if ((s->ier & UART_IER_RDI) && queued(s))
		return UART_IIR_RDI;
	if ((s->ier & UART_IER_THRI) && s->tx_empty_pending)
		return UART_IIR_THRI;
	return UART_IIR_NO_INT;
}

/* OUT2 gates the interrupt on PCs, but some guests never set it: the IER alone decides. */
static void update_line(struct serial *s)
{
	bool level = pending(s) != UART_IIR_NO_INT;

	if (level == s->line)
		return;
	s->line = level;
	(void)irq_set_level(s->vm, s->gsi, level);
}

static void push(struct serial *s, uint8_t byte)
{
	if (queued(s) < INPUT_BYTES)
		s->input[s->head++ % INPUT_BYTES] = byte;
}

static void transmit(struct serial *s, uint8_t byte)
{
	s->tx_empty_pending = false;
	if (s->mcr & UART_MCR_LOOP) {
		push(s, byte);
		s->tx_empty_pending = true;
		return;
	}
	/* A guest that writes on while THRE is off loses bytes, as it would on the wire. */
	s->tx_full = !character_write(s->character, byte);
	if (!s->tx_full)
		s->tx_empty_pending = true;
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
		if ((value & UART_IER_THRI) && !(s->ier & UART_IER_THRI) && !s->tx_full)
			s->tx_empty_pending = true;
		s->ier = value & 0x0f;
		break;
	case UART_FCR:
		s->fcr = value;
		if (value & UART_FCR_CLEAR_RCVR)
			s->tail = s->head;
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
		if (queued(s))
			value = s->input[s->tail++ % INPUT_BYTES];
		return value;
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
		return (uint8_t)((queued(s) ? UART_LSR_DR : 0) | (s->tx_full ? 0 : UART_LSR_THRE | UART_LSR_TEMT));
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
	bool resume = false;

	/* Wider accesses are as many byte accesses, which is what the ISA bus makes of them. */
	pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < size; i++) {
		if (write)
			write_register(s, offset + i, bytes[i]);
		else
			bytes[i] = read_register(s, offset + i);
	}
	update_line(s);
	if (s->input_paused && queued(s) < INPUT_BYTES / 2) {
		s->input_paused = false;
		resume = true;
	}
	pthread_mutex_unlock(&s->lock);
	if (resume)
		character_resume(s->character);
}

/* ---- the host's end ---- */

static size_t room(void *owner)
{
	struct serial *s = owner;
	size_t n;

	pthread_mutex_lock(&s->lock);
	n = INPUT_BYTES - queued(s);
	s->input_paused = !n;
	pthread_mutex_unlock(&s->lock);
	return n;
}

static void input(void *owner, const uint8_t *bytes, size_t n)
{
	struct serial *s = owner;

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < n; i++)
		push(s, bytes[i]);
	update_line(s);
	pthread_mutex_unlock(&s->lock);
}

static void drained(void *owner)
{
	struct serial *s = owner;

	pthread_mutex_lock(&s->lock);
	s->tx_full = false;
	s->tx_empty_pending = true;
	update_line(s);
	pthread_mutex_unlock(&s->lock);
}

static void quit(void *owner)
{
	struct serial *s = owner;

	vm_end(s->vm, VM_END_USER);
}

static void power_button(void *owner)
{
	struct serial *s = owner;

	vm_power_button(s->vm);
}

static const struct character_ops host_end = {
	.room = room,
	.input = input,
	.drained = drained,
	.quit = quit,
	.power_button = power_button,
};

int serial_create(struct vm *vm, uint16_t base, uint32_t gsi, const char *spec, struct serial **out)
{
	struct serial *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->vm = vm;
	s->gsi = gsi;
	s->dll = 1;
	pthread_mutex_init(&s->lock, NULL);
	err = character_create(spec, vm_loop(vm), &host_end, s, &s->character);
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
		bus_remove(vm_pio(s->vm), &s->range);
	character_destroy(s->character);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
