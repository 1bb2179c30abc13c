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

/* The same of four positions: eight taps become a byte of each, then their bytes words. At most 255 taps. */
MICO_INLINE void pack_four(uint32_t *taps, int32_t words, uint32_t *sums)
{
    uint32_t ones = 0, *patch = taps; /* ones: byte by byte */

    for (; words > 0; patch += 4) {
        uint32_t bytes[4] = {0, 0, 0, 0};
        for (uint32_t *to = bytes; words > 0 && to != bytes + 4; words -= 2, taps += 8) {
            uint32_t bits = 0;
            if (words > 1) {
#pragma GCC unroll 4
                for (int j = 7; j >= 4; j--) {
                    const uint32_t tap = taps[j];
                    bits += bits;
                    ones += tap;
                    bits += tap;
                }
            }
#pragma GCC unroll 4
            for (int j = 3; j >= 0; j--) {
                const uint32_t tap = taps[j];
                bits += bits;
                ones += tap;
                bits += tap;
            }
            *to++ = bits;
            MICO_ORDER(to); /* stays a loop */
        }
        mico_turn_words(bytes[0], bytes[1], bytes[2], bytes[3], patch, 1);
    }
    for (int i = 0; i < MICO_WIDE; i++)
        sums[i] = ones >> 8 * i & 0xffu;
}

/* Bits set in each group of four. */
MICO_INLINE uint32_t nibble_counts(uint32_t v)
{
    v -= v >> 1 & 0x55555555u;
    return (v & 0x33333333u) + (v >> 2 & 0x33333333u);
}

/* Counts of up to two words' nibbles (each at most 8) to counts of bytes. */
MICO_INLINE uint32_t byte_counts(uint32_t v)
{
    return (v & 0x0f0f0f0fu) + (v >> 4 & 0x0f0f0f0fu);
}

/* Counts of bytes to their sum, below 256. */
MICO_INLINE uint32_t sum_bytes(uint32_t v)
{
    return v * 0x01010101u >> 24;
}

enum { WORDS = 6 }; /* whose bits are counted in bytes, and whose sum is below 256 */

/* Counts of bytes of the two words at x[0] and x[stride]: they share the second half. Every shift has two operations before its result is used. */
MICO_INLINE uint32_t pair(const uint32_t *x, int32_t stride, uint32_t u, uint32_t v)
{
    uint32_t e = x[0], f = x[stride], h, k;
    MICO_ORDER(e);
    MICO_ORDER(f);
    e &= u;
    f &= v;
    h = e >> 1;
    k = f >> 1;
    MICO_ORDER(h);
    MICO_ORDER(k);
    e -= h & 0x55555555u;
    f -= k & 0x55555555u;
    h = e >> 2;
    k = f >> 2;
    MICO_ORDER(h);
    MICO_ORDER(k);
    e = (e & 0x33333333u) + (f & 0x33333333u);
    e += (h & 0x33333333u) + (k & 0x33333333u);
    h = e >> 4;
    MICO_ORDER(h);
    MICO_ORDER(e);
    e &= 0x0f0f0f0fu;
    return e + (h & 0x0f0f0f0fu);
}

/* The same of one word and four positions, whose operations alternate; h: for what is between. */
MICO_INLINE void count_four(const uint32_t *x, uint32_t v, uint32_t *c, uint32_t *h)
{
#define EACH(name, value)                                                                                              \
    for (int i = 0; i < 4; i++) {                                                                                      \
        name[i] = value;                                                                                               \
        MICO_ORDER(name[i]);                                                                                           \
    }
    EACH(c, x[i])
    EACH(c, c[i] & v)
    EACH(h, c[i] >> 1)
    EACH(c, c[i] - (h[i] & 0x55555555u))
    EACH(h, c[i] >> 2)
    EACH(c, (c[i] & 0x33333333u) + (h[i] & 0x33333333u))
    EACH(h, c[i] >> 4)
    EACH(c, (c[i] + h[i]) & 0x0f0f0f0fu)
#undef EACH
}

MICO_INLINE void wide(const uint32_t *patch, const uint32_t *rows, int32_t row_words, int32_t code_words, const uint32_t *terms, uint32_t *d,
                      const uint32_t scale)
{
    (void)code_words; /* the padding is zero in whole words */
    for (int row = 0; row < 2; row++) {
        const uint32_t *x = patch, *u = rows + row * row_words, *end = u + row_words;
        uint32_t d0 = 0, d1 = 0, d2 = 0, d3 = 0;
        do {
            const uint32_t *stop = end - u > WORDS ? u + WORDS : end;
            uint32_t c0 = 0, c1 = 0, c2 = 0, c3 = 0;
            for (; stop - u >= 2; u += 2, x += 8) {
                const uint32_t v = u[0], w = u[1];
                c0 += pair(x, 4, v, w);
                c1 += pair(x + 1, 4, v, w);
                c2 += pair(x + 2, 4, v, w);
                c3 += pair(x + 3, 4, v, w);
            }
            if (u != stop) {
                uint32_t c[4], h[4];
                count_four(x, *u++, c, h);
                c0 += c[0];
                c1 += c[1];
                c2 += c[2];
                c3 += c[3];
            }
            c0 *= 0x01010101u; /* their sums, in the highest bytes */
            MICO_ORDER(c0);
            c1 *= 0x01010101u;
            MICO_ORDER(c1);
            c2 *= 0x01010101u;
            MICO_ORDER(c2);
            c3 *= 0x01010101u;
            MICO_ORDER(c3);
            d0 += c0 >> 24;
            d1 += c1 >> 24;
            d2 += c2 >> 24;
            d3 += c3 >> 24;
        } while (u != end);
        d[4 * row + 0] = terms[0] + scale * d0;
        d[4 * row + 1] = terms[1] + scale * d1;
        d[4 * row + 2] = terms[2] + scale * d2;
        d[4 * row + 3] = terms[3] + scale * d3;
    }
}

MICO_INLINE uint32_t count(const uint32_t *x, const uint32_t *u, int32_t words)
{
    const uint32_t *end = u + words;
    uint32_t sum = 0;
    do {
        const uint32_t *stop = end - u > WORDS ? u + WORDS : end;
        uint32_t bytes = 0;
        for (; stop - u >= 2; u += 2, x += 2)
            bytes += pair(x, 1, u[0], u[1]);
        if (u != stop)
            bytes += byte_counts(nibble_counts(*x++ & *u++));
        sum += sum_bytes(bytes);
    } while (u != end);
    return sum;
}

MICO_INLINE void narrow(const uint32_t *patch, const uint32_t *rows, int32_t row_words, int32_t code_words, const uint32_t *terms, uint32_t *d,
                        const uint32_t scale)
{
    (void)code_words;
    for (int32_t r = 0; r < 4; r++)
        d[r] = terms[0] + scale * count(patch, rows + r * row_words, row_words);
}

#define BITS(name, half, scale)                                                                                        \
    MICO_INLINE void wide_##name(const uint32_t *patch, const uint32_t *rows, int32_t row_words, int32_t code_words,   \
                                 const uint32_t *terms, uint32_t *d, uint32_t *spare)                                  \
    {                                                                                                                  \
        (void)spare;                                                                                                   \
        wide(patch, rows, row_words, code_words, terms, d, scale);                                                     \
    }                                                                                                                  \
    MICO_INLINE void narrow_##name(const uint32_t *patch, const uint32_t *rows, int32_t row_words, int32_t code_words, \
                                   const uint32_t *terms, uint32_t *d, uint32_t *spare)                                \
    {                                                                                                                  \
        (void)spare;                                                                                                   \
        narrow(patch, rows, row_words, code_words, terms, d, scale);                                                   \
    }                                                                                                                  \
    MICO_CONV2D_FOUR(name, MICO_WIDE, MICO_ROW, half, 1, (scale) / 2, pack, pack_four, wide_##name, narrow_##name, 0, 0)

BITS(bits, 0, 2)
BITS(signs, 1, 4)
