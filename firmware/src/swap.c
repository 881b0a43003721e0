#include "swap.h"

#include <stdint.h>

#include "model.h"

#include "device.h"
#include "listener.h"
#include "port.h"
#include "sha256.h"

#ifdef MODEL_LAYOUT

#define NO_SLOT PORT_SLOTS
#define CRC_BYTES 4u
#define SHIFT_MAX 31u
#define LOGIT_SHIFT_MAX 26u
#define DIGESTED_AT 72u /* the digest is that of all bytes from here up to the CRC */

/* What makes a slot count, written after all that it says is there. */
typedef struct {
    uint32_t sequence;     /* one more than that of the model before */
    uint32_t block_crc;
    uint32_t compiled_crc; /* of the block compiled into the firmware that took it */
    uint32_t crc;          /* of the three before */
} seal_t;

static uint32_t slot_in_use;
static uint32_t last_sequence;

/* The load under way. */
static struct {
    uint32_t crc;      /* of the block, as its last word has it */
    uint32_t received; /* bytes, in order */
    uint8_t slot;
    uint8_t is_open;
    uint8_t is_refused; /* by the last commit: it begins anew */
} load;

static const model_weights_t *weights_in(uint32_t slot)
{
    return (const model_weights_t *)(const void *)port_slot(slot);
}

static const seal_t *seal_of(uint32_t slot)
{
    return (const seal_t *)(const void *)(port_slot(slot) + MODEL_WEIGHTS_BYTES);
}

static uint32_t seal_crc(const seal_t *seal)
{
    return protocol_crc32((const uint8_t *)seal, sizeof(seal_t) - CRC_BYTES);
}

static uint32_t is_of_this_layout(const model_weights_t *weights)
{
    for (uint32_t i = 0; i < sizeof weights->layout; i++) {
        if (weights->layout[i] != model_compiled_weights.layout[i]) {
            return 0;
        }
    }
    return 1;
}

/* Each layer's lowest numbers are no lower, and its highest no higher, than what the code holds. */
static uint32_t is_within_limits(const model_weights_t *weights)
{
    for (uint32_t i = 0; i < sizeof weights->ranges / sizeof weights->ranges[0]; i += 2u) {
        if (weights->ranges[i] < model_limits[i] || weights->ranges[i + 1u] > model_limits[i + 1u]) {
            return 0;
        }
    }
    return 1;
}

/* Shifts that C defines, of logits and of layers. */
static uint32_t has_valid_shifts(const model_weights_t *weights)
{
    for (uint32_t i = 0; i < sizeof weights->shifts; i++) {
        if (weights->shifts[i] > SHIFT_MAX) {
            return 0;
        }
    }
    return weights->logit_shift <= LOGIT_SHIFT_MAX;
}

/* PROTOCOL_OK if the block can be used. */
static protocol_error_t check(const model_weights_t *weights)
{
    const uint8_t *bytes = (const uint8_t *)weights;

    if (weights->magic != MODEL_WEIGHTS_MAGIC || weights->bytes != MODEL_WEIGHTS_BYTES ||
        weights->name[sizeof weights->name - 1u] != '\0') {
        return PROTOCOL_NOT_A_MODEL;
    }
    if (weights->crc != protocol_crc32(bytes, MODEL_WEIGHTS_BYTES - CRC_BYTES)) {
        return PROTOCOL_BAD_CRC;
    }
    if (!sha256_is(weights->digest, bytes + DIGESTED_AT, MODEL_WEIGHTS_BYTES - DIGESTED_AT - CRC_BYTES)) {
        return PROTOCOL_BAD_HASH;
    }
    if (!is_of_this_layout(weights)) {
        return PROTOCOL_OTHER_LAYOUT;
    }
    if (!has_valid_shifts(weights)) {
        return PROTOCOL_NOT_A_MODEL;
    }
    return is_within_limits(weights) ? PROTOCOL_OK : PROTOCOL_RANGES_EXCEEDED;
}

static uint32_t is_sealed(uint32_t slot)
{
    const seal_t *seal = seal_of(slot);

    return seal->crc == seal_crc(seal) && seal->block_crc == weights_in(slot)->crc &&
           seal->compiled_crc == model_compiled_weights.crc;
}

void swap_init(void)
{
    slot_in_use = NO_SLOT;
    last_sequence = 0;
    load.is_open = 0;
    model_use(&model_compiled_weights);
    for (uint32_t slot = 0; slot < PORT_SLOTS; slot++) {
        if (is_sealed(slot) && check(weights_in(slot)) == PROTOCOL_OK &&
            (slot_in_use == NO_SLOT || seal_of(slot)->sequence > last_sequence)) {
            slot_in_use = slot;
            last_sequence = seal_of(slot)->sequence;
            model_use(weights_in(slot));
        }
    }
}

void swap_describe(protocol_window_t *window)
{
    for (uint32_t i = 0; i < sizeof model_weights()->layout; i++) {
        protocol_put_u8(window, model_compiled_weights.layout[i]);
    }
    protocol_put_u32(window, MODEL_WEIGHTS_BYTES);
    protocol_put_u32(window, model_weights()->crc);
    protocol_put_u8(window, (uint8_t)(slot_in_use == NO_SLOT ? 0u : slot_in_use + 1u));
}

/* The slot that is not in use; a load that was interrupted goes on. */
static protocol_error_t begin(uint32_t bytes, uint32_t crc, uint32_t *received)
{
    if (bytes != MODEL_WEIGHTS_BYTES) {
        return PROTOCOL_WRONG_SIZE;
    }
    if (!load.is_open || load.is_refused || load.crc != crc) {
        load.slot = slot_in_use == 0u ? 1u : 0u;
        load.crc = crc;
        load.received = 0;
        load.is_open = 1;
        load.is_refused = 0;
        port_slot_erase(load.slot);
    }
    *received = load.received;
    return PROTOCOL_OK;
}

static uint32_t is_there(uint32_t offset, const uint8_t *bytes, uint32_t length)
{
    const uint8_t *there = port_slot(load.slot) + offset;

    for (uint32_t i = 0; i < length; i++) {
        if (there[i] != bytes[i]) {
            return 0;
        }
    }
    return 1;
}

static protocol_error_t take_chunk(uint32_t offset, const uint8_t *bytes, uint32_t length)
{
    if (!load.is_open) {
        return PROTOCOL_NOT_BEGUN;
    }
    if (length % 4u != 0u) {
        return PROTOCOL_BAD_LENGTH;
    }
    if (offset > MODEL_WEIGHTS_BYTES || length > MODEL_WEIGHTS_BYTES - offset) {
        return PROTOCOL_BAD_OFFSET;
    }
    if (offset < load.received && length <= load.received - offset) {
        return is_there(offset, bytes, length) ? PROTOCOL_OK : PROTOCOL_CHUNK_DIFFERS; /* repeated */
    }
    if (offset != load.received) {
        return PROTOCOL_OUT_OF_ORDER;
    }
    port_slot_write(load.slot, offset, bytes, length);
    if (!is_there(offset, bytes, length)) {
        return PROTOCOL_WRITE_FAILED;
    }
    load.received += length;
    return PROTOCOL_OK;
}

/* The sealed slot is the model from here on, whatever happens to the power. */
static protocol_error_t seal_slot(void)
{
    seal_t seal = { last_sequence + 1u, load.crc, model_compiled_weights.crc, 0 };

    seal.crc = seal_crc(&seal);
    port_slot_write(load.slot, MODEL_WEIGHTS_BYTES, (const uint8_t *)&seal, sizeof seal);
    return is_sealed(load.slot) && seal_of(load.slot)->sequence == seal.sequence ? PROTOCOL_OK : PROTOCOL_WRITE_FAILED;
}

/* The received block is tried, and only then sealed. */
static protocol_error_t try_and_seal(void)
{
    const model_weights_t *before = model_weights(), *received = weights_in(load.slot);
    protocol_error_t error = check(received);

    if (error == PROTOCOL_OK && received->crc != load.crc) {
        error = PROTOCOL_BAD_CRC;
    }
    if (error != PROTOCOL_OK) {
        return error;
    }
    model_use(received);
    error = device_self_test() != 0u ? PROTOCOL_SELF_TEST_FAILED : seal_slot();
    if (error != PROTOCOL_OK) {
        model_use(before);
        (void)device_self_test();
    }
    return error;
}

static protocol_error_t commit(uint32_t crc)
{
    protocol_error_t error;

    if (!load.is_open || crc != load.crc) {
        /* The answer to an earlier one may have been lost. */
        return slot_in_use != NO_SLOT && crc == model_weights()->crc ? PROTOCOL_OK : PROTOCOL_NOT_BEGUN;
    }
    if (load.received < MODEL_WEIGHTS_BYTES) {
        return PROTOCOL_INCOMPLETE;
    }
    error = try_and_seal();
    load.is_refused = error != PROTOCOL_OK;
    if (error == PROTOCOL_OK) {
        load.is_open = 0;
        listener_stop(); /* what has been heard was heard by another model */
        slot_in_use = load.slot;
        last_sequence++;
    }
    return error;
}

/* LOAD_BEGIN: bytes u32, CRC-32 u32 -> bytes that are there already u32. */
static answer_t answer_begin(uint8_t *payload, uint32_t length)
{
    protocol_window_t window = { payload, 0, 0 };
    protocol_error_t error;
    uint32_t received = 0;

    if (length != 8u) {
        return protocol_fail(PROTOCOL_BAD_LENGTH);
    }
    error = begin(protocol_u32(payload), protocol_u32(payload + 4), &received);
    if (error != PROTOCOL_OK) {
        return protocol_fail(error);
    }
    protocol_put_u32(&window, received);
    return (answer_t)window.total;
}

answer_t swap_answer(protocol_t *protocol, uint8_t type, uint8_t *payload, uint32_t length)
{
    switch (type) {
    case PROTOCOL_LOAD_BEGIN:
        return answer_begin(payload, length);
    case PROTOCOL_LOAD_CHUNK: /* offset u32, bytes -> nothing */
        return length <= 4u ? protocol_fail(PROTOCOL_BAD_LENGTH)
                            : protocol_fail(take_chunk(protocol_u32(payload), payload + 4, length - 4u));
    case PROTOCOL_LOAD_COMMIT: /* CRC-32 u32 -> nothing */
        protocol->inferred = 0; /* by another model */
        return protocol_fail(length == 4u ? commit(protocol_u32(payload)) : PROTOCOL_BAD_LENGTH);
    default:
        return listener_answer(protocol, type, payload, length);
    }
}

#endif
