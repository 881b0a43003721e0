/** An analogue microphone on the Pico's ADC0, GPIO26: one channel at any rate from 200 to 125,000 samples a second.
 *
 * RP2040 datasheet (ADC and its FIFO, DMA with a ring).  The ADC runs from the 12 MHz crystal that the port starts.  A
 * microphone's output has to be biased to half the supply, as those of breakout boards are.
 *
 * Compared: addresses, bits and values with the Pico SDK's addressmap.h, adc.h, dma.h, dreq.h, clocks.h and resets.h.
 * Compiled only, never run.
 */
#include "sensor.h"

#include "port.h"

#define CLK_ADC_CTRL 0x40008060u
#define RESETS_RESET_CLEAR 0x4000F000u /* atomic alias of RESETS_RESET */
#define RESETS_RESET_DONE 0x4000C008u
#define PAD(pin) (0x4001C004u + 4u * (pin))
#define ADC_CS 0x4004C000u
#define ADC_FCS 0x4004C008u
#define ADC_FIFO 0x4004C00Cu
#define ADC_DIV 0x4004C010u
#define DMA_READ_ADDR 0x50000000u /* of channel 0 */
#define DMA_WRITE_ADDR 0x50000004u
#define DMA_TRANS_COUNT 0x50000008u
#define DMA_CTRL_TRIG 0x5000000Cu
#define DMA_CHAN_ABORT 0x50000444u

#define ADC_CLOCK_HZ 12000000u
#define ADC_CYCLES 96u /* of a conversion */
#define CLK_ADC_ENABLE_XOSC (1u << 11 | 3u << 5)
#define RESETS_ADC_DMA (1u << 0 | 1u << 2)
#define ADC_PIN 26u
#define PAD_ANALOGUE 0x80u /* output and digital input off, no pulls */
#define CS_ENABLE 1u
#define CS_READY (1u << 8)
#define CS_START_MANY (1u << 3)
#define FCS_DREQ_FIFO (1u << 24 | 1u << 3 | 1u << 0) /* at one value in the FIFO */
#define FIFO_LEVEL (15u << 16)
#define DREQ_ADC 36u
#define RING_BITS 14u
#define RING_SAMPLES (1u << (RING_BITS - 1u)) /* half a second at 16 kHz: an answer must not take longer */
/* enabled, halfwords, written one after the other into the ring, at the ADC's pace, chained to itself: to nothing */
#define CTRL_RING (1u << 0 | 1u << 2 | 1u << 5 | RING_BITS << 6 | 1u << 10 | DREQ_ADC << 15)

static volatile uint16_t ring[RING_SAMPLES] __attribute__((aligned(1u << RING_BITS)));
static uint32_t taken; /* samples, modulo 2^32 */

/* Counts 2^32 - 1 samples down, which is three days at 16 kHz. */
static void begin_ring(void)
{
    taken = 0;
    REG32(DMA_READ_ADDR) = ADC_FIFO;
    REG32(DMA_WRITE_ADDR) = (uint32_t)(uintptr_t)ring;
    REG32(DMA_TRANS_COUNT) = UINT32_MAX;
    REG32(DMA_CTRL_TRIG) = CTRL_RING;
}

uint32_t sensor_start(uint32_t rate_hz, uint32_t channels)
{
    if (channels != 1u || rate_hz < 200u || rate_hz > ADC_CLOCK_HZ / ADC_CYCLES) {
        return 0;
    }
    REG32(CLK_ADC_CTRL) = CLK_ADC_ENABLE_XOSC;
    REG32(RESETS_RESET_CLEAR) = RESETS_ADC_DMA;
    while ((REG32(RESETS_RESET_DONE) & RESETS_ADC_DMA) != RESETS_ADC_DMA) {
    }
    REG32(PAD(ADC_PIN)) = PAD_ANALOGUE;
    REG32(ADC_CS) = CS_ENABLE;
    while (!(REG32(ADC_CS) & CS_READY)) {
    }
    REG32(ADC_FCS) = FCS_DREQ_FIFO;
    REG32(ADC_DIV) = ((ADC_CLOCK_HZ + rate_hz / 2u) / rate_hz - 1u) << 8;
    begin_ring();
    REG32(ADC_CS) = CS_ENABLE | CS_START_MANY;
    return 1;
}

uint32_t sensor_read(int16_t *values, uint32_t most)
{
    uint32_t waiting = UINT32_MAX - REG32(DMA_TRANS_COUNT) - taken;
    uint32_t count;

    if (waiting > RING_SAMPLES) {
        taken += waiting - RING_SAMPLES; /* those are overwritten */
        waiting = RING_SAMPLES;
    }
    count = waiting < most ? waiting : most;
    for (uint32_t i = 0; i < count; i++) {
        values[i] = (int16_t)(((int32_t)ring[taken++ % RING_SAMPLES] - 2048) * 16); /* 12 bits to 16 */
    }
    if (taken == UINT32_MAX) { /* all that the DMA was told to bring */
        begin_ring();
    }
    return count;
}

/* After a reset of the chip both are held in reset, and nothing is to be stopped. */
void sensor_stop(void)
{
    if ((REG32(RESETS_RESET_DONE) & RESETS_ADC_DMA) != RESETS_ADC_DMA) {
        return;
    }
    REG32(ADC_CS) = 0;
    REG32(DMA_CHAN_ABORT) = 1;
    while (REG32(DMA_CHAN_ABORT)) {
    }
    while (REG32(ADC_FCS) & FIFO_LEVEL) {
        (void)REG32(ADC_FIFO);
    }
}
