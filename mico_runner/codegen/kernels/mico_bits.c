/* One-bit weights and activations: 32 products are one AND, their sum is a population count. */
#include "mico_tile.h"

/* The lowest bits of 32 bytes become a word. The multiplication brings the four of a word to bits 28 .. 31, without carries. */
MICO_INLINE uint32_t pack(const uint32_t *codes, int32_t words, int32_t positions, void *to)
{
    uint32_t *patch = to;
    uint32_t sum = 0;
    for (int32_t i = 0; i < words; i += 8, patch += positions) {
        const int32_t n = words - i < 8 ? words - i : 8;
        uint32_t bits = 0, ones = 0; /* ones: byte by byte, at most 8 in each */
        for (int32_t j = 0; j < n; j++) {
            const uint32_t four = *codes++;
            ones += four;
            bits = bits >> 4 | (four * 0x10204080u & 0xf0000000u);
        }
        *patch = bits >> 4 * (8 - n);
        sum += ones * 0x01010101u >> 24;
    }
    return sum;
}

/* Four taps below the bits before, in each byte; counted in `ones`, byte by byte. */
MICO_INLINE uint32_t four_bits(const uint32_t *taps, uint32_t bits, uint32_t *ones)
{
#pragma GCC unroll 4
    for (int j = 3; j >= 0; j--) {
        const uint32_t tap = taps[j];
        bits += bits;
        *ones += tap;
        bits += tap;
    }
    return bits;
}

/* The same of four positions: eight taps become a byte of each, then their bytes words. At most 255 taps. */
MICO_INLINE void pack_four(uint32_t *taps, int32_t words, uint32_t *sums)
{
    uint32_t ones = 0, *patch = taps; /* ones: byte by byte */

    for (; words > 0; patch += 4) {
        uint32_t bytes[4] = {0, 0, 0, 0};
        for (uint32_t *to = bytes; words > 0 && to != bytes + 4; words -= 2, taps += 8) {
            uint32_t bits = 0;
            if (words > 1)
                bits = four_bits(taps + 4, bits, &ones);
            bits = four_bits(taps, bits, &ones);
            *to++ = bits;
            MICO_ORDER(to); /* stays a loop */
        }
        mico_turn_words(bytes[0], bytes[1], bytes[2], bytes[3], patch, 1);
    }
    for (int i = 0; i < MICO_WIDE; i++)
        sums[i] = ones >> 8 * i & 0xffu;
}

#define BOTH(name, value)                                                                                              \
    for (int i = 0; i < 2; i++) {                                                                                      \
        name[i] = value;                                                                                               \
        MICO_ORDER(name[i]);                                                                                           \
    }

/* For i = 0, 1: the bits of x[i] and, of `two`, those of y[i] are counted in bytes, and these added up in the highest byte of x[i].
 * Every shift and multiplication has two operations before its result is used. */
MICO_INLINE void count_both(uint32_t *x, uint32_t *y, const int two, uint32_t three, uint32_t ones)
{
    const uint32_t pairs = 0x55555555u, fours = 0x33333333u, bytes = 0x0f0f0f0fu;
    uint32_t h[2], k[2] = {0};

    BOTH(h, x[i] >> 1)
    if (two)
        BOTH(k, y[i] >> 1)
    BOTH(h, h[i] & pairs)
    if (two)
        BOTH(k, k[i] & pairs)
    BOTH(x, x[i] - h[i])
    if (two)
        BOTH(y, y[i] - k[i])
    BOTH(h, x[i] >> 2)
    if (two)
        BOTH(k, y[i] >> 2)
    BOTH(h, h[i] & fours)
    if (two) {
        BOTH(k, k[i] & fours)
        BOTH(h, h[i] + k[i])
        BOTH(h, h[i] * three) /* 4 a + b - 3 a = a + b, of both words */
        BOTH(x, x[i] + y[i])
        BOTH(x, x[i] - h[i])
    } else {
        BOTH(x, x[i] & fours)
        BOTH(x, x[i] + h[i])
    }
    BOTH(h, x[i] >> 4)
    BOTH(x, x[i] & bytes)
    BOTH(h, h[i] & bytes)
    BOTH(x, x[i] + h[i])
    BOTH(x, x[i] * ones)
}

/* d[i] += (bits of at[i * stride] & u and, of `two`, of at[i * stride + next] & v) << 24 >> top, i = 0 .. 3 */
MICO_INLINE void count_four(const uint32_t *at, int32_t stride, int32_t next, uint32_t u, uint32_t v, uint32_t *d, const int top,
                            const int two, uint32_t three, uint32_t ones)
{
    uint32_t x[2], y[2] = {0}, z[2];

    BOTH(x, at[i * stride])
    if (two)
        BOTH(y, at[i * stride + next])
    BOTH(x, x[i] & u)
    if (two)
        BOTH(y, y[i] & v)
    count_both(x, y, two, three, ones);
    BOTH(z, at[(i + 2) * stride])
    if (two)
        BOTH(y, at[(i + 2) * stride + next])
    BOTH(x, x[i] >> top)
    BOTH(z, z[i] & u)
    if (two)
        BOTH(y, y[i] & v)
    BOTH(d, d[i] + x[i])
    count_both(z, y, two, three, ones);
    d[2] += z[0] >> top;
    d[3] += z[1] >> top;
}

MICO_INLINE void wide(const uint32_t *patch, const uint32_t *rows, int32_t row_words, const uint32_t *terms, uint32_t *d, const int top)
{
    uint32_t three = 3, ones = 0x01010101u;

    MICO_ORDER(three); /* multiplications, no shifts */
    MICO_ORDER(ones);
    for (int row = 0; row < 2; row++, d += 4) {
        const uint32_t *x = patch, *const end = rows + row_words;
        uint32_t s[4] = {terms[0], terms[1], terms[2], terms[3]};
        for (; end - rows >= 2; rows += 2, x += 8)
            count_four(x, 1, 4, rows[0], rows[1], s, top, 1, three, ones);
        if (rows != end)
            count_four(x, 1, 4, *rows++, 0, s, top, 0, three, ones);
        d[0] = s[0];
        d[1] = s[1];
        d[2] = s[2];
        d[3] = s[3];
    }
}

/* The same products with the roles of patch and rows changed. */
MICO_INLINE void narrow(const uint32_t *patch, const uint32_t *rows, int32_t row_words, const uint32_t *terms, uint32_t *d, const int top)
{
    const uint32_t *const end = patch + row_words;
    uint32_t s[4] = {terms[0], terms[0], terms[0], terms[0]}, three = 3, ones = 0x01010101u;

    MICO_ORDER(three);
    MICO_ORDER(ones);
    for (; end - patch >= 2; patch += 2, rows += 2)
        count_four(rows, row_words, 1, patch[0], patch[1], s, top, 1, three, ones);
    if (patch != end)
        count_four(rows, row_words, 1, *patch, 0, s, top, 0, three, ones);
    d[0] = s[0];
    d[1] = s[1];
    d[2] = s[2];
    d[3] = s[3];
}

/* scale: sw * sx, 2 or 4. The highest byte holds 64 at most, and the bits of the next one that are kept are zero. */
#define BITS(name, half, scale)                                                                                        \
    MICO_INLINE void wide_##name(const uint32_t *patch, const uint32_t *rows, int32_t row_words, int32_t code_words,   \
                                 const uint32_t *terms, uint32_t *d, uint32_t *spare)                                  \
    {                                                                                                                  \
        (void)spare;                                                                                                   \
        (void)code_words; /* the padding is zero in whole words */                                                     \
        wide(patch, rows, row_words, terms, d, 24 - (scale) / 2);                                                      \
    }                                                                                                                  \
    MICO_INLINE void narrow_##name(const uint32_t *patch, const uint32_t *rows, int32_t row_words, int32_t code_words, \
                                   const uint32_t *terms, uint32_t *d, uint32_t *spare)                                \
    {                                                                                                                  \
        (void)spare;                                                                                                   \
        (void)code_words;                                                                                              \
        narrow(patch, rows, row_words, terms, d, 24 - (scale) / 2);                                                    \
    }                                                                                                                  \
    MICO_CONV2D_FOUR(name, MICO_WIDE, MICO_ROW, half, 1, (scale) / 2, pack, pack_four, wide_##name, narrow_##name, 0, 0)

BITS(bits, 0, 2)
BITS(signs, 1, 4)
