/** The USART of the STM32: the older one of F1 and F4, or the newer one of G0, H7 and L4 (STM32_USART_NEW).
 *
 * ST's reference manuals RM0008, RM0368, RM0390, RM0351, RM0394, RM0433 and RM0444, chapter "Universal synchronous
 * asynchronous receiver transmitter (USART)".  The registers were compared with USART_TypeDef of stm32f401xe.h,
 * stm32f446xx.h, stm32g071xx.h and stm32h743xx.h, the bits with the SVD files STM32F103xx, STM32F41x, STM32L4x2 and
 * STM32L4x5.
 */
#ifndef STM32_USART_H
#define STM32_USART_H

#include "port.h"

#ifdef STM32_USART_NEW
#define USART_CR1 0x00u
#define USART_BRR 0x0Cu
#define USART_STATUS 0x1Cu /* ISR */
#define USART_ICR 0x20u
#define USART_RECEIVED 0x24u /* RDR */
#define USART_TO_SEND 0x28u  /* TDR */
#define USART_CR1_UE (1u << 0)
#else
#define USART_STATUS 0x00u   /* SR */
#define USART_RECEIVED 0x04u /* DR, of either direction */
#define USART_TO_SEND 0x04u
#define USART_BRR 0x08u
#define USART_CR1 0x0Cu
#define USART_CR1_UE (1u << 13)
#endif

#define USART_CR1_RE (1u << 2)
#define USART_CR1_TE (1u << 3)
#define USART_CR1_RXNEIE (1u << 5)
#define USART_ORE (1u << 3)
#define USART_RXNE (1u << 5)
#define USART_TXE (1u << 7)

static inline void usart_start(uint32_t usart, uint32_t clock_hz)
{
    REG32(usart + USART_BRR) = PORT_BAUD_DIVIDER(clock_hz);
    REG32(usart + USART_CR1) = USART_CR1_UE | USART_CR1_TE | USART_CR1_RE | USART_CR1_RXNEIE;
}

/* An overrun keeps the interrupt raised until it is cleared: the core would never sleep again.  On the newer USART
 * a write clears it, on the older one reading status and then data. */
static inline uint32_t usart_get(uint32_t usart, uint8_t *byte)
{
    if (!(REG32(usart + USART_STATUS) & USART_RXNE)) {
#ifdef STM32_USART_NEW
        REG32(usart + USART_ICR) = USART_ORE;
#endif
        return 0;
    }
    *byte = (uint8_t)REG32(usart + USART_RECEIVED);
    return 1;
}

static inline void usart_put(uint32_t usart, uint8_t byte)
{
    while (!(REG32(usart + USART_STATUS) & USART_TXE)) {
    }
    REG32(usart + USART_TO_SEND) = byte;
}

#endif
