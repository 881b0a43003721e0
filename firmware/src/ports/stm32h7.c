/** STM32H743, from ST's reference manual RM0433 (RCC, GPIO, USART, vector table).
 *
 * After reset the core and all buses run from the 64 MHz RC oscillator, with both caches off.  USART3 on PD8 and PD9
 * is the virtual COM port of the Nucleo-144 boards (UM1974, UM2407).
 */
#include "port.h"
#include "stm32_usart_v2.h"

#define CLOCK_HZ 64000000u

#define RCC_AHB4ENR 0x580244E0u
#define RCC_APB1LENR 0x580244E8u
#define GPIOD_MODER 0x58020C00u
#define GPIOD_PUPDR 0x58020C0Cu
#define GPIOD_AFRH 0x58020C24u

#define AHB4_GPIOD (1u << 3)
#define APB1_USART3 (1u << 18)
#define PD8_PD9_MODER_MASK (0xFu << 16)
#define PD8_PD9_ALTERNATE (0xAu << 16)
#define PD9_PULL_UP (1u << 18)
#define PD8_PD9_AFR_MASK 0xFFu
#define PD8_PD9_AF7 0x77u

#define USART3 0x40004800u
#define USART3_IRQ 39u

void port_init(void)
{
    REG32(RCC_AHB4ENR) |= AHB4_GPIOD;
    REG32(RCC_APB1LENR) |= APB1_USART3;
    (void)REG32(RCC_APB1LENR); /* a peripheral answers two bus cycles after its clock is on */
    REG32(GPIOD_PUPDR) |= PD9_PULL_UP;
    REG32(GPIOD_AFRH) = (REG32(GPIOD_AFRH) & ~PD8_PD9_AFR_MASK) | PD8_PD9_AF7;
    REG32(GPIOD_MODER) = (REG32(GPIOD_MODER) & ~PD8_PD9_MODER_MASK) | PD8_PD9_ALTERNATE;
    usart_start(USART3, CLOCK_HZ);
}

uint32_t port_clock_hz(void)
{
    return CLOCK_HZ;
}

uint8_t port_uart_get(void)
{
    return usart_get(USART3, USART3_IRQ);
}

void port_uart_put(uint8_t byte)
{
    usart_put(USART3, byte);
}
