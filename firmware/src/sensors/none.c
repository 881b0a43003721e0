/** No sensor: samples come over the line alone. */
#include "sensor.h"

uint32_t sensor_start(uint32_t rate_hz, uint32_t channels)
{
    (void)rate_hz;
    (void)channels;
    return 0;
}

uint32_t sensor_read(int16_t *values, uint32_t most)
{
    (void)values;
    (void)most;
    return 0;
}

void sensor_stop(void)
{
}
