#include <stdint.h>

#include "model.h"

#include "device.h"
#include "listener.h"
#include "protocol.h"
#include "sensor.h"

#ifdef MODEL_HOP_SIZE

#ifndef MODEL_RATE_HZ
#define MODEL_RATE_HZ 0u
#endif
#define SAMPLE_BYTES 2u
#define CHANNELS (MODEL_HOP_SIZE / MODEL_HOP_ROWS)
#define WORDS_KEPT 8u
#define POLLED 64u /* samples, so that the line is looked at in between */

typedef enum {
    NOTHING = 0,
    LINE = 1,
    SENSOR = 2,
} source_t;

typedef struct {
    uint32_t hops;
    uint16_t class_index;
    uint16_t confidence_per_mille;
} word_t;

model_stream_t listener_stream;

/* All counts are those since LISTEN. */
static struct {
    source_t source;
    uint32_t samples; /* modulo 2^32 */
    uint32_t filled;  /* samples in the hop */
    uint32_t hops;
    uint32_t answers;
    uint32_t words;
    word_t recent[WORDS_KEPT]; /* word n is at n % WORDS_KEPT */
    int16_t hop[MODEL_HOP_SIZE];
} listener;

#ifdef MODEL_NOTHING
#define STEP MODEL_ANSWER_HOPS
#define ANSWERS MODEL_ANSWERS

static model_decision_t decision;

static void begin_words(void)
{
    model_begin_decisions(&decision);
}

static void find_word(void)
{
    uint32_t named = model_decide(&decision, device_logits);
    word_t *word = &listener.recent[listener.words % WORDS_KEPT];

    if (named != MODEL_NOTHING) {
        word->hops = listener.hops;
        word->class_index = (uint16_t)named;
        word->confidence_per_mille = (uint16_t)(model_score(&decision, named) / MODEL_ANSWERS);
        listener.words++;
    }
}
#else
/* A model without a decision answers, and names nothing. */
#define STEP 1u
#define ANSWERS 0u

static void begin_words(void)
{
}

static void find_word(void)
{
}
#endif

static void take(int16_t sample)
{
    listener.samples++;
    listener.hop[listener.filled++] = sample;
    if (listener.filled < MODEL_HOP_SIZE) {
        return;
    }
    listener.filled = 0;
    listener.hops++;
    if (model_push(&listener_stream, listener.hop, device_logits)) {
        listener.answers++;
        find_word();
    }
}

/* LISTEN: source u8, step u16 -> rate u32, rows of a hop u32, channels u16, step u16, answers of a word u16. */
static answer_t answer_listen(uint8_t *payload, uint32_t length)
{
    protocol_window_t window = { payload, 0, 0 };
    uint32_t step;

    if (length != 3u) {
        return protocol_fail(PROTOCOL_BAD_LENGTH);
    }
    step = protocol_u16(payload + 1);
    step = step == 0u ? STEP : step;
    listener_stop();
    listener.samples = 0;
    listener.filled = 0;
    listener.hops = 0;
    listener.answers = 0;
    listener.words = 0;
    model_begin(&listener_stream, step);
    begin_words();
    if (payload[0] > SENSOR || (payload[0] == SENSOR && !sensor_start(MODEL_RATE_HZ, CHANNELS))) {
        return protocol_fail(PROTOCOL_NO_SUCH_SOURCE);
    }
    listener.source = (source_t)payload[0];
    protocol_put_u32(&window, MODEL_RATE_HZ);
    protocol_put_u32(&window, MODEL_HOP_ROWS);
    protocol_put_u16(&window, CHANNELS);
    protocol_put_u16(&window, (uint16_t)listener_stream.step);
    protocol_put_u16(&window, ANSWERS);
    return (answer_t)window.total;
}

/* SAMPLES: number of the first u32, samples i16 -> samples, answers and words so far, each u32. */
static answer_t answer_samples(protocol_t *protocol, uint8_t *payload, uint32_t length)
{
    protocol_window_t window = { payload, 0, 0 };
    uint32_t count, known;

    if (length < 4u + SAMPLE_BYTES || (length - 4u) % SAMPLE_BYTES != 0u) {
        return protocol_fail(PROTOCOL_BAD_LENGTH);
    }
    if (listener.source != LINE) {
        return protocol_fail(PROTOCOL_NOT_LISTENING);
    }
    count = (length - 4u) / SAMPLE_BYTES;
    known = listener.samples - protocol_u32(payload); /* of these: the request may come twice */
    if (known > count) {
        return protocol_fail(PROTOCOL_BAD_OFFSET);
    }
    for (uint32_t i = known; i < count; i++) {
        take((int16_t)protocol_u16(payload + 4u + SAMPLE_BYTES * i));
    }
    protocol->inferred |= listener.answers > 0u;
    protocol_put_u32(&window, listener.samples);
    protocol_put_u32(&window, listener.answers);
    protocol_put_u32(&window, listener.words);
    return (answer_t)window.total;
}

/* WORDS: number of the first one wanted u32 -> words so far u32, hops so far u32, and the first of them that is kept:
 * its number u32, hops u32, class u16, confidence u16. */
static answer_t answer_words(uint8_t *payload, uint32_t length)
{
    protocol_window_t window = { payload, 0, 0 };
    uint32_t number;

    if (length != 4u) {
        return protocol_fail(PROTOCOL_BAD_LENGTH);
    }
    if (listener.source == NOTHING) {
        return protocol_fail(PROTOCOL_NOT_LISTENING);
    }
    number = protocol_u32(payload);
    if (listener.words > WORDS_KEPT && number < listener.words - WORDS_KEPT) {
        number = listener.words - WORDS_KEPT;
    }
    protocol_put_u32(&window, listener.words);
    protocol_put_u32(&window, listener.hops);
    if (number < listener.words) {
        const word_t *word = &listener.recent[number % WORDS_KEPT];
        protocol_put_u32(&window, number);
        protocol_put_u32(&window, word->hops);
        protocol_put_u16(&window, word->class_index);
        protocol_put_u16(&window, word->confidence_per_mille);
    }
    return (answer_t)window.total;
}

void listener_stop(void)
{
    sensor_stop();
    listener.source = NOTHING;
}

answer_t listener_answer(protocol_t *protocol, uint8_t type, uint8_t *payload, uint32_t length)
{
    switch (type) {
    case PROTOCOL_LISTEN:
        return answer_listen(payload, length);
    case PROTOCOL_SAMPLES:
        return answer_samples(protocol, payload, length);
    case PROTOCOL_WORDS:
        return answer_words(payload, length);
    default:
        return protocol_fail(PROTOCOL_UNKNOWN_TYPE);
    }
}

uint32_t listener_poll(void)
{
    int16_t samples[POLLED];
    uint32_t count;

    if (listener.source != SENSOR) {
        return 0;
    }
    count = sensor_read(samples, POLLED);
    for (uint32_t i = 0; i < count; i++) {
        take(samples[i]);
    }
    return 1;
}

#else

void listener_stop(void)
{
}

answer_t listener_answer(protocol_t *protocol, uint8_t type, uint8_t *payload, uint32_t length)
{
    (void)protocol;
    (void)type;
    (void)payload;
    (void)length;
    return protocol_fail(PROTOCOL_UNKNOWN_TYPE);
}

uint32_t listener_poll(void)
{
    return 0;
}

#endif
