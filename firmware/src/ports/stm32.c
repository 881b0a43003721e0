/** ST's STM32: what the families share.  From boards/NAME.ini: STM32_FAMILY_F1, _F4, _G0, _H7 or _L4, whose header has
 * the addresses, bits and pins of the family and says what they were compared with.
 */
#include <stdint.h>

#include "core.h"
#include "port.h"
#if defined(STM32_FAMILY_F1)
#include "stm32f1.h"
#elif defined(STM32_FAMILY_F4)
#include "stm32f4.h"
#elif defined(STM32_FAMILY_G0)
#include "stm32g0.h"
#elif defined(STM32_FAMILY_H7)
#include "stm32h7.h"
#elif defined(STM32_FAMILY_L4)
#include "stm32l4.h"
#else
#error "STM32_FAMILY_F1, _F4, _G0, _H7 or _L4 has to be defined"
#endif
#ifndef STM32_FAMILY_F1
#include "stm32_gpio.h"
#endif
#include "stm32_usart.h"
#include "stm32_watchdog.h"

void port_init(void)
{
    family_clocks();
    port_led(0);
    family_pins();
    usart_start(USART, CLOCK_HZ);
}

uint32_t port_clock_hz(void)
{
    return CLOCK_HZ;
}

/* The flag of the reset pin is set by every reset, so it is not looked at. */
port_reset_t port_take_reset_cause(void)
{
    uint32_t flags = REG32(RESET_FLAGS);

    REG32(RESET_FLAGS) = flags | RESET_REMOVE;
    if (flags & RESET_BY_WATCHDOG) {
        return PORT_RESET_WATCHDOG;
    }
    return (flags & RESET_BY_SOFTWARE) != 0u ? PORT_RESET_SOFTWARE : PORT_RESET_POWER;
}

uint32_t port_uart_get(uint8_t *byte)
{
    return usart_get(USART, byte);
}

void port_uart_put(uint8_t byte)
{
    usart_put(USART, byte);
}

void port_sleep(void)
{
    core_sleep_until(USART_IRQ);
}

/* The lower half of BSRR sets pins, the upper half clears them. */
void port_led(uint32_t on)
{
    uint32_t low = (on != 0u) == (LED_LOW_IS_ON != 0u);

    REG32(LED_BSRR) = 1u << (low ? LED_PIN + 16u : LED_PIN);
}

void port_watchdog_start(void)
{
    watchdog_start(IWDG);
}

void port_watchdog_feed(void)
{
    watchdog_feed(IWDG);
}
