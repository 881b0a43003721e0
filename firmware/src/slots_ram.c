/** Slots for loaded models in RAM that resets leave alone, for parts whose port has no flash for them.
 *
 * Like flash it is erased to ones and written to zeros, so that a driver's mistakes show; without power it is lost.
 */
#include <stdint.h>

#include "model.h"
#include "port.h"

#if defined(MODEL_LAYOUT) && !defined(PORT_HAS_SLOTS)

#define SLOT_WORDS ((MODEL_WEIGHTS_BYTES + PORT_SEAL_BYTES) / 4u)

static uint32_t slots[PORT_SLOTS][SLOT_WORDS] __attribute__((section(".noinit")));

const uint8_t *port_slot(uint32_t slot)
{
    return (const uint8_t *)slots[slot];
}

void port_slot_erase(uint32_t slot)
{
    for (uint32_t i = 0; i < SLOT_WORDS; i++) {
        slots[slot][i] = 0xFFFFFFFFu;
    }
}

void port_slot_write(uint32_t slot, uint32_t offset, const uint8_t *bytes, uint32_t length)
{
    uint8_t *to = (uint8_t *)slots[slot] + offset;

    for (uint32_t i = 0; i < length; i++) {
        to[i] = (uint8_t)(to[i] & bytes[i]);
    }
}

#endif
