/** The firmware: a model that answers over a UART (docs/PROTOCOL.md).
 *
 * The LED shines when the boot self-test passed.  When it failed, the LED is dark and blinks with the wraps of SysTick.
 */
#include <stdint.h>

#include "core.h"
#include "device.h"
#include "listener.h"
#include "port.h"
#include "protocol.h"
#include "ticks.h"

/* Time for the transmitter to send its last two bytes, with much to spare. */
#define DRAIN_SECONDS_INVERSE 500u

static protocol_t protocol;

/* Sends the first `bytes` of the protocol's wire, and whatever follows them. */
static void send(uint32_t bytes)
{
    while (bytes > 0u) {
        for (uint32_t i = 0; i < bytes; i++) {
            port_uart_put(protocol.wire[i]);
        }
        bytes = protocol_more(&protocol);
    }
}

static void reset_when_sent(void)
{
    ticks_t start = ticks_now();

    while (ticks_since(&start) < port_clock_hz() / DRAIN_SECONDS_INVERSE) {
    }
    core_reset();
}

int main(void)
{
    uint32_t failed, lit;

    port_init();
    ticks_init();
    port_watchdog_start();
    failed = device_init();
    lit = !failed;
    port_led(lit);
    protocol_init(&protocol, &device);
    for (;;) {
        uint8_t byte;

        port_watchdog_feed();
        if (port_uart_get(&byte)) {
            send(protocol_receive(&protocol, byte));
        } else if (ticks_wrapped()) {
            lit = failed ? !lit : 1u;
            port_led(lit);
            send(protocol_idle(&protocol));
        } else if (!listener_poll()) {
            port_sleep();
        }
        if (protocol.reset) {
            reset_when_sent();
        }
    }
}
