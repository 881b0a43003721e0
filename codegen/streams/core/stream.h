/* The files `inputs` and `outputs` of the computer that emulates the core, through semihosting; and the marks between
 * which tools/cores/counter.c and unicorn count instructions. */
#include "calibration.h"
#include "semihost.h"

#define STREAM_START() __asm volatile(CALIBRATION_START ::: "memory")
#define STREAM_STOP() __asm volatile(CALIBRATION_STOP ::: "memory")

static int32_t stream_inputs;
static int32_t stream_outputs;

static void stream_open(void)
{
    stream_inputs = semihost_open("inputs", SEMIHOST_READ);
    stream_outputs = semihost_open("outputs", SEMIHOST_WRITE);
    if (stream_inputs < 0 || stream_outputs < 0) {
        semihost_exit(5);
    }
    calibrate();
}

static void stream_read(void *data, uint32_t bytes)
{
    if (semihost_read(stream_inputs, data, bytes) != bytes) {
        semihost_exit(2);
    }
}

static void stream_write(const void *data, uint32_t bytes)
{
    if (!semihost_write(stream_outputs, data, bytes)) {
        semihost_exit(3);
    }
}

static void stream_close(void)
{
    semihost_close(stream_outputs);
}
