// SPDX-License-Identifier: MIT
#include "guest-drivers/bare/console.h"
#include "guest-drivers/bare/io.h"
#include "guest-drivers/bare/platform.h"

#if defined(__x86_64__)

#define UART(reg) ((uint16_t)(PLATFORM_SERIAL_PORT + (reg)))
#define UART_DATA UART(0)
#define UART_IER UART(1)
#define UART_FCR UART(2)
#define UART_LCR UART(3)
#define UART_MCR UART(4)
#define UART_LSR UART(5)
#define LSR_DATA_READY 0x01
#define LSR_THR_EMPTY 0x20
#define FIFO_BYTES 16

/* Room in the transmitter's FIFO; asking the device costs an exit, so it is asked once a FIFO. */
static unsigned room;

void console_init(void)
{
	port_write8(UART_IER, 0);
	port_write8(UART_LCR, 0x80); /* divisor latch: 115200 baud */
	port_write8(UART_DATA, 1);
	port_write8(UART_IER, 0);
	port_write8(UART_LCR, 0x03); /* 8 bits, no parity, 1 stop bit */
	port_write8(UART_FCR, 0x07); /* FIFOs on and empty */
	port_write8(UART_MCR, 0x03);
}

static void put(char c)
{
	if (!room) {
		while (!(port_read8(UART_LSR) & LSR_THR_EMPTY))
			cpu_relax();
		room = FIFO_BYTES;
	}
	room--;
	port_write8(UART_DATA, (uint8_t)c);
}

int console_read(void)
{
	return port_read8(UART_LSR) & LSR_DATA_READY ? port_read8(UART_DATA) : -1;
}

#elif defined(__aarch64__)

#define PL011_DR (PLATFORM_PL011_BASE + 0x00)
#define PL011_FR (PLATFORM_PL011_BASE + 0x18)
#define PL011_LCRH (PLATFORM_PL011_BASE + 0x2c)
#define PL011_CR (PLATFORM_PL011_BASE + 0x30)
#define FR_RX_EMPTY 0x10
#define FR_TX_FULL 0x20

void console_init(void)
{
	mmio_write32(PL011_CR, 0);
	mmio_write32(PL011_LCRH, 0x70); /* 8 bits, FIFOs on */
	mmio_write32(PL011_CR, 0x301);	/* transmitter, receiver, UART on */
}

static void put(char c)
{
	while (mmio_read32(PL011_FR) & FR_TX_FULL)
		cpu_relax();
	mmio_write32(PL011_DR, (uint8_t)c);
}

int console_read(void)
{
	return mmio_read32(PL011_FR) & FR_RX_EMPTY ? -1 : (int)(mmio_read32(PL011_DR) & 0xff);
}

#endif

void console_write(const char *text, size_t n)
{
	for (; n; n--, text++) {
		if (*text == '\n')
			put('\r');
		put(*text);
	}
}
