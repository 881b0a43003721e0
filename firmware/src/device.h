/** The device that the protocol serves: the model of the generated header. */
#ifndef DEVICE_H
#define DEVICE_H

#include <stdint.h>

#include "protocol.h"

/** Class scores of the last inference, or of the stream's last answer. */
extern int32_t device_logits[];

/** Owns the only copy of the input. */
extern const protocol_device_t device;

/** To be called once after reset: notes the reset's cause and runs the embedded test vectors.
 *
 * Returns how many of them gave other logits than Python; INFO reports it too.
 */
uint32_t device_init(void);

/** Runs the test vectors on the model in use.  Returns how many of them failed, and keeps it for INFO. */
uint32_t device_self_test(void);

#endif
