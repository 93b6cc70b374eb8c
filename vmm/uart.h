/* SPDX-License-Identifier: MIT */
/*
 * What every serial port has behind its registers: the bytes that came for the guest, the host's end (a struct
 * character), the interrupt line. Registers are answered on the vCPU's thread under the port's own lock, so a byte costs
 * one exit and no thread switch.
 */
#ifndef MULLION_VMM_UART_H
#define MULLION_VMM_UART_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define UART_INPUT_BYTES 1024u /* power of 2; the guest sees a FIFO that is never overrun */

struct character;
struct vm;

/* Both are called with the lock held. Thread: loop or vCPU. */
struct uart_ops {
	bool (*interrupts)(void *owner); /* do the registers ask for the interrupt line? */
	void (*drained)(void *owner);	 /* output is possible again after uart_transmit() said false */
};

/* Embedded in a port, which reads the fields; the functions below change them. */
struct uart {
	struct vm *vm;
	uint32_t gsi;
	const struct uart_ops *ops;
	void *owner;
	struct character *character;

	pthread_mutex_t lock; /* all below, and the port's registers */
	bool tx_full;	      /* the host's end has no room */
	bool line;	      /* as KVM knows it */
	bool input_paused;
	uint8_t input[UART_INPUT_BYTES];
	uint32_t head, tail; /* free-running */
};

/* @spec as in character.h. Prints a line and returns a negative errno if it can't. Before the first vCPU runs. */
int uart_init(struct uart *u, struct vm *vm, uint32_t gsi, const char *spec, const struct uart_ops *ops, void *owner);
/* After the registers are off their bus; also when uart_init() failed. */
void uart_finish(struct uart *u);

/* Around each access to the registers; the second sets the line, and lets input go on. Thread: any. */
void uart_begin(struct uart *u);
void uart_end(struct uart *u);

/* ---- between the two ---- */
uint32_t uart_queued(const struct uart *u);
void uart_push(struct uart *u, uint8_t byte); /* as if it came from the host: what a loop-back does */
uint8_t uart_pop(struct uart *u);	      /* 0 if nothing is queued */
void uart_clear(struct uart *u);
/* False: there is no room for another byte until ops->drained(); one written meanwhile is lost, as on the wire. */
bool uart_transmit(struct uart *u, uint8_t byte);

#endif
