/** Where the samples of a model that listens come from on a board: the one hook for a microphone or another sensor.
 *
 * One file in src/sensors/ implements it; `custom_sensor` of the board's environment is its name.  `none` is what a
 * board has that does not say otherwise: then samples come over the line alone.
 *
 * Nothing interrupts the model, so that a sensor has to collect by itself, by DMA for example, for at least as long as
 * an answer takes (`signbit inspect` counts its instructions).  What it has no room for is lost.
 */
#ifndef SENSOR_H
#define SENSOR_H

#include <stdint.h>

/** Begins to sample: `rate_hz` rows a second (0 if the model does not say), each of `channels` values.
 *
 * Returns 1, or 0 if there is no sensor that does.  Whatever an earlier start collected is forgotten.
 */
uint32_t sensor_start(uint32_t rate_hz, uint32_t channels);

/** Takes up to `most` of the values that have come in, the oldest first, each channel of a row after the other.
 *
 * Returns how many; 0 at once if there are none.
 */
uint32_t sensor_read(int16_t *values, uint32_t most);

void sensor_stop(void);

#endif
