/** The independent watchdog of the STM32.
 *
 * ST's reference manuals RM0008, RM0368, RM0390, RM0351, RM0394, RM0433 and RM0444, chapter "Independent watchdog
 * (IWDG)"; the registers were compared with IWDG_TypeDef of stm32h743xx.h and the SVD files STM32F103xx, STM32F41x,
 * STM32L4x2 and STM32L4x5.  Its clock, the LSI oscillator, runs at 32 kHz, on F1 at 40 kHz.
 */
#ifndef STM32_WATCHDOG_H
#define STM32_WATCHDOG_H

#include "port.h"

#define IWDG_KR 0x00u
#define IWDG_PR 0x04u
#define IWDG_RLR 0x08u

#define IWDG_START 0xCCCCu
#define IWDG_UNLOCK 0x5555u
#define IWDG_FEED 0xAAAAu
#define IWDG_DIVIDE_BY_128 5u
#define IWDG_RELOAD (PORT_WATCHDOG_SECONDS * 32000u / 128u)

static inline void watchdog_feed(uint32_t iwdg)
{
    REG32(iwdg + IWDG_KR) = IWDG_FEED;
}

/* Prescaler and reload take effect some cycles of the slow clock later: until then they are the longest there are. */
static inline void watchdog_start(uint32_t iwdg)
{
    REG32(iwdg + IWDG_KR) = IWDG_START;
    REG32(iwdg + IWDG_KR) = IWDG_UNLOCK;
    REG32(iwdg + IWDG_PR) = IWDG_DIVIDE_BY_128;
    REG32(iwdg + IWDG_RLR) = IWDG_RELOAD;
    watchdog_feed(iwdg);
}

#endif
