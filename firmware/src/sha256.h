/** SHA-256 (FIPS 180-4) of bytes that lie in memory. */
#ifndef SHA256_H
#define SHA256_H

#include <stdint.h>

#define SHA256_BYTES 32u

/** Returns 1 if `digest` is the SHA-256 of `bytes`, which are fewer than 2^29. */
uint32_t sha256_is(const uint8_t *digest, const uint8_t *bytes, uint32_t length);

#endif
