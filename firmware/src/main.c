/** The firmware: a model that answers over a UART (docs/PROTOCOL.md). */
#include "device.h"
#include "port.h"
#include "ticks.h"

static protocol_t protocol;

int main(void)
{
    port_init();
    ticks_init();
    protocol_init(&protocol, &device);
    for (;;) {
        uint32_t bytes = protocol_receive(&protocol, port_uart_get());

        for (uint32_t i = 0; i < bytes; i++) {
            port_uart_put(protocol.wire[i]);
        }
    }
}
