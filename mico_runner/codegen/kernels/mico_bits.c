/* One-bit weights and activations: 32 products are one AND, their sum is a population count. */
#include "mico_tile.h"

/* The lowest bits of 32 bytes become a word. The multiplication brings the four of a word to bits 28 .. 31, without carries. */
static uint32_t pack(const uint32_t *codes, int32_t words, int32_t positions, uint32_t *patch)
{
    uint32_t sum = 0;
    for (int32_t i = 0; i < words; i += 8, patch += positions) {
        uint32_t bits = 0, ones = 0; /* ones: byte by byte, at most 8 in each */
        for (int32_t j = 0; j < 8; j++) {
            const uint32_t four = codes[i + j];
            ones += four;
            bits = bits >> 4 | (four * 0x10204080u & 0xf0000000u);
        }
        *patch = bits;
        sum += ones * 0x01010101u >> 24;
    }
    return sum;
}

/* Bits set in each group of four. */
static inline uint32_t nibble_counts(uint32_t v)
{
    v -= v >> 1 & 0x55555555u;
    return (v & 0x33333333u) + (v >> 2 & 0x33333333u);
}

/* Counts of up to two words' nibbles (each at most 8) to counts of bytes. */
static inline uint32_t byte_counts(uint32_t v)
{
    return (v & 0x0f0f0f0fu) + (v >> 4 & 0x0f0f0f0fu);
}

/* The first `words` words: two at a time share the second half of the count; bytes hold 15 such pairs. */
static inline uint32_t count(const uint32_t *x, int32_t stride, const uint32_t *u, int32_t words)
{
    uint32_t sum = 0;
    while (words > 0) {
        const int32_t block = words < 30 ? words : 30;
        uint32_t bytes = 0;
        int32_t i = 0;
        for (; i + 2 <= block; i += 2, x += 2 * stride)
            bytes += byte_counts(nibble_counts(x[0] & u[i]) + nibble_counts(x[stride] & u[i + 1]));
        if (i < block) {
            bytes += byte_counts(nibble_counts(x[0] & u[i]));
            x += stride;
        }
        sum += (bytes & 0x00ff00ffu) + (bytes >> 8 & 0x00ff00ffu);
        u += block;
        words -= block;
    }
    return (sum & 0xffffu) + (sum >> 16);
}

static void wide(const uint32_t *patch, const uint32_t *rows, int32_t row_words, uint32_t *d)
{
    for (int32_t t = 0; t < 4; t++) {
        d[t] = count(patch + t, 4, rows, row_words);
        d[4 + t] = count(patch + t, 4, rows + row_words, row_words);
    }
}

static void narrow(const uint32_t *patch, const uint32_t *rows, int32_t row_words, uint32_t *d)
{
    for (int32_t r = 0; r < 4; r++)
        d[r] = count(patch, 1, rows + r * row_words, row_words);
}

const mico_scheme mico_bits = {32, 1, 2, 1, pack, wide, narrow};
