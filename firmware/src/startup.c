/** From reset to main, and what happens on a fault.  No assembly, no C library. */
#include <stdint.h>

#include "core.h"
#include "port.h"
#include "ticks.h"
#ifdef SIGNBIT_SEMIHOSTING
#include "semihost.h"
#endif

#define SCB_VTOR 0xE000ED08u
#define SCB_AIRCR 0xE000ED0Cu
#define SCB_CPACR 0xE000ED88u
#define AIRCR_RESET 0x05FA0004u /* key, SYSRESETREQ */
#define CPACR_FPU (0xFu << 20)  /* full access to coprocessors 10 and 11 */

#define STACK_PAINT 0xC0DEFACEu

/* Exit code of an emulator after a fault: this and the exception's number. */
#define FAULT_EXIT 100u

/* Set by ld/sections.ld. */
extern uint32_t stack_limit[], stack_top[];
extern uint32_t data_start[], data_end[], bss_start[], bss_end[];
extern const uint32_t data_load[];

int main(void);
void Reset_Handler(void) __attribute__((noreturn));
void Fault_Handler(void);

typedef void (*vector_t)(void);

/* The 16 entries of the architecture.  No external interrupt is ever taken (core_sleep_until), so none follow. */
__attribute__((section(".vectors"), used)) static const vector_t vectors[16] = {
    (vector_t)(uintptr_t)stack_top,
    Reset_Handler,
    Fault_Handler, Fault_Handler, Fault_Handler, Fault_Handler, Fault_Handler, Fault_Handler, Fault_Handler,
    Fault_Handler, Fault_Handler, Fault_Handler, Fault_Handler, Fault_Handler, Fault_Handler,
    SysTick_Handler,
};

static void stop(uint32_t code) __attribute__((noreturn));

#ifdef SIGNBIT_SEMIHOSTING
static void stop(uint32_t code)
{
    semihost_exit(code);
}
#else
/* A board in the field has nobody to tell: start again, so that it answers again. */
static void stop(uint32_t code)
{
    (void)code;
    __asm volatile("dsb" ::: "memory");
    REG32(SCB_AIRCR) = AIRCR_RESET;
    for (;;) {
    }
}
#endif

__attribute__((used)) static void end_of_fault(uint32_t exception)
{
    stop(FAULT_EXIT + exception);
}

/* A stack that overflowed is no stack any more: begin again at its top, and tell which exception it was. */
__attribute__((naked)) void Fault_Handler(void)
{
    __asm volatile("ldr r0, =stack_top\n\t"
                   "mov sp, r0\n\t"
                   "mrs r0, ipsr\n\t"
                   "bl end_of_fault\n\t"
                   ".ltorg");
}

static uint32_t *stack_pointer(void)
{
    uint32_t *pointer;

    __asm volatile("mov %0, sp" : "=r"(pointer));
    return pointer;
}

/* volatile keeps the compiler from making a call of memset or memcpy out of the loops: there is no C library. */
void Reset_Handler(void)
{
    volatile uint32_t *to;
    const uint32_t *from = data_load;

    REG32(SCB_VTOR) = (uint32_t)(uintptr_t)vectors; /* ignored by cores without it */
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    REG32(SCB_CPACR) |= CPACR_FPU;
    __asm volatile("dsb\n\tisb" ::: "memory");
#endif
    for (to = stack_limit; to < stack_pointer(); to++) {
        *to = STACK_PAINT;
    }
    for (to = data_start; to < data_end; to++) {
        *to = *from++;
    }
    for (to = bss_start; to < bss_end; to++) {
        *to = 0;
    }
    stop((uint32_t)main());
}

uint32_t core_stack_used_bytes(void)
{
    const uint32_t *untouched = stack_limit;

    while (untouched < stack_top && *untouched == STACK_PAINT) {
        untouched++;
    }
    return (uint32_t)(uintptr_t)stack_top - (uint32_t)(uintptr_t)untouched;
}
