/* libFuzzer's entry: whole sessions, in which models are loaded, power is cut and the device restarts.
 *
 * The fuzzer's bytes are events; what needs sums that no fuzzer finds, such as the frames' CRC or a block of another
 * model, is made here.  After every restart the device has the model whose load it acknowledged last, and after every
 * session it answers and its model computes the test vectors.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "model.h"
#include "other_block.h"
#include "ports/host.h"
#include "protocol.h"

#define WIRE_BYTES 64u
#define SENT_BYTES 4096u
#define CONTENT_AT 3u /* version, type and sequence come from here */

typedef struct {
    const uint8_t *data;
    size_t size;
} events_t;

static uint16_t sequence;
static uint32_t acknowledged_crc; /* of the model that the device must have */

static void require(int condition)
{
    if (!condition) {
        abort();
    }
}

static uint32_t take(events_t *events)
{
    if (events->size == 0u) {
        return 0;
    }
    events->size--;
    return *events->data++;
}

/* Sends a frame of these `length` bytes of payload.  The answer is one frame, with the request's sequence number.
 * Returns 1 if it is no ERROR. */
static int ask(uint8_t type, const uint8_t *payload, uint32_t length)
{
    uint8_t wire[WIRE_BYTES] = { 0, PROTOCOL_VERSION, type }, sent[SENT_BYTES];
    uint32_t total;

    sequence++;
    memcpy(wire + CONTENT_AT, &sequence, sizeof sequence);
    memcpy(wire + CONTENT_AT + sizeof sequence, payload, length);
    total = host_serve(wire, protocol_encode(wire, 4u + length), sent, sizeof sent);
    require((total == 0u) == ((type & PROTOCOL_ANSWER) != 0));
    require(total <= PROTOCOL_WIRE_BYTES);
    if (total == 0u) {
        return 0;
    }
    require(protocol_decode(sent, total - 1u) > 0u);
    require(memcmp(sent + CONTENT_AT, &sequence, sizeof sequence) == 0);
    require(sent[2] == PROTOCOL_ERROR || sent[2] == (type | PROTOCOL_ANSWER));
    return sent[2] != PROTOCOL_ERROR;
}

static int ask_numbers(uint8_t type, uint32_t first, uint32_t second, uint32_t count)
{
    uint32_t numbers[2] = { first, second };

    return ask(type, (const uint8_t *)numbers, 4u * count);
}

/* Chunks `from` to `end` of the other model's block; one bit of it may be another. */
static void send_block(uint32_t from, uint32_t end, uint32_t flipped)
{
    uint8_t payload[4 + PROTOCOL_CHUNK_BYTES];

    for (uint32_t at = from * PROTOCOL_CHUNK_BYTES; at < sizeof other_block && at < end * PROTOCOL_CHUNK_BYTES;
         at += PROTOCOL_CHUNK_BYTES) {
        uint32_t left = (uint32_t)sizeof other_block - at;
        uint32_t bytes = left < PROTOCOL_CHUNK_BYTES ? left : PROTOCOL_CHUNK_BYTES;

        memcpy(payload, &at, 4);
        memcpy(payload + 4, other_block + at, bytes);
        if (flipped >= at && flipped < at + bytes) {
            payload[4u + flipped - at] ^= 1u;
        }
        (void)ask(PROTOCOL_LOAD_CHUNK, payload, 4u + bytes);
    }
}

static void noise(events_t *events)
{
    uint8_t bytes[WIRE_BYTES], sent[SENT_BYTES];
    uint32_t length = take(events) % WIRE_BYTES;

    for (uint32_t i = 0; i < length; i++) {
        bytes[i] = (uint8_t)take(events);
    }
    bytes[length] = 0;
    require(host_serve(bytes, length + 1u, sent, sizeof sent) <= sizeof sent);
    (void)host_idle(sent, sizeof sent);
    (void)host_serve(bytes + length, 1, sent, sizeof sent);
}

static void restart(void)
{
    host_cut_power(0, 0);
    host_reset();
    require(model_weights()->crc == acknowledged_crc);
}

static void commit(uint32_t crc)
{
    if (ask_numbers(PROTOCOL_LOAD_COMMIT, crc, 0, 1)) {
        acknowledged_crc = crc;
    }
}

static void any_frame(events_t *events)
{
    uint8_t payload[PROTOCOL_PAYLOAD_BYTES];
    uint8_t type = (uint8_t)take(events);
    uint32_t crc;
    uint32_t length = take(events) % (PROTOCOL_PAYLOAD_BYTES + 1u);

    for (uint32_t i = 0; i < length; i++) {
        payload[i] = (uint8_t)take(events);
    }
    if (type == PROTOCOL_LOAD_COMMIT && length == sizeof crc) {
        memcpy(&crc, payload, sizeof crc);
        commit(crc);
    } else {
        (void)ask(type, payload, length);
    }
}

static void event(events_t *events)
{
    uint32_t crc, from;

    memcpy(&crc, other_block + sizeof other_block - 4u, 4);
    switch (take(events) % 10u) {
    case 0:
        any_frame(events);
        break;
    case 1:
        noise(events);
        break;
    case 2:
        ask_numbers(PROTOCOL_LOAD_BEGIN, sizeof other_block, crc, 2);
        break;
    case 3:
        ask_numbers(PROTOCOL_LOAD_BEGIN, sizeof other_block, take(events), 2);
        break;
    case 4:
        from = take(events);
        send_block(from, from + take(events), UINT32_MAX);
        break;
    case 5:
        send_block(0, UINT32_MAX / PROTOCOL_CHUNK_BYTES, take(events) | take(events) << 8);
        break;
    case 6:
        commit(crc);
        break;
    case 7:
        ask_numbers(PROTOCOL_INFER, protocol_crc32(device.input, device.input_bytes), 0, 1);
        break;
    case 8:
        host_cut_power(1u + (take(events) | take(events) << 8), take(events) * 0x01010101u);
        break;
    default:
        restart();
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    events_t events = { data, size };

    host_blank_flash();
    acknowledged_crc = model_compiled_weights.crc;
    restart();
    while (events.size > 0u) {
        event(&events);
    }
    restart();
    require(device_self_test() == 0u);
    require(ask_numbers(PROTOCOL_STATS, 0, 0, 0));
    require(ask_numbers(PROTOCOL_LOAD_BEGIN, sizeof other_block, 1, 2));
    require(device_self_test() == 0u);
    return 0;
}
