/** STM32H743, from ST's reference manual RM0433 (RCC, GPIO, USART, vector table).
 *
 * After reset the core and all buses run from the 64 MHz RC oscillator, with both caches off.  USART3 on PD8 and PD9
 * is the virtual COM port of the Nucleo-144 boards, whose first LED is on PB0 (UM1974, UM2407).
 *
 * Compared: the registers of RCC and USART with stm32h743xx.h; the bits of RCC_RSR with stm32-rs' STM32H743; addresses
 * of GPIO, USART3 and IWDG1, clock bits and interrupt with Zephyr's stm32h7.dtsi; alternate functions and memory with
 * modm-devices; pins with Zephyr's nucleo_h743zi.dts.
 */
#ifndef STM32H7_H
#define STM32H7_H

#define STM32_USART_NEW
#define CLOCK_HZ 64000000u

#define GPIO_CLOCK_REGISTER 0x580244E0u /* RCC_AHB4ENR */
#define GPIO_CLOCK_BITS ((1u << 1) | (1u << 3)) /* GPIOB, GPIOD */
#define USART_CLOCK_REGISTER 0x580244E8u /* RCC_APB1LENR */
#define USART_CLOCK_BIT (1u << 18)

#define RESET_FLAGS 0x580244D0u /* RCC_RSR */
#define RESET_REMOVE (1u << 16)
#define RESET_BY_SOFTWARE (1u << 24)
#define RESET_BY_WATCHDOG (1u << 26)
#define IWDG 0x58004800u /* IWDG1 */

#define USART_GPIO 0x58020C00u /* GPIOD */
#define USART 0x40004800u /* USART3 */
#define USART_IRQ 39u
#define TX_FUNCTION 7u
#define RX_FUNCTION 7u
#define TX_PIN 8u
#define RX_PIN 9u
#define LED_GPIO 0x58020400u /* GPIOB */
#define LED_PIN 0u

#endif
