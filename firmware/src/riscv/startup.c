/** From reset to main on RV32, and what happens on a trap: the counterpart of ../startup.c for emulated programs.
 *
 * The RISC-V Instruction Set Manual, volume II, "Machine-Level CSRs".  QEMU's generic machine starts at the beginning
 * of its memory, which holds the image; no interrupt is enabled.
 */
#include <stdint.h>

#include "core.h"
#include "semihost.h"

#define STACK_PAINT 0xC0DEFACEu

/* Exit code of the emulator after a trap: this and its cause. */
#define FAULT_EXIT 100u

/* Set by ld/sections.ld. */
extern uint32_t stack_limit[], stack_top[];
extern uint32_t data_start[], data_end[], bss_start[], bss_end[];
extern const uint32_t data_load[];

int main(void);
void Reset_Handler(void);

__attribute__((used, noreturn)) static void end_of_trap(uint32_t cause)
{
    semihost_exit(FAULT_EXIT + (cause & 0xffu));
}

/* A trap begins again at the top of the stack, which may be what was lost. */
__attribute__((naked, used, aligned(4))) static void trap(void)
{
    __asm volatile(".option arch, +zicsr\n\t"
                   "csrr a0, mcause\n\t"
                   "la   sp, stack_top\n\t"
                   "j    end_of_trap");
}

/* volatile keeps the compiler from turning the loops into memset or memcpy: there is no C library. */
__attribute__((used, noreturn)) static void start(void)
{
    volatile uint32_t *to;
    const uint32_t *from = data_load;
    const uint32_t *here;

    __asm volatile("mv %0, sp" : "=r"(here));
    for (to = stack_limit; to < here; to++) {
        *to = STACK_PAINT;
    }
    for (to = data_start; to < data_end; to++) {
        *to = *from++;
    }
    for (to = bss_start; to < bss_end; to++) {
        *to = 0;
    }
    semihost_exit((uint32_t)main());
}

__attribute__((naked, section(".vectors"))) void Reset_Handler(void)
{
    __asm volatile(".option arch, +zicsr\n\t"
                   "la   sp, stack_top\n\t"
                   "la   a0, %0\n\t"
                   "csrw mtvec, a0\n\t"
                   "j    %1" ::"i"(trap), "i"(start));
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
