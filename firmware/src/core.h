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

/** Highest stack use since reset.  Start-up painted the stack; what is not painted any more was used. */
uint32_t core_stack_used_bytes(void);

#endif
