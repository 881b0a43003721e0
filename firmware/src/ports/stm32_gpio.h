/** Pins and clocks of STM32F4, G0, H7 and L4, whose headers name the registers and the pins.
 *
 * ST's reference manuals RM0368, RM0390, RM0351, RM0394, RM0433 and RM0444, chapter "General-purpose I/Os (GPIO)"; the
 * registers were compared with the SVD files STM32F41x, STM32L4x2 and STM32L4x5.
 */
#ifndef STM32_GPIO_H
#define STM32_GPIO_H

#include "port.h"

#define GPIO_MODER 0x00u
#define GPIO_PUPDR 0x0Cu
#define GPIO_BSRR 0x18u
#define GPIO_AFR 0x20u
#define LED_BSRR (LED_GPIO + GPIO_BSRR)
#define LED_LOW_IS_ON 0u
#define GPIO_OUTPUT 1u
#define GPIO_ALTERNATE 2u
#define GPIO_PULL_UP 1u

/* Sets the `bits`-wide field `index` of a register. */
static inline void gpio_set_field(uint32_t address, uint32_t bits, uint32_t index, uint32_t value)
{
    uint32_t shift = bits * index;

    REG32(address) = (REG32(address) & ~(((1u << bits) - 1u) << shift)) | value << shift;
}

/* Gives a pin to a peripheral; the pull-up keeps an open line idle. */
static inline void gpio_use(uint32_t gpio, uint32_t pin, uint32_t function)
{
    gpio_set_field(gpio + GPIO_AFR + 4u * (pin / 8u), 4, pin % 8u, function);
    gpio_set_field(gpio + GPIO_PUPDR, 2, pin, GPIO_PULL_UP);
    gpio_set_field(gpio + GPIO_MODER, 2, pin, GPIO_ALTERNATE);
}

static inline void family_clocks(void)
{
    REG32(GPIO_CLOCK_REGISTER) |= GPIO_CLOCK_BITS;
    REG32(USART_CLOCK_REGISTER) |= USART_CLOCK_BIT;
    (void)REG32(USART_CLOCK_REGISTER); /* a peripheral answers two bus cycles after its clock is on */
}

static inline void family_pins(void)
{
    gpio_use(USART_GPIO, TX_PIN, TX_FUNCTION);
    gpio_use(USART_GPIO, RX_PIN, RX_FUNCTION);
    gpio_set_field(LED_GPIO + GPIO_MODER, 2, LED_PIN, GPIO_OUTPUT);
}

#endif
