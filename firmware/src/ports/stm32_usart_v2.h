/** The USART of STM32L4, H7 and G0: separate data registers, flags that are cleared by writing ICR.
 *
 * ST reference manuals RM0351, RM0394, RM0433 and RM0444, chapter "Universal synchronous/asynchronous receiver transmitter
 * (USART/UART)".
 */
#ifndef STM32_USART_V2_H
#define STM32_USART_V2_H

#include "port.h"

#define USART_CR1 0x00u
#define USART_BRR 0x0Cu
#define USART_ISR 0x1Cu
#define USART_ICR 0x20u
#define USART_RDR 0x24u
#define USART_TDR 0x28u

#define USART_CR1_UE (1u << 0)
#define USART_CR1_RE (1u << 2)
#define USART_CR1_TE (1u << 3)
#define USART_CR1_RXNEIE (1u << 5)
#define USART_ISR_ORE (1u << 3)
#define USART_ISR_RXNE (1u << 5)
#define USART_ISR_TXE (1u << 7)

static inline void usart_start(uint32_t usart, uint32_t clock_hz)
{
    REG32(usart + USART_BRR) = PORT_BAUD_DIVIDER(clock_hz);
    REG32(usart + USART_CR1) = USART_CR1_UE | USART_CR1_TE | USART_CR1_RE | USART_CR1_RXNEIE;
}

/* An overrun keeps the interrupt raised until it is cleared: the core would never sleep again. */
static inline uint32_t usart_get(uint32_t usart, uint8_t *byte)
{
    if (!(REG32(usart + USART_ISR) & USART_ISR_RXNE)) {
        REG32(usart + USART_ICR) = USART_ISR_ORE;
        return 0;
    }
    *byte = (uint8_t)REG32(usart + USART_RDR);
    return 1;
}

static inline void usart_put(uint32_t usart, uint8_t byte)
{
    while (!(REG32(usart + USART_ISR) & USART_ISR_TXE)) {
    }
    REG32(usart + USART_TDR) = byte;
}

#endif
