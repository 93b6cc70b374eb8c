// SPDX-License-Identifier: MIT
#include "vmm/uart.h"

#include "vmm/character.h"
#include "vmm/irq.h"
#include "vmm/vm.h"

uint32_t uart_queued(const struct uart *u)
{
	return u->head - u->tail;
}

void uart_push(struct uart *u, uint8_t byte)
{
	if (uart_queued(u) < UART_INPUT_BYTES)
		u->input[u->head++ % UART_INPUT_BYTES] = byte;
}

uint8_t uart_pop(struct uart *u)
{
	return uart_queued(u) ? u->input[u->tail++ % UART_INPUT_BYTES] : 0;
}

void uart_clear(struct uart *u)
{
	u->tail = u->head;
}

bool uart_transmit(struct uart *u, uint8_t byte)
{
	u->tx_full = !character_write(u->character, byte);
	return !u->tx_full;
}

static void update_line(struct uart *u)
{
	bool level = u->ops->interrupts(u->owner);

	if (level == u->line)
		return;
	u->line = level;
	(void)irq_set_level(u->vm, u->gsi, level);
}

void uart_begin(struct uart *u)
{
	pthread_mutex_lock(&u->lock);
}

void uart_end(struct uart *u)
{
	bool resume = u->input_paused && uart_queued(u) < UART_INPUT_BYTES / 2;

	update_line(u);
	if (resume)
		u->input_paused = false;
	pthread_mutex_unlock(&u->lock);
	if (resume)
		character_resume(u->character);
}

/* ---- the host's end ---- */

static size_t room(void *owner)
{
	struct uart *u = owner;
	size_t n;

	pthread_mutex_lock(&u->lock);
	n = UART_INPUT_BYTES - uart_queued(u);
	u->input_paused = !n;
	pthread_mutex_unlock(&u->lock);
	return n;
}

static void input(void *owner, const uint8_t *bytes, size_t n)
{
	struct uart *u = owner;

	pthread_mutex_lock(&u->lock);
	for (size_t i = 0; i < n; i++)
		uart_push(u, bytes[i]);
	update_line(u);
	pthread_mutex_unlock(&u->lock);
}

static void drained(void *owner)
{
	struct uart *u = owner;

	pthread_mutex_lock(&u->lock);
	u->tx_full = false;
	u->ops->drained(u->owner);
	update_line(u);
	pthread_mutex_unlock(&u->lock);
}

static void quit(void *owner)
{
	struct uart *u = owner;

	vm_end(u->vm, VM_END_USER);
}

static void power_button(void *owner)
{
	struct uart *u = owner;

	vm_power_button(u->vm);
}

static const struct character_ops host_end = {
	.room = room,
	.input = input,
	.drained = drained,
	.quit = quit,
	.power_button = power_button,
};

int uart_init(struct uart *u, struct vm *vm, uint32_t gsi, const char *spec, const struct uart_ops *ops, void *owner)
{
	u->vm = vm;
	u->gsi = gsi;
	u->ops = ops;
	u->owner = owner;
	pthread_mutex_init(&u->lock, NULL);
	return character_create(spec, vm_loop(vm), &host_end, u, &u->character);
}

void uart_finish(struct uart *u)
{
	character_destroy(u->character);
	pthread_mutex_destroy(&u->lock);
}
