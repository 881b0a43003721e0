#include "sha256.h"

#include <stdint.h>

#define BLOCK_BYTES 64u
#define LENGTH_BYTES 8u

/* The first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
static const uint32_t constants[64] = {
    0x428a2f98u, 0x71374491u, 0xb5c0fbcfu, 0xe9b5dba5u, 0x3956c25bu, 0x59f111f1u, 0x923f82a4u, 0xab1c5ed5u,
    0xd807aa98u, 0x12835b01u, 0x243185beu, 0x550c7dc3u, 0x72be5d74u, 0x80deb1feu, 0x9bdc06a7u, 0xc19bf174u,
    0xe49b69c1u, 0xefbe4786u, 0x0fc19dc6u, 0x240ca1ccu, 0x2de92c6fu, 0x4a7484aau, 0x5cb0a9dcu, 0x76f988dau,
    0x983e5152u, 0xa831c66du, 0xb00327c8u, 0xbf597fc7u, 0xc6e00bf3u, 0xd5a79147u, 0x06ca6351u, 0x14292967u,
    0x27b70a85u, 0x2e1b2138u, 0x4d2c6dfcu, 0x53380d13u, 0x650a7354u, 0x766a0abbu, 0x81c2c92eu, 0x92722c85u,
    0xa2bfe8a1u, 0xa81a664bu, 0xc24b8b70u, 0xc76c51a3u, 0xd192e819u, 0xd6990624u, 0xf40e3585u, 0x106aa070u,
    0x19a4c116u, 0x1e376c08u, 0x2748774cu, 0x34b0bcb5u, 0x391c0cb3u, 0x4ed8aa4au, 0x5b9cca4fu, 0x682e6ff3u,
    0x748f82eeu, 0x78a5636fu, 0x84c87814u, 0x8cc70208u, 0x90befffau, 0xa4506cebu, 0xbef9a3f7u, 0xc67178f2u,
};

static uint32_t rotated(uint32_t word, uint32_t bits)
{
    return word >> bits | word << (32u - bits);
}

/* Byte `at` of the padded message: the bytes, a 1 bit, zeros, and the number of bits in the last eight bytes. */
static uint8_t padded(const uint8_t *bytes, uint32_t length, uint32_t end, uint32_t at)
{
    if (at < length) {
        return bytes[at];
    }
    if (at == length) {
        return 0x80u;
    }
    return (uint8_t)(at < end - 4u ? 0u : length * 8u >> 8u * (end - 1u - at));
}

/* A round's word: of the message for the first sixteen rounds, then made of earlier ones, which are kept in a ring. */
static uint32_t schedule(uint32_t *ring, uint32_t round)
{
    uint32_t before = ring[(round + 1u) % 16u], after = ring[(round + 14u) % 16u];

    if (round >= 16u) {
        ring[round % 16u] += ring[(round + 9u) % 16u] + (rotated(before, 7) ^ rotated(before, 18) ^ before >> 3) +
                             (rotated(after, 17) ^ rotated(after, 19) ^ after >> 10);
    }
    return ring[round % 16u];
}

static void compress(uint32_t *state, uint32_t *ring)
{
    uint32_t s[8];

    for (uint32_t i = 0; i < 8u; i++) {
        s[i] = state[i];
    }
    for (uint32_t round = 0; round < 64u; round++) {
        uint32_t choice = (s[4] & s[5]) ^ (~s[4] & s[6]);
        uint32_t majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
        uint32_t first = s[7] + (rotated(s[4], 6) ^ rotated(s[4], 11) ^ rotated(s[4], 25)) + choice +
                         constants[round] + schedule(ring, round);
        uint32_t second = (rotated(s[0], 2) ^ rotated(s[0], 13) ^ rotated(s[0], 22)) + majority;

        for (uint32_t i = 7; i > 0u; i--) {
            s[i] = s[i - 1u];
        }
        s[4] += first;
        s[0] = first + second;
    }
    for (uint32_t i = 0; i < 8u; i++) {
        state[i] += s[i];
    }
}

uint32_t sha256_is(const uint8_t *digest, const uint8_t *bytes, uint32_t length)
{
    /* The same of the square roots of the first eight primes. */
    uint32_t state[8] = { 0x6a09e667u, 0xbb67ae85u, 0x3c6ef372u, 0xa54ff53au,
                          0x510e527fu, 0x9b05688cu, 0x1f83d9abu, 0x5be0cd19u };
    uint32_t ring[16];
    uint32_t end = (length + 1u + LENGTH_BYTES + BLOCK_BYTES - 1u) / BLOCK_BYTES * BLOCK_BYTES;
    uint32_t different = 0;

    for (uint32_t start = 0; start < end; start += BLOCK_BYTES) {
        for (uint32_t i = 0; i < 16u; i++) {
            ring[i] = 0;
        }
        for (uint32_t i = 0; i < BLOCK_BYTES; i++) {
            ring[i / 4u] = ring[i / 4u] << 8 | padded(bytes, length, end, start + i);
        }
        compress(state, ring);
    }
    for (uint32_t i = 0; i < SHA256_BYTES; i++) {
        different |= (uint32_t)(digest[i] ^ (uint8_t)(state[i / 4u] >> (24u - 8u * (i % 4u))));
    }
    return different == 0u;
}
