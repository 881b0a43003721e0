/** Raspberry Pi RP2040, from its datasheet (clocks, resets, GPIO, UART, watchdog).
 *
 * The ring oscillator that it starts with is too inaccurate for a UART: the core and the UART run from the board's
 * 12 MHz crystal, without PLL.  UART0 is on GPIO0 and GPIO1, the Pico's LED on GPIO25.
 *
 * Compared: addresses with the Pico SDK's addressmap.h, XOSC and watchdog with its xosc.h and watchdog.h, reset and
 * power-on bits with its resets.h and psm.h.  Never run on silicon; run in an emulator of the chip, rp2040py, which
 * answers with the right UART set-up, pins and logits but has no real clocks.
 */
#include <stdint.h>

#include "core.h"
#include "port.h"

#define CLOCK_HZ 12000000u

#define CLK_REF_CTRL 0x40008030u
#define CLK_REF_SELECTED 0x40008038u
#define CLK_SYS_CTRL 0x4000803Cu
#define CLK_SYS_SELECTED 0x40008044u
#define CLK_PERI_CTRL 0x40008048u
#define RESETS_RESET_CLEAR 0x4000F000u /* atomic alias of RESETS_RESET */
#define RESETS_RESET_DONE 0x4000C008u
#define PSM_WDSEL 0x40010008u
#define GPIO_CTRL(pin) (0x40014004u + 8u * (pin))
#define PAD(pin) (0x4001C004u + 4u * (pin))
#define XOSC_CTRL 0x40024000u
#define XOSC_STATUS 0x40024004u
#define XOSC_STARTUP 0x4002400Cu
#define UART_DR 0x40034000u
#define UART_FR 0x40034018u
#define UART_IBRD 0x40034024u
#define UART_FBRD 0x40034028u
#define UART_LCR_H 0x4003402Cu
#define UART_CR 0x40034030u
#define UART_IMSC 0x40034038u
#define UART_IRQ 20u
#define WATCHDOG_CTRL 0x40058000u
#define WATCHDOG_LOAD 0x40058004u
#define WATCHDOG_REASON 0x40058008u
#define WATCHDOG_TICK 0x4005802Cu
#define SIO_OUT_SET 0xD0000014u
#define SIO_OUT_CLR 0xD0000018u
#define SIO_OE_SET 0xD0000024u

#define RESETS_OF_PORT (1u << 5 | 1u << 8 | 1u << 22) /* IO_BANK0, PADS_BANK0, UART0 */
#define SELECTED_REF 1u
#define SELECTED_XOSC 4u
#define CLK_REF_XOSC 2u
#define CLK_PERI_ENABLE (1u << 11) /* from the system clock */
#define XOSC_1_15_MHZ 0xAA0u
#define XOSC_ENABLE (0xFABu << 12)
#define XOSC_STABLE (1u << 31)
#define XOSC_STARTUP_1_MS 47u /* times 256 cycles */
#define TX_PIN 0u
#define RX_PIN 1u
#define LED_PIN 25u
#define FUNCTION_UART 2u
#define FUNCTION_SIO 5u
#define PAD_INPUT_PULL_UP 0x5Au /* input enabled, 4 mA, pull-up, Schmitt trigger */
#define FR_RX_EMPTY (1u << 4)
#define FR_TX_FULL (1u << 5)
#define LCR_8_BITS_FIFO (3u << 5 | 1u << 4)
#define CR_UART_TX_RX (1u << 0 | 1u << 8 | 1u << 9)
#define IMSC_RX_AND_TIMEOUT (1u << 4 | 1u << 6)
#define WATCHDOG_ENABLE (1u << 30)
#define WATCHDOG_PAUSE (7u << 24) /* while a debugger holds a core */
#define WATCHDOG_TICK_ENABLE (1u << 9)
#define PSM_ALL_BUT_OSCILLATORS 0x1FFFCu

/* Baud divider in units of 1/64: clock / (16 * baud), to the nearest. */
#define BAUD_64THS ((4u * CLOCK_HZ + PORT_BAUD / 2u) / PORT_BAUD)

static void use_crystal(void)
{
    REG32(XOSC_STARTUP) = XOSC_STARTUP_1_MS;
    REG32(XOSC_CTRL) = XOSC_ENABLE | XOSC_1_15_MHZ;
    while (!(REG32(XOSC_STATUS) & XOSC_STABLE)) {
    }
    REG32(CLK_REF_CTRL) = CLK_REF_XOSC;
    while (REG32(CLK_REF_SELECTED) != SELECTED_XOSC) {
    }
    REG32(CLK_SYS_CTRL) = 0;
    while (REG32(CLK_SYS_SELECTED) != SELECTED_REF) {
    }
    REG32(CLK_PERI_CTRL) = CLK_PERI_ENABLE;
}

void port_init(void)
{
    use_crystal();
    REG32(RESETS_RESET_CLEAR) = RESETS_OF_PORT;
    while ((REG32(RESETS_RESET_DONE) & RESETS_OF_PORT) != RESETS_OF_PORT) {
    }
    REG32(GPIO_CTRL(TX_PIN)) = FUNCTION_UART;
    REG32(GPIO_CTRL(RX_PIN)) = FUNCTION_UART;
    REG32(PAD(RX_PIN)) = PAD_INPUT_PULL_UP;
    port_led(0);
    REG32(SIO_OE_SET) = 1u << LED_PIN;
    REG32(GPIO_CTRL(LED_PIN)) = FUNCTION_SIO;
    REG32(UART_IBRD) = BAUD_64THS / 64u;
    REG32(UART_FBRD) = BAUD_64THS % 64u;
    REG32(UART_LCR_H) = LCR_8_BITS_FIFO; /* takes the divider over, too */
    REG32(UART_IMSC) = IMSC_RX_AND_TIMEOUT;
    REG32(UART_CR) = CR_UART_TX_RX;
}

uint32_t port_clock_hz(void)
{
    return CLOCK_HZ;
}

/* The registers keep old causes, and none records a software reset. */
port_reset_t port_take_reset_cause(void)
{
    return REG32(WATCHDOG_REASON) ? PORT_RESET_WATCHDOG : PORT_RESET_UNKNOWN;
}

uint32_t port_uart_get(uint8_t *byte)
{
    if (REG32(UART_FR) & FR_RX_EMPTY) {
        return 0;
    }
    *byte = (uint8_t)REG32(UART_DR);
    return 1;
}

void port_uart_put(uint8_t byte)
{
    while (REG32(UART_FR) & FR_TX_FULL) {
    }
    REG32(UART_DR) = byte;
}

/* Wakes when four bytes are in the FIFO, or 32 bit times after the last one. */
void port_sleep(void)
{
    core_sleep_until(UART_IRQ);
}

void port_led(uint32_t on)
{
    REG32(on ? SIO_OUT_SET : SIO_OUT_CLR) = 1u << LED_PIN;
}

/* It counts every microsecond twice (erratum RP2040-E1). */
void port_watchdog_feed(void)
{
    REG32(WATCHDOG_LOAD) = PORT_WATCHDOG_SECONDS * 2000000u;
}

void port_watchdog_start(void)
{
    REG32(WATCHDOG_TICK) = WATCHDOG_TICK_ENABLE | CLOCK_HZ / 1000000u;
    REG32(PSM_WDSEL) = PSM_ALL_BUT_OSCILLATORS;
    port_watchdog_feed();
    REG32(WATCHDOG_CTRL) = WATCHDOG_ENABLE | WATCHDOG_PAUSE;
}
