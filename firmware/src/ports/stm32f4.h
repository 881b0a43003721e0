/** STM32F401 and F446, from ST's reference manuals RM0368 and RM0390 (RCC, GPIO, USART, vector table).
 *
 * After reset the core and both peripheral buses run from the 16 MHz RC oscillator.  USART2 on PA2 and PA3 is the
 * virtual COM port of the Nucleo-64 boards, whose LED is on PA5 (UM1724).
 *
 * Compared: addresses and bits with the SVD files STM32F41x and STM32F429x, whose RCC, GPIO and USART2 are the same;
 * RCC_CSR with stm32f401xe.h; interrupt, alternate functions and memory with modm-devices; pins with Zephyr's
 * nucleo_f401re.dts and nucleo_f446re.dts.
 */
#ifndef STM32F4_H
#define STM32F4_H

#include "stm32_gpio.h"

#define CLOCK_HZ 16000000u

#define RCC_AHB1ENR 0x40023830u
#define RCC_APB1ENR 0x40023840u
#define AHB1_GPIOA (1u << 0)
#define APB1_USART2 (1u << 17)

#define RESET_FLAGS 0x40023874u /* RCC_CSR */
#define RESET_REMOVE (1u << 24)
#define RESET_BY_SOFTWARE (1u << 28)
#define RESET_BY_WATCHDOG (1u << 29)
#define IWDG 0x40003000u

#define GPIOA 0x40020000u
#define USART 0x40004400u /* USART2 */
#define USART_IRQ 38u
#define USART_FUNCTION 7u
#define TX_PIN 2u
#define RX_PIN 3u
#define LED_BSRR (GPIOA + GPIO_BSRR)
#define LED_PIN 5u
#define LED_LOW_IS_ON 0u

static inline void family_clocks(void)
{
    REG32(RCC_AHB1ENR) |= AHB1_GPIOA;
    REG32(RCC_APB1ENR) |= APB1_USART2;
    (void)REG32(RCC_APB1ENR); /* a peripheral answers two bus cycles after its clock is on */
}

static inline void family_pins(void)
{
    gpio_use(GPIOA, TX_PIN, USART_FUNCTION);
    gpio_use(GPIOA, RX_PIN, USART_FUNCTION);
    gpio_drive(GPIOA, LED_PIN);
}

#endif
