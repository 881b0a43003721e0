/* A host that asks the firmware's own protocol over a bad line, and knows what a good line would have given.
 *
 * Arguments: number of faults, seed.  Each byte of the line, in either direction, meets a fault with a rate that is
 * drawn for each inference, 0.01 to 1 %.  Writes one line of counts; see tools/prove/faults.py for their order.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "ports/host.h"

#define LINE_BYTES 4096u
#define BURST_BYTES_MAX 8u
#define ATTEMPTS_MAX 1000u
#define LOGIT_BYTES (4u * 64u)

typedef struct {
    uint8_t bytes[LINE_BYTES];
    uint32_t length;
} line_t;

static struct {
    uint64_t faults, bytes, requests, repeats, inferences, wrong, lost;
} counts;

static uint64_t random_state;
static uint32_t rate; /* of faults, in units of 2^-32 */

/* SplitMix64 (Steele, Lea and Flood, OOPSLA 2014). */
static uint32_t random_u32(void)
{
    uint64_t z = random_state += 0x9E3779B97F4A7C15u;

    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (uint32_t)((z ^ z >> 31) >> 32);
}

static void append(line_t *line, uint8_t byte)
{
    if (line->length < LINE_BYTES) {
        line->bytes[line->length++] = byte;
    }
}

/* What comes out of the line when `bytes` go in. */
static void pass(line_t *out, const uint8_t *bytes, uint32_t length)
{
    out->length = 0;
    for (uint32_t i = 0; i < length; i++) {
        counts.bytes++;
        if (random_u32() >= rate) {
            append(out, bytes[i]);
            continue;
        }
        counts.faults++;
        switch (random_u32() % 5u) {
        case 0: /* flipped bit */
            append(out, bytes[i] ^ (uint8_t)(1u << random_u32() % 8u));
            break;
        case 1: /* lost */
            break;
        case 2: /* doubled */
            append(out, bytes[i]);
            append(out, bytes[i]);
            break;
        case 3: /* another byte */
            append(out, (uint8_t)random_u32());
            break;
        default: /* a burst of noise over it and what follows */
            for (uint32_t left = 2u + random_u32() % (BURST_BYTES_MAX - 1u); left > 0u && i < length; left--, i++) {
                append(out, (uint8_t)random_u32());
            }
            i--;
            break;
        }
    }
}

/* Finds the answer to `sequence` in what came in.  Returns its length, with the frame at wire[1]; 0 without one. */
static uint32_t find_answer(const line_t *in, uint8_t type, uint16_t sequence, uint8_t *wire)
{
    uint32_t start = 0;

    for (uint32_t i = 0; i < in->length; i++) {
        uint32_t length = i - start;

        if (in->bytes[i] != 0u) {
            continue;
        }
        if (length < PROTOCOL_WIRE_BYTES) {
            memcpy(wire, in->bytes + start, length);
            length = protocol_decode(wire, length);
            if (length > 0u && (wire[2] == (type | PROTOCOL_ANSWER) || wire[2] == PROTOCOL_ERROR) &&
                (uint16_t)(wire[3] | wire[4] << 8) == sequence) {
                return length;
            }
        }
        start = i + 1u;
    }
    return 0;
}

/* Asks until an answer is accepted.  Its payload replaces the request's, and *answer_type is its type; returns the
 * payload's bytes, or -1 when the request is lost. */
static int32_t ask(uint8_t type, uint8_t *payload, uint32_t length, uint8_t *answer_type)
{
    static uint16_t sequence;
    uint8_t frame[64], request[64], wire[64], sent[1024];
    line_t line;
    uint32_t bytes;

    sequence++;
    frame[1] = PROTOCOL_VERSION;
    frame[2] = type;
    frame[3] = (uint8_t)sequence;
    frame[4] = (uint8_t)(sequence >> 8);
    memcpy(frame + 5, payload, length);
    memcpy(request, frame, sizeof frame);
    bytes = protocol_encode(request, 4u + length);
    counts.requests++;
    for (uint32_t attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        static const uint8_t delimiter = 0;

        if (attempt > 0u) {
            counts.repeats++;
            pass(&line, &delimiter, 1);
            (void)host_serve(line.bytes, line.length, sent, sizeof sent);
        }
        pass(&line, request, bytes);
        uint32_t total = host_serve(line.bytes, line.length, sent, sizeof sent);
        pass(&line, sent, total < sizeof sent ? total : (uint32_t)sizeof sent);
        uint32_t found = find_answer(&line, type, sequence, wire);
        if (found > 0u) {
            memcpy(payload, wire + 5, found - 4u);
            *answer_type = wire[2];
            return (int32_t)(found - 4u);
        }
    }
    counts.lost++;
    return -1;
}

static void put_u32(uint8_t *bytes, uint32_t value)
{
    for (uint32_t i = 0; i < 4u; i++) {
        bytes[i] = (uint8_t)(value >> 8u * i);
    }
}

static uint32_t get_u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* Here only the frames' CRC is between a host and a wrong answer: each chunk has to be right. */
static void send_input(const uint8_t *input)
{
    uint8_t payload[52], type;

    for (uint32_t offset = 0; offset < device.input_bytes; offset += PROTOCOL_CHUNK_BYTES) {
        uint32_t bytes = device.input_bytes - offset;

        bytes = bytes < PROTOCOL_CHUNK_BYTES ? bytes : PROTOCOL_CHUNK_BYTES;
        put_u32(payload, offset);
        memcpy(payload + 4, input + offset, bytes);
        int32_t length = ask(PROTOCOL_INPUT, payload, 4u + bytes, &type);
        if (length >= 0 && (length != 0 || type == PROTOCOL_ERROR ||
                            memcmp(device.input + offset, input + offset, bytes) != 0)) {
            counts.wrong++;
        }
    }
}

/* One inference with all its requests.  Every accepted answer is compared with the device's own. */
static void infer(const uint8_t *input, uint32_t input_bytes)
{
    uint8_t payload[52], type, logits[LOGIT_BYTES];
    protocol_result_t expected;
    int32_t length;

    send_input(input);
    put_u32(payload, protocol_crc32(input, input_bytes));
    length = ask(PROTOCOL_INFER, payload, 4, &type);
    if (length < 0) {
        return;
    }
    device.infer(&expected);
    if (type == PROTOCOL_ERROR || length != 23 || payload[0] != expected.class_index ||
        (uint16_t)(payload[13] | payload[14] << 8) != expected.confidence_per_mille ||
        get_u32(payload + 15) != protocol_crc32(input, input_bytes)) {
        counts.wrong++;
        return;
    }
    for (uint32_t i = 0; i < device.outputs; i++) {
        put_u32(logits + 4u * i, (uint32_t)device.logits[i]);
    }
    for (uint32_t offset = 0; offset < 4u * device.outputs; offset += PROTOCOL_CHUNK_BYTES) {
        uint32_t bytes = 4u * device.outputs - offset;

        bytes = bytes < PROTOCOL_CHUNK_BYTES ? bytes : PROTOCOL_CHUNK_BYTES;
        put_u32(payload, offset);
        length = ask(PROTOCOL_LOGITS, payload, 4, &type);
        if (length >= 0 && (type == PROTOCOL_ERROR || length != (int32_t)(4u + bytes) ||
                            get_u32(payload) != 4u * device.outputs ||
                            memcmp(payload + 4, logits + offset, bytes) != 0)) {
            counts.wrong++;
        }
    }
    counts.inferences++;
}

int main(int count, char **arguments)
{
    static uint8_t input[4096];
    uint64_t wanted;

    if (count != 3 || device.input_bytes > sizeof input || 4u * device.outputs > LOGIT_BYTES) {
        return 2;
    }
    wanted = strtoull(arguments[1], NULL, 10);
    random_state = strtoull(arguments[2], NULL, 10);
    host_reset();
    while (counts.faults < wanted) {
        /* 0.01 to 1 %, most of them near 1 %, where frames meet several faults at once */
        rate = 429497u + random_u32() % (42949673u - 429497u);
        for (uint32_t i = 0; i < device.input_bytes; i++) {
            input[i] = (uint8_t)random_u32();
        }
        infer(input, device.input_bytes);
    }
    printf("%llu %llu %llu %llu %llu %llu %llu\n", (unsigned long long)counts.faults, (unsigned long long)counts.bytes,
           (unsigned long long)counts.requests, (unsigned long long)counts.repeats,
           (unsigned long long)counts.inferences, (unsigned long long)counts.wrong, (unsigned long long)counts.lost);
    return 0;
}
