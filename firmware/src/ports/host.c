#include "host.h"

#include "core.h"
#include "device.h"
#include "listener.h"
#include "port.h"
#include "ticks.h"

static protocol_t protocol;

/* Where the device's bytes go. */
typedef struct {
    uint8_t *bytes;
    uint32_t capacity;
    uint32_t total;
} sink_t;

void host_reset(void)
{
    for (uint32_t i = 0; i < device.input_bytes; i++) {
        device.input[i] = 0;
    }
    (void)device_init();
    protocol_init(&protocol, &device);
}

static void send(sink_t *sink, uint32_t bytes)
{
    for (; bytes > 0u; bytes = protocol_more(&protocol)) {
        for (uint32_t i = 0; i < bytes; i++) {
            if (sink->total < sink->capacity) {
                sink->bytes[sink->total] = protocol.wire[i];
            }
            sink->total++;
        }
    }
    if (protocol.reset) {
        host_reset();
    }
}

uint32_t host_serve(const uint8_t *line, uint32_t length, uint8_t *sent, uint32_t capacity)
{
    sink_t sink = { sent, capacity, 0 };

    for (uint32_t i = 0; i < length; i++) {
        send(&sink, protocol_receive(&protocol, line[i]));
    }
    return sink.total;
}

uint32_t host_idle(uint8_t *sent, uint32_t capacity)
{
    sink_t sink = { sent, capacity, 0 };

    send(&sink, protocol_idle(&protocol));
    (void)listener_poll();
    return sink.total;
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

uint32_t core_stack_used_bytes(void)
{
    return 0;
}

uint32_t core_stack_bytes(void)
{
    return 0;
}

const core_fault_t *core_last_fault(void)
{
    return 0;
}

port_reset_t port_take_reset_cause(void)
{
    return PORT_RESET_UNKNOWN;
}
