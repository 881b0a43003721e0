/** Runs a file of inputs through the model on an emulated core and writes all that it computes to a file.
 *
 * Command line: INPUTS OUTPUTS, names without spaces.  INPUTS holds whole inputs, one after the other: a sensor's
 * counts where the model makes its input of them, little-endian int16.  OUTPUTS gets for each of them what
 * model_quantize_input made of the counts, every layer's output in order (bytes of hidden layers, little-endian int32
 * of the last), then the logits that model_infer returned, and, after the last input, the stack's high-water mark,
 * uint32.
 */
#include <stdint.h>

#include "core.h"
#include "semihost.h"

static void trace(const void *data, uint32_t bytes);

#define MODEL_TRACE(layer, data, bytes) trace((data), (uint32_t)(bytes))
#define MODEL_IMPLEMENTATION
#include "model.h"

/* Exit codes; faults have codes from 100 on (startup.c). */
enum {
    EXIT_DONE = 0,
    EXIT_COMMAND_LINE = 10,
    EXIT_NO_INPUTS = 11,
    EXIT_NO_OUTPUTS = 12,
    EXIT_CUT_INPUT = 13,
    EXIT_WRITE_FAILED = 14,
};

/* Of a model with a front end it takes inputs: a window of samples is more than the RAM of small parts holds. */
#if defined(MODEL_COUNTS_SIZE) && !defined(MODEL_SAMPLES_SIZE)
#define TAKES_COUNTS
#endif

#define COMMAND_LINE_BYTES 256u
#define BUFFER_BYTES 1024u

static struct {
    int32_t file;
    uint32_t length;
    uint8_t bytes[BUFFER_BYTES];
} output;

static void flush(void)
{
    if (!semihost_write(output.file, output.bytes, output.length)) {
        semihost_exit(EXIT_WRITE_FAILED);
    }
    output.length = 0;
}

static void trace(const void *data, uint32_t bytes)
{
    const uint8_t *from = data;

    for (uint32_t i = 0; i < bytes; i++) {
        output.bytes[output.length++] = from[i];
        if (output.length == BUFFER_BYTES) {
            flush();
        }
    }
}

/* Ends the first of two words and returns the second, or 0 when there is none. */
static char *split(char *text)
{
    while (*text != '\0' && *text != ' ') {
        text++;
    }
    if (*text == '\0') {
        return 0;
    }
    *text = '\0';
    return text + 1;
}

static uint8_t batch_input[MODEL_INPUT_SIZE];

/* Fills batch_input from the next ITEM_BYTES; returns how many there were, fewer only at the end of the file. */
#ifdef TAKES_COUNTS
#define ITEM_BYTES (MODEL_COUNTS_SIZE * 2u)

static uint32_t read_input(int32_t file)
{
    static int16_t counts[MODEL_COUNTS_SIZE];
    uint32_t bytes = semihost_read(file, counts, ITEM_BYTES);

    if (bytes == ITEM_BYTES) {
        model_quantize_input(counts, batch_input);
        trace(batch_input, MODEL_INPUT_SIZE);
    }
    return bytes;
}
#else
#define ITEM_BYTES MODEL_INPUT_SIZE

static uint32_t read_input(int32_t file)
{
    return semihost_read(file, batch_input, ITEM_BYTES);
}
#endif

int main(void)
{
    static char command_line[COMMAND_LINE_BYTES];
    static int32_t batch_logits[MODEL_OUTPUT_SIZE];
    static model_scratch_t batch_scratch;
    char *outputs;
    int32_t inputs;
    uint32_t bytes;

    if (!semihost_command_line(command_line, COMMAND_LINE_BYTES)) {
        return EXIT_COMMAND_LINE;
    }
    outputs = split(command_line);
    if (outputs == 0) {
        return EXIT_COMMAND_LINE;
    }
    inputs = semihost_open(command_line, SEMIHOST_READ);
    if (inputs < 0) {
        return EXIT_NO_INPUTS;
    }
    output.file = semihost_open(outputs, SEMIHOST_WRITE);
    if (output.file < 0) {
        return EXIT_NO_OUTPUTS;
    }
    while ((bytes = read_input(inputs)) == ITEM_BYTES) {
        model_infer(batch_input, batch_logits, &batch_scratch);
        trace(batch_logits, sizeof batch_logits);
    }
    if (bytes != 0u) {
        return EXIT_CUT_INPUT;
    }
    bytes = core_stack_used_bytes();
    trace(&bytes, sizeof bytes);
    flush();
    semihost_close(output.file);
    return EXIT_DONE;
}
