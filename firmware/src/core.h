/** What all Cortex-M cores share: identity, sleep, stack, faults.
 *
 * Addresses: Armv6-M Architecture Reference Manual (DDI 0419), chapter B3; the same in Armv7-M (DDI 0403) and
 * Armv8-M (DDI 0553).
 */
#ifndef CORE_H
#define CORE_H

#include <stdint.h>

/** The CPUID register: implementer, variant, part number, revision. */
uint32_t core_id(void);

/** Sleeps until interrupt `irq` or any other is pending; `irq` itself is never taken. */
void core_sleep_until(uint32_t irq);

/** Restarts as after power-on, except that RAM keeps its contents. */
void core_reset(void) __attribute__((noreturn));

/** Size of the stack in the linker script. */
uint32_t core_stack_bytes(void);

/** Highest stack use since reset.  Start-up paints the stack; what has lost its paint was used. */
uint32_t core_stack_used_bytes(void);

/** Record of a fault: exception number, r0 to r3, r12, lr, pc, xpsr, sp, CFSR, HFSR, MMFAR, BFAR.
 *
 * The eight registers that the core stacks are 0 when the stack was lost, and the last four on Armv6-M, which does
 * not have them.
 */
#define CORE_FAULT_WORDS 14u
#define CORE_FAULT_STACKED 1u /* index of r0 */
#define CORE_FAULT_PC 7u
#define CORE_FAULT_SP 9u
#define CORE_FAULT_CFSR 10u

typedef struct {
    uint32_t mark; /* distinguishes a record from what RAM holds after power-on */
    uint32_t words[CORE_FAULT_WORDS];
} core_fault_t;

/** The fault that caused the last reset; 0 when it was caused otherwise. */
const core_fault_t *core_last_fault(void);

#endif
