/** STM32H743, from ST's reference manual RM0433 (RCC, GPIO, USART, vector table).
 *
 * After reset the core and all buses run from the 64 MHz RC oscillator, with both caches off.  USART3 on PD8 and PD9
 * is the virtual COM port of the Nucleo-144 boards, whose first LED is on PB0 (UM1974, UM2407).
 *
 * Compared: the registers of RCC and USART with stm32h743xx.h; the bits of RCC_RSR with stm32-rs' STM32H743; addresses of
 * GPIO, USART3 and IWDG1, clock bits and interrupt with Zephyr's stm32h7.dtsi; alternate functions and memory with
 * modm-devices; pins with Zephyr's nucleo_h743zi.dts.
 */
#ifndef STM32H7_H
#define STM32H7_H

#include "stm32_gpio.h"

#define STM32_USART_NEW
#define CLOCK_HZ 64000000u

#define RCC_AHB4ENR 0x580244E0u
#define RCC_APB1LENR 0x580244E8u
#define AHB4_GPIOB (1u << 1)
#define AHB4_GPIOD (1u << 3)
#define APB1_USART3 (1u << 18)

#define RESET_FLAGS 0x580244D0u /* RCC_RSR */
#define RESET_REMOVE (1u << 16)
#define RESET_BY_SOFTWARE (1u << 24)
#define RESET_BY_WATCHDOG (1u << 26)
#define IWDG 0x58004800u /* IWDG1 */

#define GPIOB 0x58020400u
#define GPIOD 0x58020C00u
#define USART 0x40004800u /* USART3 */
#define USART_IRQ 39u
#define USART_FUNCTION 7u
#define TX_PIN 8u
#define RX_PIN 9u
#define LED_BSRR (GPIOB + GPIO_BSRR)
#define LED_PIN 0u
#define LED_LOW_IS_ON 0u

static inline void family_clocks(void)
{
    REG32(RCC_AHB4ENR) |= AHB4_GPIOB | AHB4_GPIOD;
    REG32(RCC_APB1LENR) |= APB1_USART3;
    (void)REG32(RCC_APB1LENR); /* a peripheral answers two bus cycles after its clock is on */
}

static inline void family_pins(void)
{
    gpio_use(GPIOD, TX_PIN, USART_FUNCTION);
    gpio_use(GPIOD, RX_PIN, USART_FUNCTION);
    gpio_drive(GPIOB, LED_PIN);
}

#endif
