/* Ports, sensors, core and ticks on registers that hold something else whenever they are read: nothing, all bits, one
 * bit, or any number.  What is run here must end: no wait is for ever, whatever a chip says.
 */
#undef __asm
#undef volatile
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <unistd.h>

#include "core.h"
#include "port.h"
#include "semihost.h"
#include "sensor.h"
#include "ticks.h"

#define ROUNDS 1500u
#define VALUES (1u << 13)

static sigjmp_buf stuck;
static uint32_t state = 2015;

/* George Marsaglia's xorshift. */
static uint32_t any(void)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

volatile uint32_t *register_at(uint32_t address)
{
    static volatile uint32_t word;
    uint32_t numbers[] = { 0, UINT32_MAX, 1u << any() % 32u, any() };

    (void)address;
    word = numbers[any() % 4u];
    return &word;
}

static void end_of_patience(int number)
{
    siglongjmp(stuck, number);
}

/* What returns never; a core that is reset, or an emulator that ends, does not go on. */
static void call_for_ever(void (*ends)(void))
{
    if (sigsetjmp(stuck, 1) == 0) {
        (void)ualarm(1000, 0);
        ends();
    }
}

static void exit_emulator(void)
{
    semihost_exit(0);
}

static void use_port(uint32_t round)
{
    uint8_t byte;

    port_init();
    (void)port_clock_hz();
    (void)port_take_reset_cause();
    (void)port_uart_get(&byte);
    port_uart_put(0);
    port_sleep();
    port_led(round % 2u);
    port_watchdog_start();
    port_watchdog_feed();
}

static void use_ticks(uint32_t round)
{
    ticks_t start;

    ticks_init();
    (void)ticks_source();
    if (round % 2u) {
        SysTick_Handler();
    }
    (void)ticks_wrapped();
    start = ticks_now();
    (void)ticks_since(&start);
}

static void use_sensor(uint32_t round)
{
    static const uint32_t rates[] = { 0, 199, 8000, 16000, 16001, 125001 };
    static int16_t values[VALUES];

    (void)sensor_start(rates[round % 6u], 1u + round / 6u % 2u);
    for (uint32_t reads = 0; reads < 4u; reads++) {
        (void)sensor_read(values, round % 3u ? 64u : VALUES);
    }
    sensor_stop();
}

static void use_semihosting(void)
{
    char text[8];

    (void)semihost_command_line(text, sizeof text);
    semihost_print("");
    (void)semihost_open("path", SEMIHOST_READ);
    (void)semihost_read(0, text, 0);
    (void)semihost_read(0, text, sizeof text);
    (void)semihost_write(0, text, sizeof text);
    semihost_close(0);
}

int main(void)
{
    (void)signal(SIGALRM, end_of_patience);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        use_port(round);
        use_ticks(round);
        use_sensor(round);
    }
    use_semihosting();
    (void)core_id();
    call_for_ever(core_reset);
    call_for_ever(exit_emulator);
    return 0;
}
