/** The GPIO ports of STM32F4, G0, H7 and L4.
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

static inline void gpio_drive(uint32_t gpio, uint32_t pin)
{
    gpio_set_field(gpio + GPIO_MODER, 2, pin, GPIO_OUTPUT);
}

#endif
