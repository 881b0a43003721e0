/** Arm's MPS2 and MPS3 boards as QEMU emulates them: the CMSDK APB UART.
 *
 * Arm Cortex-M System Design Kit TRM (DDI 0479), "APB UART".  Addresses, interrupts and clocks: Arm's application
 * notes AN385 (M3), AN386 (M4), AN500 (M7), AN505 (M33) and AN547 (M55).  From platformio.ini: CMSDK_UART,
 * CMSDK_RX_IRQ, CMSDK_CLOCK_HZ.
 */
#include "core.h"
#include "port.h"

#define UART_DATA (CMSDK_UART + 0x00u)
#define UART_STATE (CMSDK_UART + 0x04u)
#define UART_CTRL (CMSDK_UART + 0x08u)
#define UART_INTCLEAR (CMSDK_UART + 0x0Cu)
#define UART_BAUDDIV (CMSDK_UART + 0x10u)

#define STATE_TX_FULL (1u << 0)
#define STATE_RX_FULL (1u << 1)
#define CTRL_TX (1u << 0)
#define CTRL_RX (1u << 1)
#define CTRL_RX_INTERRUPT (1u << 3)
#define INT_RX (1u << 1)

void port_init(void)
{
    REG32(UART_BAUDDIV) = PORT_BAUD_DIVIDER(CMSDK_CLOCK_HZ);
    REG32(UART_CTRL) = CTRL_TX | CTRL_RX | CTRL_RX_INTERRUPT;
}

uint32_t port_clock_hz(void)
{
    return CMSDK_CLOCK_HZ;
}

uint8_t port_uart_get(void)
{
    while (!(REG32(UART_STATE) & STATE_RX_FULL)) {
        core_sleep_until(CMSDK_RX_IRQ);
    }
    /* First the interrupt, then the byte: the next byte may follow at once and raise it again. */
    REG32(UART_INTCLEAR) = INT_RX;
    return (uint8_t)REG32(UART_DATA);
}

void port_uart_put(uint8_t byte)
{
    while (REG32(UART_STATE) & STATE_TX_FULL) {
    }
    REG32(UART_DATA) = byte;
}
