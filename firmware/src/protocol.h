/** The request/answer protocol of docs/PROTOCOL.md: frames, checks, requests.  No hardware, no model, no heap.
 *
 * One 64-byte buffer holds in turn the incoming frame, its decoded form and the answer.
 */
#ifndef PROTOCOL_H
#define PROTOCOL_H

#include <stdint.h>

#define PROTOCOL_VERSION 1u
#define PROTOCOL_CHUNK_BYTES 48u   /* of a block, in one frame */
#define PROTOCOL_PAYLOAD_BYTES 52u /* at most, in one frame */
#define PROTOCOL_WIRE_BYTES 62u    /* of the longest frame, encoded, with its delimiter */
#define PROTOCOL_REJECTED 0xffffu  /* instead of a class */

/* Types of requests and answers. */
enum {
    PROTOCOL_INFO = 0x01,
    PROTOCOL_INPUT = 0x02,
    PROTOCOL_INFER = 0x03,
    PROTOCOL_LOGITS = 0x04,
    PROTOCOL_TRACE = 0x05,
    PROTOCOL_SELFTEST = 0x06,
    PROTOCOL_STATS = 0x07,
    PROTOCOL_RESET = 0x08,
    PROTOCOL_PROFILE = 0x09,
    PROTOCOL_LISTEN = 0x10,
    PROTOCOL_SAMPLES = 0x11,
    PROTOCOL_WORDS = 0x12,
    PROTOCOL_LOAD_BEGIN = 0x0A,
    PROTOCOL_LOAD_CHUNK = 0x0B,
    PROTOCOL_LOAD_COMMIT = 0x0C,
    PROTOCOL_ANSWER = 0x80, /* this bit turns a request's type into its answer's */
    PROTOCOL_ERROR = 0xFF,
};

/** Why a request was refused. */
typedef enum {
    PROTOCOL_OK = 0, /* it was not: the answer is empty */
    PROTOCOL_UNKNOWN_TYPE = 1,
    PROTOCOL_BAD_LENGTH = 2,
    PROTOCOL_BAD_OFFSET = 3,
    PROTOCOL_INPUT_DIFFERS = 4,
    PROTOCOL_BAD_VERSION = 5,
    PROTOCOL_NOT_INFERRED = 6,
    PROTOCOL_NO_SUCH_LAYER = 7,
    PROTOCOL_NOT_BEGUN = 8,
    PROTOCOL_WRONG_SIZE = 9,
    PROTOCOL_OUT_OF_ORDER = 10,
    PROTOCOL_CHUNK_DIFFERS = 11,
    PROTOCOL_WRITE_FAILED = 12,
    PROTOCOL_INCOMPLETE = 13,
    PROTOCOL_NOT_A_MODEL = 14,
    PROTOCOL_BAD_CRC = 15,
    PROTOCOL_NO_SUCH_SOURCE = 16,
    PROTOCOL_NOT_LISTENING = 17,
    PROTOCOL_BAD_HASH = 18,
    PROTOCOL_OTHER_LAYOUT = 19,
    PROTOCOL_RANGES_EXCEEDED = 20,
    PROTOCOL_SELF_TEST_FAILED = 21,
} protocol_error_t;

/** What a request came to: the bytes of the answer's payload, which replaces the request's, or a refusal. */
typedef int32_t answer_t;

answer_t protocol_fail(protocol_error_t error);

/** Little-endian numbers of a payload. */
uint32_t protocol_u16(const uint8_t *bytes);
uint32_t protocol_u32(const uint8_t *bytes);

/** Up to 48 bytes of a block that is written from its beginning and is never in RAM as a whole. */
typedef struct {
    uint8_t *bytes;
    uint32_t offset; /* of the first byte wanted */
    uint32_t total;  /* bytes of the block written so far */
} protocol_window_t;

void protocol_put_u8(protocol_window_t *window, uint8_t value);
void protocol_put_u16(protocol_window_t *window, uint16_t value);
void protocol_put_u32(protocol_window_t *window, uint32_t value);

void protocol_put_u64(protocol_window_t *window, uint64_t value);

/** One length byte, then that many bytes of `text`; what is longer than 255 bytes is cut. */
void protocol_put_text(protocol_window_t *window, const char *text);

/** The bytes of `text` alone. */
void protocol_put_characters(protocol_window_t *window, const char *text);

/** What one inference gives besides the logits. */
typedef struct {
    uint64_t ticks;
    uint16_t class_index; /* PROTOCOL_REJECTED if the model refuses the input */
    uint16_t confidence_per_mille;
    uint8_t tick_source;
} protocol_result_t;

typedef struct protocol protocol_t;
/** What the protocol asks of the device. */
typedef struct {
    uint8_t *input;
    uint32_t input_bytes;
    const int32_t *logits;
    uint16_t outputs;
    uint16_t layers;
    void (*infer)(protocol_result_t *result);     /* input -> logits, and the rest of the result */
    void (*describe)(protocol_window_t *window);  /* writes the INFO block */
    void (*print)(protocol_window_t *window);     /* writes what a terminal shows, without zeros */
    void (*trace)(uint32_t layer, protocol_window_t *window); /* infers, and writes a layer's output */
    uint64_t (*profile)(uint32_t layer);          /* infers, and returns the ticks of a layer */
    uint8_t (*tick_source)(void);
    void (*self_test)(protocol_window_t *window); /* writes SELFTEST's answer */
    void (*measure)(protocol_window_t *window);   /* writes what STATS reports of the stack */
    /* all other requests: loads, and samples that it listens to */
    answer_t (*answer_other)(protocol_t *protocol, uint8_t type, uint8_t *payload, uint32_t length);
} protocol_device_t;

/** State of the line.  `wire` is the protocol's while a frame comes in, the caller's while an answer goes out. */
struct protocol {
    const protocol_device_t *device;
    uint32_t length;
    uint32_t printed;  /* 1 and the bytes of the text for a terminal that went out; 0 when none is going out */
    uint32_t answered; /* valid requests since reset, */
    uint32_t refused;  /* those of them that were answered with ERROR, */
    uint32_t dropped;  /* and broken frames */
    uint8_t inferred;
    uint8_t silent;    /* nothing has come since protocol_idle was last called */
    uint8_t reset;     /* asked for: the caller resets the device when the answer is on its way */
    uint8_t wire[64];
};

void protocol_init(protocol_t *protocol, const protocol_device_t *device);

/** Takes one byte of the line.
 *
 * Returns how many bytes of `protocol->wire` are to be sent, mostly 0.  They have to be sent before the next call.
 */
uint32_t protocol_receive(protocol_t *protocol, uint8_t byte);

/** Call while nothing comes in, at intervals of a tenth of a second to seconds.
 *
 * Returns how many bytes are to be sent: a newline on its own means a person at a terminal.
 */
uint32_t protocol_idle(protocol_t *protocol);

/** Returns how many more bytes are to be sent.  Call it when all of the last call's are, until it returns 0. */
uint32_t protocol_more(protocol_t *protocol);

/** CRC-32 of IEEE 802.3, the one of zlib: reflected polynomial 0xEDB88320. */
uint32_t protocol_crc32(const uint8_t *bytes, uint32_t length);

/** Adds CRC, COBS and delimiter to the frame at wire[1 .. length].  Returns the bytes on the wire. */
uint32_t protocol_encode(uint8_t *wire, uint32_t length);

/** Undoes protocol_encode in place; `length` counts the bytes before the delimiter, none of which is 0.
 *
 * Returns the length of the frame that is now at wire[1], without its CRC; 0 when COBS or CRC is broken.
 */
uint32_t protocol_decode(uint8_t *wire, uint32_t length);

#endif
