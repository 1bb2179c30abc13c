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
                const uint32_t v = *u++;
                c0 += byte_counts(nibble_counts(x[0] & v));
                c1 += byte_counts(nibble_counts(x[1] & v));
                c2 += byte_counts(nibble_counts(x[2] & v));
                c3 += byte_counts(nibble_counts(x[3] & v));
            }
            d0 += sum_bytes(c0);
            d1 += sum_bytes(c1);
            d2 += sum_bytes(c2);
            d3 += sum_bytes(c3);
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
    MICO_INLINE void wide_##name(uint32_t *patch, const uint32_t *rows, int32_t row_words, int32_t code_words,   \
                                 const uint32_t *terms, uint32_t *d)                                                                          \
    {                                                                                                                  \
        wide(patch, rows, row_words, code_words, terms, d, scale);                                                            \
    }                                                                                                                  \
    MICO_INLINE void narrow_##name(uint32_t *patch, const uint32_t *rows, int32_t row_words, int32_t code_words, \
                                   const uint32_t *terms, uint32_t *d)                                                                        \
    {                                                                                                                  \
        narrow(patch, rows, row_words, code_words, terms, d, scale);                                                          \
    }                                                                                                                  \
    MICO_CONV2D(name, MICO_WIDE, 4, half, (scale) / 2, pack, wide_##name, narrow_##name, 0, 0)

BITS(bits, 0, 2)
BITS(signs, 1, 4)
