/* Inputs from flash, where inputs.h puts them; outputs over UART 0 in hexadecimal, which simavr writes to its
 * stdout. */
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>
#include "inputs.h"

#define STREAM_START() ((void)0)
#define STREAM_STOP() ((void)0)

static const __flash uint8_t *stream_next = stream_inputs;

static void stream_put(char character)
{
    while ((UCSR0A & 1 << UDRE0) == 0) {
    }
    UDR0 = (uint8_t)character;
}

static void stream_open(void)
{
    UCSR0A = 1 << U2X0; /* at once: 8 clocks a bit */
    UCSR0B = 1 << TXEN0;
}

static void stream_read(void *data, uint32_t bytes)
{
    uint8_t *to = data;
    while (bytes-- > 0) {
        *to++ = *stream_next++;
    }
}

/* A line, by which simavr flushes. */
static void stream_write(const void *data, uint32_t bytes)
{
    const uint8_t *from = data;
    uint8_t column = 0;
    while (bytes-- > 0) {
        stream_put("0123456789abcdef"[*from >> 4]);
        stream_put("0123456789abcdef"[*from++ & 15]);
        if (++column % 32 == 0 || bytes == 0) {
            stream_put('\n');
        }
    }
}

/* simavr ends when nothing can wake the core. */
static void stream_close(void)
{
    stream_put('.');
    stream_put('\n');
    cli();
    sleep_mode();
}
