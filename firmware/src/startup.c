/** From reset to main, and what happens on a fault.  No assembly, no C library. */
#include <stdint.h>

#include "core.h"
#include "port.h"
#include "ticks.h"
#ifdef SIGNBIT_SEMIHOSTING
#include "semihost.h"
#endif

#define SCB_VTOR 0xE000ED08u
#define SCB_CFSR 0xE000ED28u
#define SCB_HFSR 0xE000ED2Cu
#define SCB_MMFAR 0xE000ED34u
#define SCB_BFAR 0xE000ED38u
#define SCB_CPACR 0xE000ED88u
#define CPACR_FPU (0xFu << 20)  /* full access to coprocessors 10 and 11 */

#define STACK_PAINT 0xC0DEFACEu
#define FAULT_MARK 0xFA017EC0u
#define FRAME_WORDS 8u /* of the frame that the core stacks */

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
/* A board restarts, so that it answers again and can report what happened. */
static void stop(uint32_t code)
{
    (void)code;
    core_reset();
}
#endif

/* Lies where start-up writes nothing, and so outlives a reset. */
__attribute__((section(".noinit"))) static core_fault_t fault_record;
static uint32_t fault_found;

/* `frame` is what the core stacked, 0 when the stack is lost. */
__attribute__((used)) static void end_of_fault(const uint32_t *frame, uint32_t exception)
{
    fault_record.words[0] = exception;
    for (uint32_t i = 0; i < FRAME_WORDS; i++) {
        fault_record.words[CORE_FAULT_STACKED + i] = frame != 0 ? frame[i] : 0u;
    }
    fault_record.words[CORE_FAULT_SP] = (uint32_t)(uintptr_t)frame;
    for (uint32_t i = CORE_FAULT_CFSR; i < CORE_FAULT_WORDS; i++) {
        fault_record.words[i] = 0;
    }
#if !defined(__ARM_ARCH_6M__) && !defined(__ARM_ARCH_8M_BASE__)
    fault_record.words[CORE_FAULT_CFSR] = REG32(SCB_CFSR);
    fault_record.words[CORE_FAULT_CFSR + 1u] = REG32(SCB_HFSR);
    fault_record.words[CORE_FAULT_CFSR + 2u] = REG32(SCB_MMFAR);
    fault_record.words[CORE_FAULT_CFSR + 3u] = REG32(SCB_BFAR);
#endif
    fault_record.mark = FAULT_MARK;
    stop(FAULT_EXIT + exception);
}

/* A stack without room for end_of_fault counts as lost: begin again at its top. */
__attribute__((naked)) void Fault_Handler(void)
{
    __asm volatile("mov r0, sp\n\t"
                   "ldr r1, =stack_limit + 128\n\t"
                   "cmp r0, r1\n\t"
                   "bhs 1f\n\t"
                   "ldr r1, =stack_top\n\t"
                   "mov sp, r1\n\t"
                   "movs r0, #0\n\t"
                   "1: mrs r1, ipsr\n\t"
                   "bl end_of_fault\n\t"
                   ".ltorg");
}

const core_fault_t *core_last_fault(void)
{
    return fault_found ? &fault_record : 0;
}

static uint32_t *stack_pointer(void)
{
    uint32_t *pointer;

    __asm volatile("mov %0, sp" : "=r"(pointer));
    return pointer;
}

/* volatile keeps the compiler from turning the loops into memset or memcpy: there is no C library. */
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
    fault_found = fault_record.mark == FAULT_MARK;
    fault_record.mark = 0;
    stop((uint32_t)main());
}

uint32_t core_stack_bytes(void)
{
    return (uint32_t)(uintptr_t)stack_top - (uint32_t)(uintptr_t)stack_limit;
}

uint32_t core_stack_used_bytes(void)
{
    const uint32_t *untouched = stack_limit;

    while (untouched < stack_top && *untouched == STACK_PAINT) {
        untouched++;
    }
    return (uint32_t)(uintptr_t)stack_top - (uint32_t)(uintptr_t)untouched;
}
