/** STM32L432 and L476, from ST's reference manuals RM0394 and RM0351 (RCC, GPIO, USART, vector table).
 *
 * After reset the core and both peripheral buses run from the multi-speed oscillator at 4 MHz; 115200 baud is then
 * 0.8 % slow, which a receiver tolerates.  USART2 sends on PA2.  From boards/NAME.ini: STM32_RX_PIN and
 * STM32_RX_FUNCTION of port A, PA3 with AF7 on the Nucleo-64 (UM1724), PA15 with AF3 on the Nucleo-L432KC (UM1956), and
 * where the LED is: PA5 on the former, PB3 on the latter.
 *
 * Compared: addresses, bits and interrupt with the SVD files STM32L4x2 and STM32L4x5; alternate functions and memory
 * with modm-devices; pins with Zephyr's nucleo_l432kc.dts and nucleo_l476rg.dts.
 */
#ifndef STM32L4_H
#define STM32L4_H

#define STM32_USART_NEW
#define CLOCK_HZ 4000000u

#define GPIO_CLOCK_REGISTER 0x4002104Cu /* RCC_AHB2ENR */
#define GPIO_CLOCK_BITS ((1u << 0) | (1u << 1)) /* GPIOA, GPIOB */
#define USART_CLOCK_REGISTER 0x40021058u /* RCC_APB1ENR1 */
#define USART_CLOCK_BIT (1u << 17)

#define RESET_FLAGS 0x40021094u /* RCC_CSR */
#define RESET_REMOVE (1u << 23)
#define RESET_BY_SOFTWARE (1u << 28)
#define RESET_BY_WATCHDOG (1u << 29)
#define IWDG 0x40003000u

#define GPIOA 0x48000000u
#define GPIOB 0x48000400u
#define USART 0x40004400u /* USART2 */
#define USART_IRQ 38u
#define USART_GPIO GPIOA
#define TX_PIN 2u
#define RX_PIN STM32_RX_PIN
#define TX_FUNCTION 7u
#define RX_FUNCTION STM32_RX_FUNCTION
#define LED_GPIO STM32_LED_GPIO
#define LED_PIN STM32_LED_PIN

#endif
