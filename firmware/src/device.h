/** The model of the generated header as the device behind the protocol. */
#ifndef DEVICE_H
#define DEVICE_H

#include "protocol.h"

/** Owns the only copy of the input. */
extern const protocol_device_t device;

#endif
