/** STM32G071, from ST's reference manual RM0444 (RCC, GPIO, USART, vector table).
 *
 * After reset the core and the peripheral bus run from the 16 MHz RC oscillator.  USART2 on PA2 and PA3 is the virtual
 * COM port of the Nucleo-G071RB, whose LED is on PA5 (UM2324).
 *
 * Compared: addresses with stm32g071xx.h; the bits of RCC_CSR with stm32-rs' STM32G071; clock bits and interrupt with
 * Zephyr's stm32g0.dtsi; alternate functions and memory with modm-devices; pins with Zephyr's nucleo_g071rb.dts.
 */
#ifndef STM32G0_H
#define STM32G0_H

#include "stm32_gpio.h"

#define STM32_USART_NEW
#define CLOCK_HZ 16000000u

#define RCC_IOPENR 0x40021034u
#define RCC_APBENR1 0x4002103Cu
#define IOP_GPIOA (1u << 0)
#define APB_USART2 (1u << 17)

#define RESET_FLAGS 0x40021060u /* RCC_CSR */
#define RESET_REMOVE (1u << 23)
#define RESET_BY_SOFTWARE (1u << 28)
#define RESET_BY_WATCHDOG (1u << 29)
#define IWDG 0x40003000u

#define GPIOA 0x50000000u
#define USART 0x40004400u /* USART2 */
#define USART_IRQ 28u
#define USART_FUNCTION 1u
#define TX_PIN 2u
#define RX_PIN 3u
#define LED_BSRR (GPIOA + GPIO_BSRR)
#define LED_PIN 5u
#define LED_LOW_IS_ON 0u

static inline void family_clocks(void)
{
    REG32(RCC_IOPENR) |= IOP_GPIOA;
    REG32(RCC_APBENR1) |= APB_USART2;
    (void)REG32(RCC_APBENR1); /* a peripheral answers two bus cycles after its clock is on */
}

static inline void family_pins(void)
{
    gpio_use(GPIOA, TX_PIN, USART_FUNCTION);
    gpio_use(GPIOA, RX_PIN, USART_FUNCTION);
    gpio_drive(GPIOA, LED_PIN);
}

#endif
