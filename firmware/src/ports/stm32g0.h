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

#define STM32_USART_NEW
#define CLOCK_HZ 16000000u

#define GPIO_CLOCK_REGISTER 0x40021034u /* RCC_IOPENR */
#define GPIO_CLOCK_BITS (1u << 0) /* GPIOA */
#define USART_CLOCK_REGISTER 0x4002103Cu /* RCC_APBENR1 */
#define USART_CLOCK_BIT (1u << 17)

#define RESET_FLAGS 0x40021060u /* RCC_CSR */
#define RESET_REMOVE (1u << 23)
#define RESET_BY_SOFTWARE (1u << 28)
#define RESET_BY_WATCHDOG (1u << 29)
#define IWDG 0x40003000u

#define USART_GPIO 0x50000000u /* GPIOA */
#define USART 0x40004400u /* USART2 */
#define USART_IRQ 28u
#define TX_FUNCTION 1u
#define RX_FUNCTION 1u
#define TX_PIN 2u
#define RX_PIN 3u
#define LED_GPIO USART_GPIO
#define LED_PIN 5u

#endif
