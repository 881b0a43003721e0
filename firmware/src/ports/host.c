#include "host.h"

#include "core.h"
#include "device.h"
#include "listener.h"
#include "model.h"
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

#ifdef MODEL_LAYOUT
#define PAGE_WORDS 64u
#define SLOT_PAGES ((MODEL_WEIGHTS_BYTES + PORT_SEAL_BYTES + 4u * PAGE_WORDS - 1u) / (4u * PAGE_WORDS))

static uint32_t flash[PORT_SLOTS][SLOT_PAGES * PAGE_WORDS];
static uint32_t flash_steps, cut_at_step, torn_bits;

void host_cut_power(uint32_t step, uint32_t torn)
{
    cut_at_step = step == 0u ? 0u : flash_steps + step;
    torn_bits = torn;
}

uint32_t host_flash_steps(void)
{
    return flash_steps;
}

void host_blank_flash(void)
{
    for (uint32_t slot = 0; slot < PORT_SLOTS; slot++) {
        for (uint32_t i = 0; i < SLOT_PAGES * PAGE_WORDS; i++) {
            flash[slot][i] = 0xFFFFFFFFu;
        }
    }
    cut_at_step = 0;
}

/* Turns the word into `value` in one step; without power nothing changes any more, and in between some bits do. */
static void turn(uint32_t *word, uint32_t value)
{
    torn_bits = torn_bits << 1 | torn_bits >> 31;
    if (cut_at_step == 0u || flash_steps < cut_at_step) {
        *word = value;
    } else if (flash_steps == cut_at_step) {
        *word = (*word & torn_bits) | (value & ~torn_bits);
    }
}

const uint8_t *port_slot(uint32_t slot)
{
    return (const uint8_t *)flash[slot];
}

void port_slot_erase(uint32_t slot)
{
    for (uint32_t page = 0; page < SLOT_PAGES; page++) {
        flash_steps++;
        for (uint32_t i = 0; i < PAGE_WORDS; i++) {
            turn(&flash[slot][page * PAGE_WORDS + i], 0xFFFFFFFFu);
        }
    }
}

/* Writing turns ones to zeros only. */
void port_slot_write(uint32_t slot, uint32_t offset, const uint8_t *bytes, uint32_t length)
{
    for (uint32_t i = 0; i < length; i += 4u) {
        uint32_t *word = &flash[slot][(offset + i) / 4u];
        uint32_t value = (uint32_t)bytes[i] | (uint32_t)bytes[i + 1u] << 8 | (uint32_t)bytes[i + 2u] << 16 |
                         (uint32_t)bytes[i + 3u] << 24;
        flash_steps++;
        turn(word, *word & value);
    }
}
#endif

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
