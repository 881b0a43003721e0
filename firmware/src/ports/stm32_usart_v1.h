/** The USART of STM32F1, F2 and F4: one data register, status flags that reading clears.
 *
 * ST reference manuals RM0008, RM0368 and RM0390, chapter "Universal synchronous asynchronous receiver transmitter (USART)".
 */
#ifndef STM32_USART_V1_H
#define STM32_USART_V1_H

#include "port.h"

#define USART_SR 0x00u
#define USART_DR 0x04u
#define USART_BRR 0x08u
#define USART_CR1 0x0Cu

#define USART_SR_RXNE (1u << 5)
#define USART_SR_TXE (1u << 7)
#define USART_CR1_RE (1u << 2)
#define USART_CR1_TE (1u << 3)
#define USART_CR1_RXNEIE (1u << 5)
#define USART_CR1_UE (1u << 13)

static inline void usart_start(uint32_t usart, uint32_t clock_hz)
{
    REG32(usart + USART_BRR) = PORT_BAUD_DIVIDER(clock_hz);
    REG32(usart + USART_CR1) = USART_CR1_UE | USART_CR1_TE | USART_CR1_RE | USART_CR1_RXNEIE;
}

/* Reading SR and then DR also clears an overrun. */
static inline uint32_t usart_get(uint32_t usart, uint8_t *byte)
{
    if (!(REG32(usart + USART_SR) & USART_SR_RXNE)) {
        return 0;
    }
    *byte = (uint8_t)REG32(usart + USART_DR);
    return 1;
}

static inline void usart_put(uint32_t usart, uint8_t byte)
{
    while (!(REG32(usart + USART_SR) & USART_SR_TXE)) {
    }
    REG32(usart + USART_DR) = byte;
}

#endif
