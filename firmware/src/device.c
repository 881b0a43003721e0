#include "device.h"

#include <stdint.h>

/* Each layer's output passes here while the model runs. */
static void observe(uint32_t layer, const void *data, uint32_t bytes);

#define MODEL_TRACE(layer, data, bytes) observe((layer), (data), (uint32_t)(bytes))
#define MODEL_IMPLEMENTATION
#include "model.h"

#include "core.h"
#include "listener.h"
#include "port.h"
#include "protocol.h"
#include "swap.h"
#include "ticks.h"

#define FIRMWARE_VERSION "0.1.0"
#define HASH_BYTES 32u

/* Bits of INFO's flags. */
#define FLAG_EMULATED 0x01u
#define FLAG_SELF_TEST_FAILED 0x02u
#define FLAG_FAULT 0x04u
#define FLAG_LOADING 0x08u

#ifdef SIGNBIT_EMULATED
#define FLAGS_OF_BUILD FLAG_EMULATED
#else
#define FLAGS_OF_BUILD 0u
#endif

/* The model in use: the compiled one, or one that was loaded. */
#ifdef MODEL_LAYOUT
#define ANSWER_OTHER swap_answer
#define FLAGS_OF_MODEL FLAG_LOADING
#define NAME_IN_USE model_weights()->name
#define LOGIT_SHIFT_IN_USE (uint16_t) model_weights()->logit_shift
#else
#define ANSWER_OTHER listener_answer
#define FLAGS_OF_MODEL 0u
#define NAME_IN_USE MODEL_NAME
#define LOGIT_SHIFT_IN_USE MODEL_LOGIT_SHIFT
#endif

/* The lower half of MODEL_REJECTED is PROTOCOL_REJECTED. */
#ifdef MODEL_REJECTED
#define DECIDE model_argmax_or_reject
#else
#define DECIDE model_argmax
#endif

static uint8_t device_input[MODEL_INPUT_SIZE];
int32_t device_logits[MODEL_OUTPUT_SIZE];
#ifdef MODEL_HOP_SIZE
static model_scratch_t *const device_scratch = &listener_stream.scratch;
#else
static model_scratch_t own_scratch;
static model_scratch_t *const device_scratch = &own_scratch;
#endif

static uint32_t vectors_failed; /* in the last self-test */
static port_reset_t reset_cause;

/* What TRACE and PROFILE ask of the observed layer. */
static struct {
    uint32_t wanted;
    uint32_t layer;
    protocol_window_t *window; /* gets the layer's output, if there is a window */
    ticks_t start;
    uint64_t ticks;
} observed;

/* Member by member: GCC copies a whole structure with memcpy, which does not exist here. */
static void start_observing(void)
{
    ticks_t now = ticks_now();

    observed.start.systick = now.systick;
    observed.start.cyccnt = now.cyccnt;
}

static void observe(uint32_t layer, const void *data, uint32_t bytes)
{
    const uint8_t *from = data;

    if (!observed.wanted) {
        return;
    }
    if (layer + 1u == observed.layer) {
        start_observing();
    } else if (layer == observed.layer) {
        observed.ticks = ticks_since(&observed.start);
        for (uint32_t i = 0; observed.window != 0 && i < bytes; i++) {
            protocol_put_u8(observed.window, from[i]);
        }
    }
}

static void infer_observed(uint32_t layer, protocol_window_t *window)
{
    observed.wanted = 1;
    observed.layer = layer;
    observed.window = window;
    start_observing();
    model_infer(device_input, device_logits, device_scratch);
    observed.wanted = 0;
}

static uint64_t profile(uint32_t layer)
{
    infer_observed(layer, 0);
    return observed.ticks;
}

static uint8_t tick_source(void)
{
    return (uint8_t)ticks_source();
}

static void infer(protocol_result_t *result)
{
    ticks_t start = ticks_now();

    model_infer(device_input, device_logits, device_scratch);
    result->ticks = ticks_since(&start);
    result->tick_source = tick_source();
    result->class_index = (uint16_t)DECIDE(device_logits);
    result->confidence_per_mille = (uint16_t)model_confidence(device_logits);
}

uint32_t device_self_test(void)
{
#if MODEL_TEST_VECTORS > 0
    vectors_failed = model_self_test(device_scratch);
#endif
    return vectors_failed;
}

static void put_self_test(protocol_window_t *window)
{
    protocol_put_u16(window, MODEL_TEST_VECTORS);
    protocol_put_u16(window, (uint16_t)vectors_failed);
}

static void self_test(protocol_window_t *window)
{
    (void)device_self_test();
    put_self_test(window);
}

static void measure(protocol_window_t *window)
{
    protocol_put_u32(window, core_stack_used_bytes());
    protocol_put_u32(window, core_stack_bytes());
}

static uint8_t flags(void)
{
    return (uint8_t)(FLAGS_OF_BUILD | FLAGS_OF_MODEL | (vectors_failed != 0u ? FLAG_SELF_TEST_FAILED : 0u) |
                     (core_last_fault() != 0 ? FLAG_FAULT : 0u));
}

/* The registers of the fault that caused the reset: their number, which is 0 without a fault, and each of them. */
static void put_fault(protocol_window_t *window)
{
    const core_fault_t *fault = core_last_fault();

    protocol_put_u8(window, fault != 0 ? CORE_FAULT_WORDS : 0u);
    for (uint32_t i = 0; fault != 0 && i < CORE_FAULT_WORDS; i++) {
        protocol_put_u32(window, fault->words[i]);
    }
}

#ifdef MODEL_LAYOUT
static uint8_t hash_byte(uint32_t index)
{
    return model_weights()->hash[index];
}
#else
static uint8_t hex_digit(char digit)
{
    return (uint8_t)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

static uint8_t hash_byte(uint32_t index)
{
    static const char hash[] = MODEL_HASH;

    return (uint8_t)(hex_digit(hash[2u * index]) << 4 | hex_digit(hash[2u * index + 1u]));
}
#endif

/* The first 32 bits of the hash, as a number. */
static uint32_t model_id(void)
{
    uint32_t id = 0;

    for (uint32_t i = 0; i < 4u; i++) {
        id = id << 8 | hash_byte(i);
    }
    return id;
}

static void put_loading(protocol_window_t *window)
{
#ifdef MODEL_LAYOUT
    swap_describe(window);
#else
    (void)window;
#endif
}

static void describe(protocol_window_t *window)
{
    protocol_put_u8(window, PROTOCOL_VERSION);
    protocol_put_u8(window, flags());
    protocol_put_u8(window, tick_source());
    protocol_put_u8(window, MODEL_INPUT_SHIFT);
    protocol_put_u16(window, LOGIT_SHIFT_IN_USE);
    protocol_put_u16(window, MODEL_LAYER_COUNT);
    protocol_put_u32(window, MODEL_INPUT_SIZE);
    protocol_put_u32(window, MODEL_OUTPUT_SIZE);
    protocol_put_u32(window, MODEL_SCRATCH_BYTES);
    protocol_put_u32(window, model_id());
    for (uint32_t i = 0; i < HASH_BYTES; i++) {
        protocol_put_u8(window, hash_byte(i));
    }
    protocol_put_u32(window, core_id());
    protocol_put_u32(window, port_clock_hz());
    protocol_put_text(window, FIRMWARE_VERSION);
    protocol_put_text(window, NAME_IN_USE);
    for (uint32_t i = 0; i < MODEL_OUTPUT_SIZE; i++) {
        protocol_put_text(window, model_label(i));
    }
    protocol_put_u8(window, (uint8_t)reset_cause);
    put_self_test(window);
    put_fault(window);
    put_loading(window);
}

static void put_hex(protocol_window_t *window, uint32_t value)
{
    for (uint32_t shift = 32; shift > 0u; shift -= 4u) {
        protocol_put_u8(window, (uint8_t)"0123456789abcdef"[value >> (shift - 4u) & 15u]);
    }
}

static void print(protocol_window_t *window)
{
    const core_fault_t *fault = core_last_fault();

    protocol_put_characters(window, "\r\nsignbit " FIRMWARE_VERSION "\r\nmodel ");
    protocol_put_characters(window, NAME_IN_USE);
    protocol_put_characters(window, ", id ");
    put_hex(window, model_id());
    protocol_put_characters(window, vectors_failed != 0u ? "\r\nself-test FAILED\r\n" : "\r\nself-test passed\r\n");
    if (fault != 0) {
        protocol_put_characters(window, "reset by a fault at ");
        put_hex(window, fault->words[CORE_FAULT_PC]);
        protocol_put_characters(window, "\r\n");
    }
}

uint32_t device_init(void)
{
    reset_cause = port_take_reset_cause();
#ifdef MODEL_LAYOUT
    swap_init();
#endif
    return device_self_test();
}

const protocol_device_t device = {
    .input = device_input,
    .input_bytes = MODEL_INPUT_SIZE,
    .logits = device_logits,
    .outputs = MODEL_OUTPUT_SIZE,
    .layers = MODEL_LAYER_COUNT,
    .infer = infer,
    .describe = describe,
    .print = print,
    .trace = infer_observed,
    .profile = profile,
    .tick_source = tick_source,
    .self_test = self_test,
    .measure = measure,
    .answer_other = ANSWER_OTHER,
};
