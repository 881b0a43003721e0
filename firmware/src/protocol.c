#include "protocol.h"

#include <stdint.h>

/* A frame, from wire[1] on: version u8, type u8, sequence u16, payload.  wire[0] is left to COBS. */
#define VERSION_AT 1u
#define TYPE_AT 2u
#define PAYLOAD_AT 5u
#define HEADER_BYTES 4u
#define CRC_BYTES 4u

uint32_t protocol_u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

uint32_t protocol_u16(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8;
}

static void write_u32(uint8_t *bytes, uint32_t value)
{
    for (uint32_t i = 0; i < 4u; i++) {
        bytes[i] = (uint8_t)(value >> (8u * i));
    }
}

/* -- checks and frames --------------------------------------------------------------------------------------- */

/* Four bits at a time: a table of 64 bytes instead of 1 KiB. */
static uint32_t crc32_add(uint32_t crc, uint8_t byte)
{
    static const uint32_t table[16] = {
        0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u, 0x4DB26158u, 0x5005713Cu,
        0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu, 0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu,
    };

    crc ^= byte;
    crc = crc >> 4 ^ table[crc & 15u];
    return crc >> 4 ^ table[crc & 15u];
}

uint32_t protocol_crc32(const uint8_t *bytes, uint32_t length)
{
    uint32_t crc = 0xFFFFFFFFu;

    for (uint32_t i = 0; i < length; i++) {
        crc = crc32_add(crc, bytes[i]);
    }
    return ~crc;
}

/* CRC-32 of the logits as they go over the line, whatever the byte order of the core. */
static uint32_t logits_crc32(const protocol_device_t *device)
{
    uint32_t crc = 0xFFFFFFFFu;

    for (uint32_t i = 0; i < device->outputs; i++) {
        for (uint32_t shift = 0; shift < 32u; shift += 8u) {
            crc = crc32_add(crc, (uint8_t)((uint32_t)device->logits[i] >> shift));
        }
    }
    return ~crc;
}

uint32_t protocol_encode(uint8_t *wire, uint32_t length)
{
    uint32_t end = 1u + length + CRC_BYTES;
    uint32_t distance = 1; /* to the next zero, or to the end */

    write_u32(wire + 1u + length, protocol_crc32(wire + 1, length));
    wire[end] = 0;
    for (uint32_t i = end; i-- > 0u;) {
        if (i == 0u || wire[i] == 0u) {
            wire[i] = (uint8_t)distance;
            distance = 0;
        }
        distance++;
    }
    return end + 1u;
}

uint32_t protocol_decode(uint8_t *wire, uint32_t length)
{
    uint32_t at = 0;

    if (length < 1u + HEADER_BYTES + CRC_BYTES || length >= PROTOCOL_WIRE_BYTES) {
        return 0;
    }
    /* Each code is the distance to the next; there are no zeros between them, and the last one points at the end. */
    while (at < length) {
        uint32_t distance = wire[at];
        wire[at] = 0;
        at += distance;
    }
    if (at != length) {
        return 0;
    }
    length -= 1u + CRC_BYTES;
    return protocol_u32(wire + 1u + length) == protocol_crc32(wire + 1, length) ? length : 0u;
}

/* -- blocks -------------------------------------------------------------------------------------------------- */

void protocol_put_u8(protocol_window_t *window, uint8_t value)
{
    if (window->total >= window->offset && window->total - window->offset < PROTOCOL_CHUNK_BYTES) {
        window->bytes[window->total - window->offset] = value;
    }
    window->total++;
}

void protocol_put_u16(protocol_window_t *window, uint16_t value)
{
    protocol_put_u8(window, (uint8_t)value);
    protocol_put_u8(window, (uint8_t)(value >> 8));
}

void protocol_put_u32(protocol_window_t *window, uint32_t value)
{
    protocol_put_u16(window, (uint16_t)value);
    protocol_put_u16(window, (uint16_t)(value >> 16));
}

void protocol_put_u64(protocol_window_t *window, uint64_t value)
{
    protocol_put_u32(window, (uint32_t)value);
    protocol_put_u32(window, (uint32_t)(value >> 32));
}

void protocol_put_characters(protocol_window_t *window, const char *text)
{
    for (uint32_t i = 0; text[i] != '\0'; i++) {
        protocol_put_u8(window, (uint8_t)text[i]);
    }
}

/* Texts are names and labels, of 64 bytes at most. */
void protocol_put_text(protocol_window_t *window, const char *text)
{
    uint8_t length = 0;

    while (text[length] != '\0') {
        length++;
    }
    protocol_put_u8(window, length);
    protocol_put_characters(window, text);
}

static void put_logits(const protocol_device_t *device, protocol_window_t *window)
{
    for (uint32_t i = 0; i < device->outputs; i++) {
        protocol_put_u32(window, (uint32_t)device->logits[i]);
    }
}

/* -- requests ------------------------------------------------------------------------------------------------ */

/* Each handler reads the request's payload, writes the answer's over it and returns the answer's length. */

answer_t protocol_fail(protocol_error_t error)
{
    return -(answer_t)error;
}

/* Bytes of a block's chunk that are in this frame. */
static uint32_t chunk_bytes(const protocol_window_t *window)
{
    uint32_t bytes = window->total - window->offset;

    return bytes < PROTOCOL_CHUNK_BYTES ? bytes : PROTOCOL_CHUNK_BYTES;
}

/* Completes the answer with a block that `window` wrote after the first four bytes of the payload. */
static answer_t finish_block(uint8_t *payload, const protocol_window_t *window)
{
    if (window->offset >= window->total) {
        return protocol_fail(PROTOCOL_BAD_OFFSET);
    }
    write_u32(payload, window->total);
    return 4 + (answer_t)chunk_bytes(window);
}

/* INFO and LOGITS: offset u32 -> total u32, up to 48 bytes from there. */
static answer_t answer_block(protocol_t *protocol, uint8_t type, uint8_t *payload, uint32_t length)
{
    protocol_window_t window = { payload + 4, 0, 0 };

    if (length != 4u) {
        return protocol_fail(PROTOCOL_BAD_LENGTH);
    }
    window.offset = protocol_u32(payload);
    if (type == PROTOCOL_INFO) {
        protocol->device->describe(&window);
    } else if (protocol->inferred) {
        put_logits(protocol->device, &window);
    } else {
        return protocol_fail(PROTOCOL_NOT_INFERRED);
    }
    return finish_block(payload, &window);
}

/* INPUT: offset u32, bytes -> nothing. */
static answer_t answer_input(const protocol_t *protocol, const uint8_t *payload, uint32_t length)
{
    const protocol_device_t *device = protocol->device;
    uint32_t offset, bytes;

    if (length <= 4u) {
        return protocol_fail(PROTOCOL_BAD_LENGTH);
    }
    offset = protocol_u32(payload);
    bytes = length - 4u;
    if (offset > device->input_bytes || bytes > device->input_bytes - offset) {
        return protocol_fail(PROTOCOL_BAD_OFFSET);
    }
    for (uint32_t i = 0; i < bytes; i++) {
        device->input[offset + i] = payload[4u + i];
    }
    return 0;
}

/* INFER: CRC-32 of the input u32 -> the result, and CRC-32 of the logits. */
static answer_t answer_infer(protocol_t *protocol, uint8_t *payload, uint32_t length)
{
    const protocol_device_t *device = protocol->device;
    protocol_window_t window = { payload, 0, 0 };
    protocol_result_t result;
    uint32_t crc;

    if (length != 4u) {
        return protocol_fail(PROTOCOL_BAD_LENGTH);
    }
    crc = protocol_crc32(device->input, device->input_bytes);
    if (protocol_u32(payload) != crc) {
        return protocol_fail(PROTOCOL_INPUT_DIFFERS);
    }
    device->infer(&result);
    protocol->inferred = 1;
    protocol_put_u16(&window, result.class_index);
    protocol_put_u16(&window, device->outputs);
    protocol_put_u64(&window, result.ticks);
    protocol_put_u8(&window, result.tick_source);
    protocol_put_u16(&window, result.confidence_per_mille);
    protocol_put_u32(&window, crc);
    protocol_put_u32(&window, logits_crc32(device));
    return (answer_t)window.total;
}

/* What TRACE and PROFILE begin with, CRC-32 of the input u32, layer u16: 0 when both are right. */
static answer_t check_layer(const protocol_device_t *device, const uint8_t *payload)
{
    if (protocol_u32(payload) != protocol_crc32(device->input, device->input_bytes)) {
        return protocol_fail(PROTOCOL_INPUT_DIFFERS);
    }
    return protocol_u16(payload + 4) < device->layers ? 0 : protocol_fail(PROTOCOL_NO_SUCH_LAYER);
}

/* TRACE: CRC-32 of the input u32, layer u16, offset u32 -> total u32, up to 48 bytes from there. */
static answer_t answer_trace(protocol_t *protocol, uint8_t *payload, uint32_t length)
{
    protocol_window_t window = { payload + 4, 0, 0 };
    answer_t error;

    if (length != 10u) {
        return protocol_fail(PROTOCOL_BAD_LENGTH);
    }
    error = check_layer(protocol->device, payload);
    if (error != 0) {
        return error;
    }
    window.offset = protocol_u32(payload + 6);
    protocol->inferred = 1;
    protocol->device->trace(protocol_u16(payload + 4), &window);
    return finish_block(payload, &window);
}

/* PROFILE: CRC-32 of the input u32, layer u16 -> ticks u64, tick source u8. */
static answer_t answer_profile(protocol_t *protocol, uint8_t *payload, uint32_t length)
{
    const protocol_device_t *device = protocol->device;
    protocol_window_t window = { payload, 0, 0 };
    answer_t error;

    if (length != 6u) {
        return protocol_fail(PROTOCOL_BAD_LENGTH);
    }
    error = check_layer(device, payload);
    if (error != 0) {
        return error;
    }
    protocol->inferred = 1;
    protocol_put_u64(&window, device->profile(protocol_u16(payload + 4)));
    protocol_put_u8(&window, device->tick_source());
    return (answer_t)window.total;
}

/* SELFTEST, STATS and RESET: nothing -> what the device reports about itself. */
static answer_t answer_self(protocol_t *protocol, uint8_t type, uint8_t *payload, uint32_t length)
{
    protocol_window_t window = { payload, 0, 0 };

    if (length != 0u) {
        return protocol_fail(PROTOCOL_BAD_LENGTH);
    }
    if (type == PROTOCOL_SELFTEST) {
        protocol->device->self_test(&window);
    } else if (type == PROTOCOL_STATS) {
        protocol_put_u32(&window, protocol->answered);
        protocol_put_u32(&window, protocol->refused);
        protocol_put_u32(&window, protocol->dropped);
        protocol->device->measure(&window);
    } else {
        protocol->reset = 1;
    }
    return (answer_t)window.total;
}

static answer_t answer_request(protocol_t *protocol, uint32_t length)
{
    uint8_t type = protocol->wire[TYPE_AT];
    uint8_t *payload = protocol->wire + PAYLOAD_AT;

    if (protocol->wire[VERSION_AT] != PROTOCOL_VERSION) {
        return protocol_fail(PROTOCOL_BAD_VERSION);
    }
    switch (type) {
    case PROTOCOL_INFO:
    case PROTOCOL_LOGITS:
        return answer_block(protocol, type, payload, length);
    case PROTOCOL_INPUT:
        return answer_input(protocol, payload, length);
    case PROTOCOL_INFER:
        return answer_infer(protocol, payload, length);
    case PROTOCOL_TRACE:
        return answer_trace(protocol, payload, length);
    case PROTOCOL_PROFILE:
        return answer_profile(protocol, payload, length);
    case PROTOCOL_SELFTEST:
    case PROTOCOL_STATS:
    case PROTOCOL_RESET:
        return answer_self(protocol, type, payload, length);
    default:
        return protocol->device->answer_other(protocol, type, payload, length);
    }
}

/* `wire` holds a whole frame.  Returns the bytes of the answer, 0 for no answer. */
static uint32_t answer_frame(protocol_t *protocol, uint32_t wire_length)
{
    uint8_t *wire = protocol->wire;
    uint32_t length = protocol_decode(wire, wire_length);
    answer_t answer;

    if (length == 0u) {
        protocol->dropped += wire_length != 0u;
        return 0;
    }
    /* An answer is never answered: on a line that echoes the device would talk to itself for ever. */
    if ((wire[TYPE_AT] & PROTOCOL_ANSWER) != 0u) {
        return 0;
    }
    protocol->answered++;
    answer = answer_request(protocol, length - HEADER_BYTES);
    wire[VERSION_AT] = PROTOCOL_VERSION;
    if (answer >= 0) {
        wire[TYPE_AT] |= PROTOCOL_ANSWER;
    } else {
        wire[TYPE_AT] = PROTOCOL_ERROR;
        wire[PAYLOAD_AT] = (uint8_t)-answer;
        answer = 1;
        protocol->refused++;
    }
    return protocol_encode(wire, HEADER_BYTES + (uint32_t)answer);
}

void protocol_init(protocol_t *protocol, const protocol_device_t *device)
{
    protocol->device = device;
    protocol->length = 0;
    protocol->printed = 0;
    protocol->answered = 0;
    protocol->refused = 0;
    protocol->dropped = 0;
    protocol->inferred = 0;
    protocol->silent = 0;
    protocol->reset = 0;
}

static uint32_t is_newline(uint8_t byte)
{
    return byte == (uint8_t)'\n' || byte == (uint8_t)'\r';
}

/* A newline is all that came since the last delimiter. */
static uint32_t newline_waits(const protocol_t *protocol)
{
    return protocol->length == 1u && is_newline(protocol->wire[0]);
}

uint32_t protocol_more(protocol_t *protocol)
{
    protocol_window_t window = { protocol->wire, protocol->printed - 1u, 0 };

    if (protocol->printed == 0u) {
        return 0;
    }
    protocol->device->print(&window);
    protocol_put_u8(&window, 0);
    if (window.offset >= window.total) {
        protocol->printed = 0;
        return 0;
    }
    protocol->printed += chunk_bytes(&window);
    return chunk_bytes(&window);
}

/* Begins the text for a terminal.  A zero ends it: a terminal ignores it, a host drops the text as a broken frame. */
static uint32_t print(protocol_t *protocol)
{
    protocol->length = 0;
    protocol->printed = 1;
    return protocol_more(protocol);
}

uint32_t protocol_idle(protocol_t *protocol)
{
    uint32_t asked = protocol->silent && newline_waits(protocol);

    protocol->silent = 1;
    return asked ? print(protocol) : 0u;
}

uint32_t protocol_receive(protocol_t *protocol, uint8_t byte)
{
    uint32_t length = protocol->length;

    protocol->silent = 0;
    /* No frame begins with two newlines: the version follows the first code. */
    if (newline_waits(protocol) && is_newline(byte)) {
        return print(protocol);
    }
    if (byte == 0u) {
        protocol->length = 0;
        return answer_frame(protocol, length);
    }
    /* A frame that is too long is still counted, so that its end is not taken for a short frame. */
    if (length < PROTOCOL_WIRE_BYTES) {
        protocol->wire[length] = byte;
        protocol->length = length + 1u;
    }
    return 0;
}
