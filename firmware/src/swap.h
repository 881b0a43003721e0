/** Models that take the place of the compiled one: received over the line, checked, and kept in one of two slots.
 *
 * A slot is a model's block (docs/SPEC.md 15) and, written last, a seal: so a power cut at any moment leaves the model
 * that was in use, or the new one.  Where the generated header is not swappable, nothing of this is compiled.
 */
#ifndef SWAP_H
#define SWAP_H

#include "protocol.h"

/** Answers LOAD_BEGIN, LOAD_CHUNK and LOAD_COMMIT; every other request goes to the listener. */
answer_t swap_answer(protocol_t *protocol, uint8_t type, uint8_t *payload, uint32_t length);

/** Once after reset: uses the newest model that is whole, sealed, and was loaded onto this compiled one. */
void swap_init(void);

/** Writes what INFO reports: layout, bytes of a block, CRC of the one in use, and its slot, 0 for the compiled one. */
void swap_describe(protocol_window_t *window);

#endif
