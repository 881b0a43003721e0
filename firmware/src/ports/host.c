#include "host.h"

#include "core.h"
#include "device.h"
#include "port.h"
#include "ticks.h"

static protocol_t protocol;

void host_reset(void)
{
    for (uint32_t i = 0; i < device.input_bytes; i++) {
        device.input[i] = 0;
    }
    protocol_init(&protocol, &device);
}

uint32_t host_serve(const uint8_t *line, uint32_t length, uint8_t *sent, uint32_t capacity)
{
    uint32_t total = 0;

    for (uint32_t i = 0; i < length; i++) {
        uint32_t bytes = protocol_receive(&protocol, line[i]);

        for (uint32_t k = 0; k < bytes; k++) {
            if (total < capacity) {
                sent[total] = protocol.wire[k];
            }
            total++;
        }
    }
    return total;
}

uint32_t core_id(void)
{
    return 0;
}

uint32_t port_clock_hz(void)
{
    return 0;
}

ticks_source_t ticks_source(void)
{
    return TICKS_SYSTICK;
}

ticks_t ticks_now(void)
{
    ticks_t now = { 0, 0 };
    return now;
}

uint64_t ticks_since(const ticks_t *start)
{
    (void)start;
    return 0;
}
