/** STM32F103, from ST's reference manual RM0008 (RCC, GPIO, USART, vector table).
 *
 * After reset the core and both peripheral buses run from the 8 MHz RC oscillator.  From platformio.ini: STM32_USART,
 * 1 (PA9, PA10) or 2 (PA2, PA3: the virtual COM port of the Nucleo-64 boards, UM1724).
 */
#include "port.h"
#include "stm32_usart_v1.h"

#define CLOCK_HZ 8000000u

#define RCC_APB2ENR 0x40021018u
#define RCC_APB1ENR 0x4002101Cu
#define GPIOA_CRL 0x40010800u
#define GPIOA_CRH 0x40010804u
#define GPIOA_BSRR 0x40010810u

#define APB2_GPIOA (1u << 2)
#define APB2_USART1 (1u << 14)
#define APB1_USART2 (1u << 17)

#if STM32_USART == 1
#define USART 0x40013800u
#define USART_IRQ 37u
#define USART_CLOCK_REGISTER RCC_APB2ENR
#define USART_CLOCK_BIT APB2_USART1
#define GPIO_CONFIG GPIOA_CRH
#define TX_PIN 9u
#elif STM32_USART == 2
#define USART 0x40004400u
#define USART_IRQ 38u
#define USART_CLOCK_REGISTER RCC_APB1ENR
#define USART_CLOCK_BIT APB1_USART2
#define GPIO_CONFIG GPIOA_CRL
#define TX_PIN 2u
#else
#error "STM32_USART has to be 1 or 2"
#endif

#define RX_PIN (TX_PIN + 1u)
#define CONFIG_SHIFT (4u * (TX_PIN % 8u))
#define CONFIG_TX 0xBu /* alternate function, push-pull, 50 MHz */
#define CONFIG_RX 0x8u /* input with pull-up or, by the output register, pull-down */

void port_init(void)
{
    REG32(RCC_APB2ENR) |= APB2_GPIOA;
    REG32(USART_CLOCK_REGISTER) |= USART_CLOCK_BIT;
    REG32(GPIOA_BSRR) = 1u << RX_PIN;
    REG32(GPIO_CONFIG) =
        (REG32(GPIO_CONFIG) & ~(0xFFu << CONFIG_SHIFT)) | (CONFIG_RX << 4 | CONFIG_TX) << CONFIG_SHIFT;
    usart_start(USART, CLOCK_HZ);
}

uint32_t port_clock_hz(void)
{
    return CLOCK_HZ;
}

uint8_t port_uart_get(void)
{
    return usart_get(USART, USART_IRQ);
}

void port_uart_put(uint8_t byte)
{
    usart_put(USART, byte);
}
