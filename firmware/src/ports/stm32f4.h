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

#define CLOCK_HZ 16000000u

#define GPIO_CLOCK_REGISTER 0x40023830u /* RCC_AHB1ENR */
#define GPIO_CLOCK_BITS (1u << 0) /* GPIOA */
#define USART_CLOCK_REGISTER 0x40023840u /* RCC_APB1ENR */
#define USART_CLOCK_BIT (1u << 17)

#define RESET_FLAGS 0x40023874u /* RCC_CSR */
#define RESET_REMOVE (1u << 24)
#define RESET_BY_SOFTWARE (1u << 28)
#define RESET_BY_WATCHDOG (1u << 29)
#define IWDG 0x40003000u

#define USART_GPIO 0x40020000u /* GPIOA */
#define USART 0x40004400u /* USART2 */
#define USART_IRQ 38u
#define TX_FUNCTION 7u
#define RX_FUNCTION 7u
#define TX_PIN 2u
#define RX_PIN 3u
#define LED_GPIO USART_GPIO
#define LED_PIN 5u

#endif
