#include "core.h"

#include <stdint.h>

#include "port.h"

#define SCB_CPUID 0xE000ED00u
#define SCB_AIRCR 0xE000ED0Cu
#define AIRCR_RESET 0x05FA0004u /* key, SYSRESETREQ */
#define NVIC_ISER 0xE000E100u
#define NVIC_ICER 0xE000E180u
#define NVIC_ICPR 0xE000E280u

uint32_t core_id(void)
{
    return REG32(SCB_CPUID);
}

void core_reset(void)
{
    __asm volatile("dsb" ::: "memory");
    REG32(SCB_AIRCR) = AIRCR_RESET;
    for (;;) {
    }
}

/* The interrupt is enabled only while PRIMASK masks it: WFI wakes on a pending interrupt even so, and a byte
 * that comes between the caller's check and WFI is not slept through.  No handler is needed, and the rest of the
 * program runs with PRIMASK clear, so that SysTick is counted. */
void core_sleep_until(uint32_t irq)
{
    uint32_t word = 4u * (irq / 32u);
    uint32_t bit = 1u << (irq % 32u);

    __asm volatile("cpsid i" ::: "memory");
    REG32(NVIC_ISER + word) = bit;
    __asm volatile("dsb\n\twfi" ::: "memory");
    REG32(NVIC_ICER + word) = bit;
    REG32(NVIC_ICPR + word) = bit;
    __asm volatile("dsb\n\tisb\n\tcpsie i" ::: "memory");
}
