/** STM32F401 and F446, from ST's reference manuals RM0368 and RM0390 (RCC, GPIO, USART, vector table).
 *
 * After reset the core and both peripheral buses run from the 16 MHz RC oscillator.  USART2 on PA2 and PA3 is the
 * virtual COM port of the Nucleo-64 boards, whose LED is on PA5 (UM1724).
 */
#include "core.h"
#include "port.h"
#include "stm32_gpio.h"
#include "stm32_reset.h"
#include "stm32_usart_v1.h"

#define CLOCK_HZ 16000000u

#define RCC_AHB1ENR 0x40023830u
#define RCC_APB1ENR 0x40023840u
#define RCC_CSR 0x40023874u
#define GPIOA 0x40020000u
#define USART2 0x40004400u
#define USART2_IRQ 38u
#define IWDG 0x40003000u

#define AHB1_GPIOA (1u << 0)
#define APB1_USART2 (1u << 17)
#define CSR_REMOVE (1u << 24)
#define CSR_SOFTWARE (1u << 28)
#define CSR_WATCHDOG (1u << 29)

#define TX_PIN 2u
#define RX_PIN 3u
#define USART_FUNCTION 7u
#define LED_PIN 5u

void port_init(void)
{
    REG32(RCC_AHB1ENR) |= AHB1_GPIOA;
    REG32(RCC_APB1ENR) |= APB1_USART2;
    (void)REG32(RCC_APB1ENR); /* a peripheral answers two bus cycles after its clock is on */
    gpio_use(GPIOA, TX_PIN, USART_FUNCTION);
    gpio_use(GPIOA, RX_PIN, USART_FUNCTION);
    gpio_drive(GPIOA, LED_PIN);
    usart_start(USART2, CLOCK_HZ);
}

uint32_t port_clock_hz(void)
{
    return CLOCK_HZ;
}

port_reset_t port_take_reset_cause(void)
{
    return take_reset_cause(RCC_CSR, CSR_SOFTWARE, CSR_WATCHDOG, CSR_REMOVE);
}

uint32_t port_uart_get(uint8_t *byte)
{
    return usart_get(USART2, byte);
}

void port_uart_put(uint8_t byte)
{
    usart_put(USART2, byte);
}

void port_sleep(void)
{
    core_sleep_until(USART2_IRQ);
}

void port_led(uint32_t on)
{
    gpio_write(GPIOA, LED_PIN, on);
}

void port_watchdog_start(void)
{
    watchdog_start(IWDG);
}

void port_watchdog_feed(void)
{
    watchdog_feed(IWDG);
}
