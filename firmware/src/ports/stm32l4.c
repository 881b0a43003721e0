/** STM32L432 and L476, from ST's reference manuals RM0394 and RM0351 (RCC, GPIO, USART, vector table).
 *
 * After reset the core and both peripheral buses run from the multi-speed oscillator at 4 MHz; 115200 baud are then
 * 0.8 % slow, which a receiver bears.  USART2 sends on PA2.  From platformio.ini: STM32_RX_PIN and STM32_RX_FUNCTION
 * of port A, PA3 with AF7 on the Nucleo-64 (UM1724), PA15 with AF3 on the Nucleo-L432KC (UM1956), and where the LED
 * is: PA5 on the former, PB3 on the latter.
 */
#include "core.h"
#include "port.h"
#include "stm32_gpio.h"
#include "stm32_reset.h"
#include "stm32_usart_v2.h"

#define CLOCK_HZ 4000000u

#define RCC_AHB2ENR 0x4002104Cu
#define RCC_APB1ENR1 0x40021058u
#define RCC_CSR 0x40021094u
#define GPIOA 0x48000000u
#define GPIOB 0x48000400u
#define USART2 0x40004400u
#define USART2_IRQ 38u
#define IWDG 0x40003000u

#define AHB2_GPIOA (1u << 0)
#define AHB2_GPIOB (1u << 1)
#define APB1_USART2 (1u << 17)
#define CSR_REMOVE (1u << 23)
#define CSR_SOFTWARE (1u << 28)
#define CSR_WATCHDOG (1u << 29)

#define TX_PIN 2u
#define TX_FUNCTION 7u

void port_init(void)
{
    REG32(RCC_AHB2ENR) |= AHB2_GPIOA | AHB2_GPIOB;
    REG32(RCC_APB1ENR1) |= APB1_USART2;
    (void)REG32(RCC_APB1ENR1); /* a peripheral answers two bus cycles after its clock is on */
    gpio_use(GPIOA, TX_PIN, TX_FUNCTION);
    gpio_use(GPIOA, STM32_RX_PIN, STM32_RX_FUNCTION);
    gpio_drive(STM32_LED_GPIO, STM32_LED_PIN);
    usart_start(USART2, CLOCK_HZ);
}

uint32_t port_clock_hz(void)
{
    return CLOCK_HZ;
}

port_reset_t port_take_reset_cause(void)
{
    return take_reset_cause(RCC_CSR, CSR_SOFTWARE, CSR_WATCHDOG, CSR_REMOVE);
}

uint32_t port_uart_get(uint8_t *byte)
{
    return usart_get(USART2, byte);
}

void port_uart_put(uint8_t byte)
{
    usart_put(USART2, byte);
}

void port_sleep(void)
{
    core_sleep_until(USART2_IRQ);
}

void port_led(uint32_t on)
{
    gpio_write(STM32_LED_GPIO, STM32_LED_PIN, on);
}

void port_watchdog_start(void)
{
    watchdog_start(IWDG);
}

void port_watchdog_feed(void)
{
    watchdog_feed(IWDG);
}
