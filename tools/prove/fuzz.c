/* libFuzzer's entry: any bytes through the decoder and through the whole device, under ASan and UBSan.
 *
 * What must hold for any input: a frame that is decoded encodes to the same bytes, an answer is a frame, and the device
 * still answers afterwards.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ports/host.h"
#include "protocol.h"

#define WIRE_BYTES 64u
#define SENT_BYTES (1u << 16)

static void require(int condition)
{
    if (!condition) {
        abort();
    }
}

static void fuzz_decoder(const uint8_t *data, size_t size)
{
    uint8_t wire[WIRE_BYTES], again[WIRE_BYTES];
    uint32_t length, bytes;

    if (size > sizeof wire || memchr(data, 0, size) != NULL) {
        return;
    }
    memcpy(wire, data, size);
    length = protocol_decode(wire, (uint32_t)size);
    if (length == 0u) {
        return;
    }
    memcpy(again, wire, sizeof again);
    bytes = protocol_encode(again, length);
    require(bytes == size + 1u && memcmp(again, data, size) == 0 && again[size] == 0u);
}

/* Sends the frame whose content is the fuzzer's bytes: noise would hardly ever have the right CRC. */
static void fuzz_requests(const uint8_t *data, size_t size)
{
    static uint8_t sent[SENT_BYTES];
    uint8_t wire[WIRE_BYTES];
    uint32_t bytes, total;

    /* there will never be versions 10 and 13: they would look like two newlines */
    if (size < 4u || size > 4u + PROTOCOL_PAYLOAD_BYTES || data[0] == '\n' || data[0] == '\r') {
        return;
    }
    memcpy(wire + 1, data, size);
    bytes = protocol_encode(wire, (uint32_t)size);
    total = host_serve(wire, bytes, sent, sizeof sent);
    require((total == 0u) == ((data[1] & PROTOCOL_ANSWER) != 0));
    require(total <= PROTOCOL_WIRE_BYTES && (total == 0u || protocol_decode(sent, total - 1u) > 0u));
}

static void fuzz_line(const uint8_t *data, size_t size)
{
    static uint8_t sent[SENT_BYTES];
    uint8_t ask[WIRE_BYTES] = { 0, PROTOCOL_VERSION, PROTOCOL_STATS, 1, 1 };
    const uint8_t delimiter = 0;
    uint32_t total;

    require(host_serve(data, (uint32_t)size, sent, sizeof sent) <= sizeof sent);
    (void)host_idle(sent, sizeof sent);
    total = host_serve(&delimiter, 1, sent, sizeof sent);
    require(total <= PROTOCOL_WIRE_BYTES);
    total = host_serve(ask, protocol_encode(ask, 4), sent, sizeof sent);
    require(total > 0u && protocol_decode(sent, total - 1u) > 0u);
    require(sent[2] == (PROTOCOL_STATS | PROTOCOL_ANSWER));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int started;

    if (!started) {
        host_reset();
        started = 1;
    }
    fuzz_decoder(data, size);
    fuzz_requests(data, size);
    fuzz_line(data, size);
    return 0;
}
