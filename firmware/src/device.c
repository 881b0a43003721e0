#include "device.h"

#define MODEL_IMPLEMENTATION
#include "model.h"

#include "core.h"
#include "port.h"
#include "ticks.h"

#define FIRMWARE_VERSION "0.1.0"

/* Bits of INFO's flags. */
#define FLAG_EMULATED 0x01u

#ifdef SIGNBIT_SEMIHOSTING
#define FLAGS FLAG_EMULATED
#else
#define FLAGS 0u
#endif

static uint8_t device_input[MODEL_INPUT_SIZE];
static int32_t device_logits[MODEL_OUTPUT_SIZE];
static model_scratch_t device_scratch;

static void infer(protocol_result_t *result)
{
    ticks_t start = ticks_now();

    model_infer(device_input, device_logits, &device_scratch);
    result->ticks = ticks_since(&start);
    result->tick_source = (uint8_t)ticks_source();
    result->class_index = (uint16_t)model_argmax(device_logits);
    result->confidence_per_mille = (uint16_t)model_confidence(device_logits);
}

static uint8_t hex_digit(char digit)
{
    return (uint8_t)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

static void describe(protocol_window_t *window)
{
    static const char hash[] = MODEL_HASH;

    protocol_put_u8(window, PROTOCOL_VERSION);
    protocol_put_u8(window, FLAGS);
    protocol_put_u8(window, (uint8_t)ticks_source());
    protocol_put_u8(window, MODEL_INPUT_SHIFT);
    protocol_put_u16(window, MODEL_LOGIT_SHIFT);
    protocol_put_u16(window, MODEL_LAYER_COUNT);
    protocol_put_u32(window, MODEL_INPUT_SIZE);
    protocol_put_u32(window, MODEL_OUTPUT_SIZE);
    protocol_put_u32(window, MODEL_SCRATCH_BYTES);
    protocol_put_u32(window, MODEL_ID);
    for (uint32_t i = 0; i < 64u; i += 2u) {
        protocol_put_u8(window, (uint8_t)(hex_digit(hash[i]) << 4 | hex_digit(hash[i + 1u])));
    }
    protocol_put_u32(window, core_id());
    protocol_put_u32(window, port_clock_hz());
    protocol_put_text(window, FIRMWARE_VERSION);
    protocol_put_text(window, MODEL_NAME);
    for (uint32_t i = 0; i < MODEL_OUTPUT_SIZE; i++) {
        protocol_put_text(window, model_label(i));
    }
}

const protocol_device_t device = {
    .input = device_input,
    .input_bytes = MODEL_INPUT_SIZE,
    .logits = device_logits,
    .outputs = MODEL_OUTPUT_SIZE,
    .infer = infer,
    .describe = describe,
};
