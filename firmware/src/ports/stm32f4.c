/** STM32F401, from ST's reference manual RM0368 (RCC, GPIO, USART, vector table).
 *
 * After reset the core and both peripheral buses run from the 16 MHz RC oscillator.  USART2 on PA2 and PA3 is the
 * virtual COM port of the Nucleo-64 boards (UM1724).
 */
#include "port.h"
#include "stm32_usart_v1.h"

#define CLOCK_HZ 16000000u

#define RCC_AHB1ENR 0x40023830u
#define RCC_APB1ENR 0x40023840u
#define GPIOA_MODER 0x40020000u
#define GPIOA_PUPDR 0x4002000Cu
#define GPIOA_AFRL 0x40020020u

#define AHB1_GPIOA (1u << 0)
#define APB1_USART2 (1u << 17)
#define PA2_PA3_MODER_MASK (0xFu << 4)
#define PA2_PA3_ALTERNATE (0xAu << 4)
#define PA3_PULL_UP (1u << 6)
#define PA2_PA3_AFR_MASK (0xFFu << 8)
#define PA2_PA3_AF7 (0x77u << 8)

#define USART2 0x40004400u
#define USART2_IRQ 38u

void port_init(void)
{
    REG32(RCC_AHB1ENR) |= AHB1_GPIOA;
    REG32(RCC_APB1ENR) |= APB1_USART2;
    (void)REG32(RCC_APB1ENR); /* a peripheral answers two bus cycles after its clock is on */
    REG32(GPIOA_PUPDR) |= PA3_PULL_UP;
    REG32(GPIOA_AFRL) = (REG32(GPIOA_AFRL) & ~PA2_PA3_AFR_MASK) | PA2_PA3_AF7;
    REG32(GPIOA_MODER) = (REG32(GPIOA_MODER) & ~PA2_PA3_MODER_MASK) | PA2_PA3_ALTERNATE;
    usart_start(USART2, CLOCK_HZ);
}

uint32_t port_clock_hz(void)
{
    return CLOCK_HZ;
}

uint8_t port_uart_get(void)
{
    return usart_get(USART2, USART2_IRQ);
}

void port_uart_put(uint8_t byte)
{
    usart_put(USART2, byte);
}
