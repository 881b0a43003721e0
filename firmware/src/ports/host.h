/** The device as a library of the computer: the same protocol and model, fed from memory.  For tests and fuzzers. */
#ifndef HOST_H
#define HOST_H

#include <stdint.h>

/** Back to the state after power-on. */
void host_reset(void);

/** Slots in a flash that keeps its content, whose power is cut before its step number `step` from now on is done: the
 * erasure of a page or the writing of a word.  `torn` is what the step leaves of it, bit by bit.  0 steps: never. */
void host_cut_power(uint32_t step, uint32_t torn);

/** Steps of the flash so far. */
uint32_t host_flash_steps(void);

/** As from the factory. */
void host_blank_flash(void);

/** Lets the device find a silent line, and samples of its sensor. */
uint32_t host_idle(uint8_t *sent, uint32_t capacity);

/** Lets the device read `length` bytes of the line.
 *
 * Returns how many bytes it sent.  The first `capacity` of them are in `sent`.
 */
uint32_t host_serve(const uint8_t *line, uint32_t length, uint8_t *sent, uint32_t capacity);

#endif
