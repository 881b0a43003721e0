#include "ticks.h"

#include <stdint.h>

#include "port.h"

/* Armv7-M Architecture Reference Manual (DDI 0403): SysTick B3.3, ICSR B3.2.4, DEMCR C1.6.5, DWT C1.8. */
#define SYST_CSR 0xE000E010u
#define SYST_RVR 0xE000E014u
#define SYST_CVR 0xE000E018u
#define SCB_ICSR 0xE000ED04u
#define DEMCR 0xE000EDFCu
#define DWT_CTRL 0xE0001000u
#define DWT_CYCCNT 0xE0001004u
#define DWT_LAR 0xE0001FB0u

#define SYST_ENABLE (1u << 0)
#define SYST_TICKINT (1u << 1)
#define SYST_CORE_CLOCK (1u << 2)
#define SYST_BITS 24u
#define SYST_MASK ((1u << SYST_BITS) - 1u)
#define ICSR_PENDSTSET (1u << 26)
#define DEMCR_TRCENA (1u << 24)
#define DWT_CYCCNTENA (1u << 0)
#define DWT_UNLOCK 0xC5ACCE55u

static volatile uint32_t systick_wraps;
static ticks_source_t source;

void SysTick_Handler(void)
{
    systick_wraps++;
}

/* SysTick counts down and pends when it reaches 0, so the minus of its value is the count since then. */
static uint64_t systick_ticks(void)
{
    uint32_t wraps, value;

    __asm volatile("cpsid i" ::: "memory");
    value = REG32(SYST_CVR);
    wraps = systick_wraps;
    if (REG32(SCB_ICSR) & ICSR_PENDSTSET) {
        /* Wrapped, but not counted yet; only a value read after that belongs to the new count. */
        value = REG32(SYST_CVR);
        wraps++;
    }
    __asm volatile("cpsie i" ::: "memory");
    return ((uint64_t)wraps << SYST_BITS) + ((0u - value) & SYST_MASK);
}

#if defined(__ARM_ARCH_6M__) || defined(__ARM_ARCH_8M_BASE__)
/* These cores have no cycle counter, and reading its address may even fault. */
static uint32_t cyccnt(void)
{
    return 0;
}

static ticks_source_t find_source(void)
{
    return TICKS_SYSTICK;
}
#else
static uint32_t cyccnt(void)
{
    return REG32(DWT_CYCCNT);
}

/* The counter is optional, and emulators leave it at 0: it counts only if it is seen to move. */
static ticks_source_t find_source(void)
{
    REG32(DEMCR) |= DEMCR_TRCENA;
    REG32(DWT_LAR) = DWT_UNLOCK; /* locked after reset on Cortex-M7; others ignore it */
    REG32(DWT_CYCCNT) = 0;
    REG32(DWT_CTRL) |= DWT_CYCCNTENA;
    for (uint32_t spin = 0; spin < 8u; spin++) {
        __asm volatile("nop");
    }
    return cyccnt() != 0u ? TICKS_DWT : TICKS_SYSTICK;
}
#endif

void ticks_init(void)
{
    REG32(SYST_RVR) = SYST_MASK;
    REG32(SYST_CVR) = 0;
    REG32(SYST_CSR) = SYST_ENABLE | SYST_TICKINT | SYST_CORE_CLOCK;
    source = find_source();
}

ticks_source_t ticks_source(void)
{
    return source;
}

uint32_t ticks_wrapped(void)
{
    static uint32_t seen;
    uint32_t wraps = systick_wraps;
    uint32_t wrapped = wraps != seen;

    seen = wraps;
    return wrapped;
}

ticks_t ticks_now(void)
{
    ticks_t now = { systick_ticks(), cyccnt() };
    return now;
}

uint64_t ticks_since(const ticks_t *start)
{
    ticks_t now = ticks_now();
    uint64_t elapsed = now.systick - start->systick;

    if (source == TICKS_DWT) {
        /* CYCCNT has 32 bits: of all counts with these low bits, take the one nearest to SysTick's. */
        uint32_t low = now.cyccnt - start->cyccnt;
        elapsed += (uint64_t)(int64_t)(int32_t)(low - (uint32_t)elapsed);
    }
    return elapsed;
}
