/** Arm's MPS2 and MPS3 boards as QEMU emulates them: the CMSDK APB UART and watchdog, and the FPGA's first LED.
 *
 * Arm Cortex-M System Design Kit TRM (DDI 0479), "APB UART" and "APB watchdog".  Addresses, interrupts and clocks:
 * Arm's application notes AN385 (M3), AN386 (M4), AN500 (M7), AN505 (M33) and AN547 (M55).  From boards/NAME.ini:
 * CMSDK_UART, CMSDK_RX_IRQ, CMSDK_CLOCK_HZ, CMSDK_LED, CMSDK_WATCHDOG and its clock, CMSDK_WATCHDOG_HZ.  Run in QEMU.
 *
 * The watchdog first raises NMI, which start-up treats as a fault: the registers show where the program hung.
 */
#include <stdint.h>

#include "core.h"
#include "port.h"

#define UART_DATA (CMSDK_UART + 0x00u)
#define UART_STATE (CMSDK_UART + 0x04u)
#define UART_CTRL (CMSDK_UART + 0x08u)
#define UART_INTCLEAR (CMSDK_UART + 0x0Cu)
#define UART_BAUDDIV (CMSDK_UART + 0x10u)

#define WATCHDOG_LOAD (CMSDK_WATCHDOG + 0x00u)
#define WATCHDOG_CONTROL (CMSDK_WATCHDOG + 0x08u)
#define WATCHDOG_INTCLEAR (CMSDK_WATCHDOG + 0x0Cu)
#define WATCHDOG_LOCK (CMSDK_WATCHDOG + 0xC00u)

#define STATE_TX_FULL (1u << 0)
#define STATE_RX_FULL (1u << 1)
#define CTRL_TX (1u << 0)
#define CTRL_RX (1u << 1)
#define CTRL_RX_INTERRUPT (1u << 3)
#define INT_RX (1u << 1)
#define WATCHDOG_UNLOCK 0x1ACCE551u
#define WATCHDOG_NMI_THEN_RESET 3u

void port_init(void)
{
    REG32(UART_BAUDDIV) = PORT_BAUD_DIVIDER(CMSDK_CLOCK_HZ);
    REG32(UART_CTRL) = CTRL_TX | CTRL_RX | CTRL_RX_INTERRUPT;
    port_led(0);
}

uint32_t port_clock_hz(void)
{
    return CMSDK_CLOCK_HZ;
}

port_reset_t port_take_reset_cause(void)
{
    return PORT_RESET_UNKNOWN; /* no register holds it */
}

uint32_t port_uart_get(uint8_t *byte)
{
    if (!(REG32(UART_STATE) & STATE_RX_FULL)) {
        return 0;
    }
    /* First the interrupt, then the byte: the next byte may follow at once and raise it again. */
    REG32(UART_INTCLEAR) = INT_RX;
    *byte = (uint8_t)REG32(UART_DATA);
    return 1;
}

void port_uart_put(uint8_t byte)
{
    while (REG32(UART_STATE) & STATE_TX_FULL) {
    }
    REG32(UART_DATA) = byte;
}

void port_sleep(void)
{
    core_sleep_until(CMSDK_RX_IRQ);
}

void port_led(uint32_t on)
{
    REG32(CMSDK_LED) = on;
}

void port_watchdog_start(void)
{
    REG32(WATCHDOG_LOCK) = WATCHDOG_UNLOCK;
    REG32(WATCHDOG_LOAD) = PORT_WATCHDOG_SECONDS * CMSDK_WATCHDOG_HZ;
    REG32(WATCHDOG_CONTROL) = WATCHDOG_NMI_THEN_RESET;
}

/* Clearing the interrupt loads the counter anew. */
void port_watchdog_feed(void)
{
    REG32(WATCHDOG_INTCLEAR) = 1;
}
