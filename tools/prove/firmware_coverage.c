/* A board whose line is stdin: the firmware's own main runs on it, and each of its events is two bytes.
 *
 * Events and their values: 0, a byte of the line; 1, SysTick wraps; 2, nothing comes; 3, whether flash is protected
 * from now on; 4, whether the last reset came of a fault; 5, a word of flash that changes.  The end of stdin ends the
 * program.
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include "core.h"
#include "model.h"
#include "port.h"
#include "protocol.h"
#include "sensor.h"
#include "ticks.h"
#undef main

#if defined(MODEL_LAYOUT) && defined(PORT_HAS_SLOTS)
#define BOARD_SLOTS
#endif

int firmware_main(void);

static jmp_buf power_on;
static uint8_t event[2];
static uint32_t is_over = 1; /* the event */
static uint32_t is_protected;
static uint32_t has_fault;
static uint64_t now;

#ifdef BOARD_SLOTS
static uint32_t slots[PORT_SLOTS][(MODEL_WEIGHTS_BYTES + PORT_SEAL_BYTES) / 4u];

/* Changes a word of slot 0's block or, of its seal, 0 the number, 1 the block, 2 the firmware that wrote it; the seal's
 * own sum is right. */
static void change(uint32_t word)
{
    uint32_t *seal = slots[0] + MODEL_WEIGHTS_BYTES / 4u;

    *(word < 3u ? seal + word : slots[0] + word) ^= 1u;
    seal[3] = protocol_crc32((const uint8_t *)seal, 12);
}
#else
static void change(uint32_t word)
{
    (void)word;
}
#endif

static void next_event(void)
{
    if (fread(event, 1, sizeof event, stdin) < sizeof event) {
        exit(0);
    }
    is_over = 0;
    switch (event[0]) {
    case 3:
        is_protected = event[1];
        break;
    case 4:
        has_fault = event[1];
        break;
    case 5:
        change(event[1]);
        break;
    default:
        break;
    }
}

int main(void)
{
    (void)setjmp(power_on);
    return firmware_main();
}

void port_init(void)
{
}

uint32_t port_clock_hz(void)
{
    return 1000;
}

port_reset_t port_take_reset_cause(void)
{
    return PORT_RESET_POWER;
}

uint32_t port_uart_get(uint8_t *byte)
{
    if (is_over) {
        next_event();
    }
    *byte = event[1];
    is_over = event[0] == 0u;
    return is_over;
}

void port_uart_put(uint8_t byte)
{
    (void)putchar(byte);
}

void port_sleep(void)
{
}

void port_led(uint32_t on)
{
    (void)on;
}

void port_watchdog_start(void)
{
}

void port_watchdog_feed(void)
{
}

void ticks_init(void)
{
}

ticks_source_t ticks_source(void)
{
    return TICKS_SYSTICK;
}

ticks_t ticks_now(void)
{
    ticks_t moment = { now++, 0 };
    return moment;
}

uint32_t ticks_wrapped(void)
{
    is_over = 1;
    return event[0] == 1u;
}

uint64_t ticks_since(const ticks_t *start)
{
    return now++ - start->systick;
}

uint32_t core_id(void)
{
    return 0;
}

void core_reset(void)
{
    longjmp(power_on, 1);
}

uint32_t core_stack_bytes(void)
{
    return 0;
}

uint32_t core_stack_used_bytes(void)
{
    return 0;
}

const core_fault_t *core_last_fault(void)
{
    static const core_fault_t fault = { 0, { 3 } };

    return has_fault ? &fault : 0;
}

#ifdef BOARD_SLOTS
const uint8_t *port_slot(uint32_t slot)
{
    return (const uint8_t *)slots[slot];
}

void port_slot_erase(uint32_t slot)
{
    for (uint32_t i = 0; i < sizeof slots[slot] / 4u && !is_protected; i++) {
        slots[slot][i] = 0xFFFFFFFFu;
    }
}

void port_slot_write(uint32_t slot, uint32_t offset, const uint8_t *bytes, uint32_t length)
{
    for (uint32_t i = 0; i < length && !is_protected; i++) {
        ((uint8_t *)slots[slot])[offset + i] = bytes[i];
    }
}
#endif

#ifdef BOARD_SENSOR
/* Does not start at first. */
uint32_t sensor_start(uint32_t rate_hz, uint32_t channels)
{
    static uint32_t starts;

    (void)rate_hz;
    (void)channels;
    return starts++ > 0u;
}

uint32_t sensor_read(int16_t *values, uint32_t most)
{
    for (uint32_t i = 0; i < most; i++) {
        values[i] = (int16_t)(now++ * now % 60000u - 30000u);
    }
    return most;
}

void sensor_stop(void)
{
}
#endif
