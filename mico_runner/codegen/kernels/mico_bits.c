/* One-bit weights and activations: 32 products are one AND, their sum is a population count. */
#include "mico_tile.h"

/* The lowest bits of 32 bytes become a word. The multiplication brings the four of a word to bits 28 .. 31, without carries. */
MICO_INLINE uint32_t pack(const uint32_t *codes, int32_t words, int32_t positions, uint32_t *patch)
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

/* Counts of bytes to their sum. */
MICO_INLINE uint32_t sum_bytes(uint32_t v)
{
    return ((v & 0x00ff00ffu) + (v >> 8 & 0x00ff00ffu)) * 0x00010001u >> 16;
}

/* Counts of bytes of the two words at x[0] and x[stride]: they share the second half. A byte holds 15 such sums: the caller
 * takes care of it. Every shift has two operations before its result is used. */
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

MICO_INLINE void wide(const uint32_t *patch, const uint32_t *rows, int32_t row_words, uint32_t *d)
{
    for (int row = 0; row < 2; row++, d += 4) {
        const uint32_t *x = patch, *end = rows + row_words;
        d[0] = d[1] = d[2] = d[3] = 0;
        do {
            const uint32_t *stop = end - rows > 30 ? rows + 30 : end;
            uint32_t c0 = 0, c1 = 0, c2 = 0, c3 = 0;
            for (; stop - rows >= 2; rows += 2, x += 8) {
                const uint32_t u = rows[0], v = rows[1];
                c0 += pair(x, 4, u, v);
                c1 += pair(x + 1, 4, u, v);
                c2 += pair(x + 2, 4, u, v);
                c3 += pair(x + 3, 4, u, v);
            }
            if (rows != stop) {
                const uint32_t u = *rows++;
                c0 += byte_counts(nibble_counts(x[0] & u));
                c1 += byte_counts(nibble_counts(x[1] & u));
                c2 += byte_counts(nibble_counts(x[2] & u));
                c3 += byte_counts(nibble_counts(x[3] & u));
            }
            d[0] += sum_bytes(c0);
            d[1] += sum_bytes(c1);
            d[2] += sum_bytes(c2);
            d[3] += sum_bytes(c3);
        } while (rows != end);
    }
}

MICO_INLINE uint32_t count(const uint32_t *x, const uint32_t *u, int32_t words)
{
    const uint32_t *end = u + words;
    uint32_t sum = 0;
    do {
        const uint32_t *stop = end - u > 30 ? u + 30 : end;
        uint32_t bytes = 0;
        for (; stop - u >= 2; u += 2, x += 2)
            bytes += pair(x, 1, u[0], u[1]);
        if (u != stop)
            bytes += byte_counts(nibble_counts(*x++ & *u++));
        sum += sum_bytes(bytes);
    } while (u != end);
    return sum;
}

MICO_INLINE void narrow(const uint32_t *patch, const uint32_t *rows, int32_t row_words, uint32_t *d)
{
    for (int32_t r = 0; r < 4; r++)
        d[r] = count(patch, rows + r * row_words, row_words);
}

MICO_CONV2D(bits, 32, 0, 2, 1, pack, wide, narrow)
MICO_CONV2D(signs, 32, 1, 4, 2, pack, wide, narrow)
