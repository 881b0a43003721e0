/** What a board gives the firmware: its clock and one UART.
 *
 * One file a family in src/ports/ implements this; platformio.ini picks the file and the pins.  A port leaves the
 * clock as reset left it: every part then runs at a frequency its manual states, without PLL or flash set-up, and
 * the figures of two boards compare by cycles.
 */
#ifndef PORT_H
#define PORT_H

#include <stdint.h>

/** 8 data bits, no parity, 1 stop bit. */
#define PORT_BAUD 115200u

/** A register by its address. */
#define REG32(address) (*(volatile uint32_t *)(uintptr_t)(address))

/** Divider of `clock_hz` for PORT_BAUD, to the nearest. */
#define PORT_BAUD_DIVIDER(clock_hz) (((clock_hz) + PORT_BAUD / 2u) / PORT_BAUD)

/** Makes the UART ready in both directions. */
void port_init(void);

/** Frequency of the core, and so of the ticks. */
uint32_t port_clock_hz(void);

/** Next byte of the line; the core sleeps until there is one. */
uint8_t port_uart_get(void);

/** Hands one byte to the line; waits while the transmitter is full. */
void port_uart_put(uint8_t byte);

#endif
