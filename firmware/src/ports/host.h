/** The device as a library of the computer: the same protocol and model, fed from memory.  For tests and fuzzers. */
#ifndef HOST_H
#define HOST_H

#include <stdint.h>

/** Back to the state after power-on. */
void host_reset(void);

/** Lets the device find a silent line, and samples of its sensor. */
uint32_t host_idle(uint8_t *sent, uint32_t capacity);

/** Lets the device read `length` bytes of the line.
 *
 * Returns how many bytes it sent.  The first `capacity` of them are in `sent`.
 */
uint32_t host_serve(const uint8_t *line, uint32_t length, uint8_t *sent, uint32_t capacity);

#endif
