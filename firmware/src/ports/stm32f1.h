/** STM32F103, from ST's reference manual RM0008 (RCC, GPIO, USART, vector table).
 *
 * After reset the core and both peripheral buses run from the 8 MHz RC oscillator.  From boards/NAME.ini: STM32_USART,
 * 1 (PA9, PA10) or 2 (PA2, PA3: the virtual COM port of the Nucleo-64 boards, UM1724).  The LED of that
 * Nucleo is on PA5, the Bluepill's, which shines when its pin is low, on PC13: STM32_LED_ON_PC13.
 *
 * Compared: addresses, bits and interrupts with the SVD file STM32F103xx; pins of the USARTs and memory with
 * modm-devices; the Nucleo's pins with Zephyr's nucleo_f103rb.dts.
 */
#ifndef STM32F1_H
#define STM32F1_H

#include "port.h"

#define CLOCK_HZ 8000000u

#define RCC_APB2ENR 0x40021018u
#define RCC_APB1ENR 0x4002101Cu
#define APB2_GPIOA (1u << 2)
#define APB2_GPIOC (1u << 4)
#define APB2_USART1 (1u << 14)
#define APB1_USART2 (1u << 17)

#define RESET_FLAGS 0x40021024u /* RCC_CSR */
#define RESET_REMOVE (1u << 24)
#define RESET_BY_SOFTWARE (1u << 28)
#define RESET_BY_WATCHDOG (1u << 29)
#define IWDG 0x40003000u

#define GPIOA_CRL 0x40010800u
#define GPIOA_CRH 0x40010804u
#define GPIOA_BSRR 0x40010810u
#define GPIOC_CRH 0x40011004u
#define GPIOC_BSRR 0x40011010u

#if STM32_USART == 1
#define USART 0x40013800u
#define USART_IRQ 37u
#define USART_CLOCK_REGISTER RCC_APB2ENR
#define USART_CLOCK_BIT APB2_USART1
#define USART_PINS_CONFIG GPIOA_CRH
#define TX_PIN 9u
#elif STM32_USART == 2
#define USART 0x40004400u
#define USART_IRQ 38u
#define USART_CLOCK_REGISTER RCC_APB1ENR
#define USART_CLOCK_BIT APB1_USART2
#define USART_PINS_CONFIG GPIOA_CRL
#define TX_PIN 2u
#else
#error "STM32_USART has to be 1 or 2"
#endif
#define RX_PIN (TX_PIN + 1u)

#ifdef STM32_LED_ON_PC13
#define LED_CONFIG GPIOC_CRH
#define LED_BSRR GPIOC_BSRR
#define LED_PIN 13u
#define LED_LOW_IS_ON 1u
#else
#define LED_CONFIG GPIOA_CRL
#define LED_BSRR GPIOA_BSRR
#define LED_PIN 5u
#define LED_LOW_IS_ON 0u
#endif

#define CONFIG_TX 0xBu /* alternate function, push-pull, 50 MHz */
#define CONFIG_RX 0x8u /* input with pull-up or, by the output register, pull-down */
#define CONFIG_LED 0x2u /* output, push-pull, 2 MHz */

static inline void set_config(uint32_t address, uint32_t pin, uint32_t config)
{
    uint32_t shift = 4u * (pin % 8u);

    REG32(address) = (REG32(address) & ~(0xFu << shift)) | config << shift;
}

static inline void family_clocks(void)
{
    REG32(RCC_APB2ENR) |= APB2_GPIOA | APB2_GPIOC;
    REG32(USART_CLOCK_REGISTER) |= USART_CLOCK_BIT;
}

static inline void family_pins(void)
{
    REG32(GPIOA_BSRR) = 1u << RX_PIN;
    set_config(USART_PINS_CONFIG, TX_PIN, CONFIG_TX);
    set_config(USART_PINS_CONFIG, RX_PIN, CONFIG_RX);
    set_config(LED_CONFIG, LED_PIN, CONFIG_LED);
}

#endif
