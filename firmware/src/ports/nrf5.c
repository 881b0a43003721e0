/** Nordic nRF51 and nRF52: the UART without DMA, which both have.
 *
 * nRF51 Series Reference Manual v3.0 and nRF52840 Product Specification v1.1 (CLOCK, GPIO, UART).  From
 * boards/NAME.ini: NRF_TX_PIN and NRF_RX_PIN on port 0, NRF_CLOCK_HZ, which is 16 MHz on nRF51 and 64 MHz on nRF52, and
 * the LED: it shines while NRF_LED_LOW_PIN is low and, on the micro:bit's matrix, NRF_LED_HIGH_PIN high.
 *
 * SysTick stops while the core sleeps, so nothing happens then; the watchdog is set to stop too.
 *
 * Compared: every address, bit and value with the SVD files nrf51 and nrf52840; memory with modm-devices; pins with
 * Zephyr's pin files of bbc_microbit and nrf52840dk.  Run in QEMU as micro:bit.
 */
#include <stdint.h>

#include "core.h"
#include "port.h"

#define POWER_RESETREAS 0x40000400u
#define CLOCK_HFCLKSTART 0x40000000u

#define UART_STARTRX 0x40002000u
#define UART_STARTTX 0x40002008u
#define UART_RXDRDY 0x40002108u
#define UART_TXDRDY 0x4000211Cu
#define UART_INTENSET 0x40002304u
#define UART_ENABLE 0x40002500u
#define UART_PSELTXD 0x4000250Cu
#define UART_PSELRXD 0x40002514u
#define UART_RXD 0x40002518u
#define UART_TXD 0x4000251Cu
#define UART_BAUDRATE 0x40002524u
#define UART_IRQ 2u

#define WDT_START 0x40010000u
#define WDT_CRV 0x40010504u
#define WDT_RREN 0x40010508u
#define WDT_CONFIG 0x4001050Cu
#define WDT_RR0 0x40010600u

#define GPIO_OUTSET 0x50000508u
#define GPIO_OUTCLR 0x5000050Cu
#define GPIO_DIRSET 0x50000518u
#define GPIO_PIN_CNF(pin) (0x50000700u + 4u * (pin))

#define RESETREAS_WATCHDOG (1u << 1)
#define RESETREAS_SOFTWARE (1u << 2)
#define WDT_HZ 32768u
#define WDT_FEED 0x6E524635u
#define PIN_INPUT_PULL_UP (3u << 2)
#define ENABLE_UART 4u
#define INTEN_RXDRDY (1u << 2)
#define BAUDRATE_115200 0x01D7E000u

void port_init(void)
{
    /* The crystal gives the baud rate; until it runs, the RC oscillator goes on, so nothing waits for it. */
    REG32(CLOCK_HFCLKSTART) = 1;
    REG32(GPIO_OUTSET) = 1u << NRF_TX_PIN;
    REG32(GPIO_DIRSET) = 1u << NRF_TX_PIN;
    port_led(0);
    REG32(GPIO_DIRSET) = 1u << NRF_LED_LOW_PIN;
#ifdef NRF_LED_HIGH_PIN
    REG32(GPIO_OUTSET) = 1u << NRF_LED_HIGH_PIN;
    REG32(GPIO_DIRSET) = 1u << NRF_LED_HIGH_PIN;
#endif
    REG32(GPIO_PIN_CNF(NRF_RX_PIN)) = PIN_INPUT_PULL_UP;
    REG32(UART_PSELTXD) = NRF_TX_PIN;
    REG32(UART_PSELRXD) = NRF_RX_PIN;
    REG32(UART_BAUDRATE) = BAUDRATE_115200;
    REG32(UART_ENABLE) = ENABLE_UART;
    REG32(UART_INTENSET) = INTEN_RXDRDY;
    REG32(UART_STARTTX) = 1;
    REG32(UART_STARTRX) = 1;
}

uint32_t port_clock_hz(void)
{
    return NRF_CLOCK_HZ;
}

/* The register accumulates causes until they are written back; power-on sets none of them. */
port_reset_t port_take_reset_cause(void)
{
    uint32_t causes = REG32(POWER_RESETREAS);

    REG32(POWER_RESETREAS) = causes;
    if (causes & RESETREAS_WATCHDOG) {
        return PORT_RESET_WATCHDOG;
    }
    return (causes & RESETREAS_SOFTWARE) != 0u ? PORT_RESET_SOFTWARE : PORT_RESET_POWER;
}

uint32_t port_uart_get(uint8_t *byte)
{
    if (!REG32(UART_RXDRDY)) {
        return 0;
    }
    /* First the event, then the byte: the next of the six buffered bytes raises it again. */
    REG32(UART_RXDRDY) = 0;
    *byte = (uint8_t)REG32(UART_RXD);
    return 1;
}

void port_uart_put(uint8_t byte)
{
    REG32(UART_TXDRDY) = 0;
    REG32(UART_TXD) = byte;
    while (!REG32(UART_TXDRDY)) {
    }
}

void port_sleep(void)
{
    core_sleep_until(UART_IRQ);
}

void port_led(uint32_t on)
{
    REG32(on ? GPIO_OUTCLR : GPIO_OUTSET) = 1u << NRF_LED_LOW_PIN;
}

/* A running watchdog keeps its set-up: a software reset does not stop it. */
void port_watchdog_start(void)
{
    REG32(WDT_CONFIG) = 0; /* stops while the core sleeps or a debugger holds it */
    REG32(WDT_CRV) = PORT_WATCHDOG_SECONDS * WDT_HZ - 1u;
    REG32(WDT_RREN) = 1;
    REG32(WDT_START) = 1;
}

void port_watchdog_feed(void)
{
    REG32(WDT_RR0) = WDT_FEED;
}
