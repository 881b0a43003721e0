/** A digital microphone on the PDM interface of nRF52: one channel of 16,000 samples a second.
 *
 * nRF52840 Product Specification v1.1 (PDM).  From boards/NAME.ini: NRF_PDM_CLK_PIN and NRF_PDM_DIN_PIN on port 0; the
 * microphone's select pin is low.  The crystal that the port starts gives 32 MHz / 25 = 1.28 MHz, and 1 / 80 of that.
 *
 * Compared: addresses, bits and values with public headers of the part.  Compiled only, never run.
 */
#include "sensor.h"

#include "port.h"

#define PDM_START 0x4001D000u
#define PDM_STOP 0x4001D004u
#define PDM_STARTED 0x4001D100u
#define PDM_ENABLE 0x4001D500u
#define PDM_CLOCK 0x4001D504u
#define PDM_MODE 0x4001D508u
#define PDM_RATIO 0x4001D520u
#define PDM_PSEL_CLK 0x4001D540u
#define PDM_PSEL_DIN 0x4001D544u
#define PDM_SAMPLE_PTR 0x4001D560u
#define PDM_SAMPLE_MAXCNT 0x4001D564u
#define GPIO_OUTCLR 0x5000050Cu
#define GPIO_DIRSET 0x50000518u
#define GPIO_PIN_CNF(pin) (0x50000700u + 4u * (pin))

#define CLOCK_1280_KHZ 0x0A000000u
#define MODE_MONO_FALLING 1u
#define RATIO_80 1u
#define RATE_HZ 16000u
#define BUFFER_SAMPLES 1024u /* 64 ms: an answer must not take longer */

static int16_t buffers[2][BUFFER_SAMPLES];

static struct {
    uint32_t is_filling; /* a buffer is */
    uint32_t filling;    /* which one; the other is read */
    uint32_t left;       /* samples to be read */
} microphone;

static void pass_on(uint32_t buffer)
{
    REG32(PDM_SAMPLE_PTR) = (uint32_t)(uintptr_t)buffers[buffer];
}

uint32_t sensor_start(uint32_t rate_hz, uint32_t channels)
{
    if (rate_hz != RATE_HZ || channels != 1u) {
        return 0;
    }
    REG32(GPIO_OUTCLR) = 1u << NRF_PDM_CLK_PIN;
    REG32(GPIO_DIRSET) = 1u << NRF_PDM_CLK_PIN;
    REG32(GPIO_PIN_CNF(NRF_PDM_DIN_PIN)) = 0; /* an input */
    REG32(PDM_PSEL_CLK) = NRF_PDM_CLK_PIN;
    REG32(PDM_PSEL_DIN) = NRF_PDM_DIN_PIN;
    REG32(PDM_CLOCK) = CLOCK_1280_KHZ;
    REG32(PDM_RATIO) = RATIO_80;
    REG32(PDM_MODE) = MODE_MONO_FALLING;
    REG32(PDM_SAMPLE_MAXCNT) = BUFFER_SAMPLES;
    REG32(PDM_STARTED) = 0;
    REG32(PDM_ENABLE) = 1;
    microphone.is_filling = 0;
    microphone.filling = 0;
    microphone.left = 0;
    pass_on(0);
    REG32(PDM_START) = 1;
    return 1;
}

uint32_t sensor_read(int16_t *values, uint32_t most)
{
    const int16_t *from;
    uint32_t count;

    /* The interface begins a buffer by itself when the one before is full, and then wants to know the next. */
    if (REG32(PDM_STARTED)) {
        REG32(PDM_STARTED) = 0;
        if (microphone.is_filling) {
            microphone.filling ^= 1u;
            microphone.left = BUFFER_SAMPLES;
        }
        microphone.is_filling = 1;
        pass_on(microphone.filling ^ 1u);
    }
    count = microphone.left < most ? microphone.left : most;
    from = buffers[microphone.filling ^ 1u] + (BUFFER_SAMPLES - microphone.left);
    for (uint32_t i = 0; i < count; i++) {
        values[i] = from[i];
    }
    microphone.left -= count;
    return count;
}

void sensor_stop(void)
{
    REG32(PDM_STOP) = 1;
    REG32(PDM_ENABLE) = 0;
}
