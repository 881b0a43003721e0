/** The device on an emulated core, without a line: `python -m signbit.emulate.pio test -e test_m3`. */
#include "core.h"
#include "device.h"
#include "port.h"
#include "semihost.h"
#include "ticks.h"

#define CASES 5
#define TEXT(number) TEXT_OF(number)
#define TEXT_OF(number) #number

static uint32_t failed;

static void check(const char *name, uint32_t holds)
{
    failed += !holds;
    semihost_print(name);
    semihost_print(holds ? ":PASS\n" : ":FAIL\n");
}

/* Sends a request without a payload and returns the type of its answer. */
static uint8_t ask(protocol_t *protocol, uint8_t type)
{
    static uint8_t wire[64];
    uint32_t length, bytes = 0;

    wire[1] = PROTOCOL_VERSION;
    wire[2] = type;
    wire[3] = 1;
    wire[4] = 1;
    length = protocol_encode(wire, 4);
    for (uint32_t i = 0; i < length; i++) {
        bytes = protocol_receive(protocol, wire[i]);
    }
    return bytes > 0u && protocol_decode(protocol->wire, bytes - 1u) > 0u ? protocol->wire[2] : 0u;
}

int main(void)
{
    static protocol_t protocol;
    protocol_result_t result;
    protocol_window_t window;
    uint8_t chunk[PROTOCOL_CHUNK_BYTES];
    uint32_t vectors_failed;

    semihost_print("PLAN " TEXT(CASES) "\n");
    port_init();
    ticks_init();
    vectors_failed = device_init();
    check("embedded_vectors_give_the_logits_of_python", vectors_failed == 0u);
    device.infer(&result);
    check("class_is_one_of_the_outputs",
          result.class_index < device.outputs || result.class_index == PROTOCOL_REJECTED);
    window = (protocol_window_t){ chunk, 0, 0 };
    device.trace(device.layers - 1u, &window);
    check("last_layer_is_the_logits", window.total == 4u * device.outputs);
    protocol_init(&protocol, &device);
    check("self_test_is_answered", ask(&protocol, PROTOCOL_SELFTEST) == (PROTOCOL_SELFTEST | PROTOCOL_ANSWER));
    check("stack_stays_below_its_bound", core_stack_used_bytes() < core_stack_bytes());
    semihost_print("DONE\n");
    return failed != 0u;
}
