/** STM32H743, from ST's reference manual RM0433 (RCC, GPIO, USART, vector table).
 *
 * After reset the core and all buses run from the 64 MHz RC oscillator, with both caches off.  USART3 on PD8 and PD9
 * is the virtual COM port of the Nucleo-144 boards, whose first LED is on PB0 (UM1974, UM2407).
 */
#include "core.h"
#include "port.h"
#include "stm32_gpio.h"
#include "stm32_reset.h"
#include "stm32_usart_v2.h"

#define CLOCK_HZ 64000000u

#define RCC_RSR 0x580244D0u
#define RCC_AHB4ENR 0x580244E0u
#define RCC_APB1LENR 0x580244E8u
#define GPIOB 0x58020400u
#define GPIOD 0x58020C00u
#define USART3 0x40004800u
#define USART3_IRQ 39u
#define IWDG1 0x58004800u

#define AHB4_GPIOB (1u << 1)
#define AHB4_GPIOD (1u << 3)
#define APB1_USART3 (1u << 18)
#define RSR_REMOVE (1u << 16)
#define RSR_SOFTWARE (1u << 24)
#define RSR_WATCHDOG (1u << 26)

#define TX_PIN 8u
#define RX_PIN 9u
#define USART_FUNCTION 7u
#define LED_PIN 0u

void port_init(void)
{
    REG32(RCC_AHB4ENR) |= AHB4_GPIOB | AHB4_GPIOD;
    REG32(RCC_APB1LENR) |= APB1_USART3;
    (void)REG32(RCC_APB1LENR); /* a peripheral answers two bus cycles after its clock is on */
    gpio_use(GPIOD, TX_PIN, USART_FUNCTION);
    gpio_use(GPIOD, RX_PIN, USART_FUNCTION);
    gpio_drive(GPIOB, LED_PIN);
    usart_start(USART3, CLOCK_HZ);
}

uint32_t port_clock_hz(void)
{
    return CLOCK_HZ;
}

port_reset_t port_take_reset_cause(void)
{
    return take_reset_cause(RCC_RSR, RSR_SOFTWARE, RSR_WATCHDOG, RSR_REMOVE);
}

uint32_t port_uart_get(uint8_t *byte)
{
    return usart_get(USART3, byte);
}

void port_uart_put(uint8_t byte)
{
    usart_put(USART3, byte);
}

void port_sleep(void)
{
    core_sleep_until(USART3_IRQ);
}

void port_led(uint32_t on)
{
    gpio_write(GPIOB, LED_PIN, on);
}

void port_watchdog_start(void)
{
    watchdog_start(IWDG1);
}

void port_watchdog_feed(void)
{
    watchdog_feed(IWDG1);
}
