/** Elapsed core clock ticks in 64 bits. */
#ifndef TICKS_H
#define TICKS_H

#include <stdint.h>

/** Numbers of the protocol (docs/PROTOCOL.md, "Tick source"). */
typedef enum {
    TICKS_SYSTICK = 0, /* SysTick on the core clock */
    TICKS_DWT = 1,     /* the cycle counter of the debug unit */
} ticks_source_t;

/** One moment, as both counters show it. */
typedef struct {
    uint64_t systick;
    uint32_t cyccnt;
} ticks_t;

void ticks_init(void);
ticks_source_t ticks_source(void);
ticks_t ticks_now(void);

/** Whether SysTick wrapped since it was last asked, which it does every 2^24 ticks. */
uint32_t ticks_wrapped(void);

/** Counts the wraps of SysTick; the vector table points to it. */
void SysTick_Handler(void);

/** Ticks since `start`.  The core must not have slept in between: some parts stop one counter in sleep. */
uint64_t ticks_since(const ticks_t *start);

#endif
