/** What a board gives the firmware: its clock, one UART, one LED, a watchdog and the cause of the last reset.
 *
 * One file per family in src/ports/ implements this; boards/NAME.ini picks the file and the pins.  A port leaves the
 * clock as reset left it: every part then runs at a frequency its manual states, without PLL or flash set-up, and
 * the figures of two boards can be compared in cycles.
 */
#ifndef PORT_H
#define PORT_H

#include <stdint.h>

/** 8 data bits, no parity, 1 stop bit. */
#define PORT_BAUD 115200u

/** A watchdog that is not fed for this long resets the device; a part's low-speed oscillator may be off by half. */
#define PORT_WATCHDOG_SECONDS 8u

/** A register by its address. */
#define REG32(address) (*(volatile uint32_t *)(uintptr_t)(address))

/** Divider of `clock_hz` for PORT_BAUD, to the nearest. */
#define PORT_BAUD_DIVIDER(clock_hz) (((clock_hz) + PORT_BAUD / 2u) / PORT_BAUD)

/** Numbers of the protocol (docs/PROTOCOL.md, "The INFO block"). */
typedef enum {
    PORT_RESET_UNKNOWN = 0,
    PORT_RESET_POWER = 1, /* power-on, brown-out or the reset pin */
    PORT_RESET_SOFTWARE = 2,
    PORT_RESET_WATCHDOG = 3,
} port_reset_t;

/** Makes the UART ready in both directions, and the LED dark. */
void port_init(void);

/** Frequency of the core, and so of the ticks. */
uint32_t port_clock_hz(void);

/** Cause of the last reset.  Clears the part's record of it, so call this once after reset. */
port_reset_t port_take_reset_cause(void);

/** Fetches the next byte of the line; 0 when there is none. */
uint32_t port_uart_get(uint8_t *byte);

/** Hands one byte to the line; waits while the transmitter is full. */
void port_uart_put(uint8_t byte);

/** Sleeps until a byte comes or SysTick wraps; a byte that is already there is not slept through. */
void port_sleep(void);

void port_led(uint32_t on);

/** From here on the watchdog has to be fed.  It stops while the core sleeps on parts where it can. */
void port_watchdog_start(void);
void port_watchdog_feed(void);

/** Two places for loaded models, each 4-byte aligned, for a block and its seal.  Only where the model can be swapped; a
 * port that has flash for them defines PORT_HAS_SLOTS, else they are in RAM (src/slots_ram.c). */
#define PORT_SLOTS 2u
#define PORT_SEAL_BYTES 16u

/** Address of a slot, numbered from 0. */
const uint8_t *port_slot(uint32_t slot);

/** Makes all bytes of the slot 0xFF.  A power cut may leave anything in it, and nothing elsewhere. */
void port_slot_erase(uint32_t slot);

/** Writes erased bytes in order; `offset` and `length` are multiples of 4.  Returns when they can be read. */
void port_slot_write(uint32_t slot, uint32_t offset, const uint8_t *bytes, uint32_t length);

#endif
