/* Weights as bytes: a multiplication for two products.
 *
 * Of the word of a tap, its codes at four positions, a mask leaves those at two, x0 + x1 << 16. Times a code u it is x0 * u + x1 * u << 16:
 * two products that do not meet, as each is below 2^16. The sum of such words, and the sum of their high halves, give both sums. As many words as
 * fit before a low half overflows, a `group`, are added before they are split so: of 8 x 8 bits one, of 8 x 5 eight.
 *
 * Weights of fewer than 8 bits become bytes 32 at a time (a *chunk*: as many words as they have bits), four in parallel: byte l of
 * each word is a stream of codes of the taps 4 i + l. The low bits of a byte are whole codes, the bits that are left at its top
 * follow each other (codegen/schemes.py). */
#include "mico_tile.h"

enum {
    CHUNK = 8 /* words of four codes */
};
#define BYTES(code) (0x01010101u * (uint32_t)(code))
#define ONES(bits) ((1u << (bits)) - 1u)

/* The last codes of a row, 1 to 3, when the streams of the four bytes have no `bits` left each but `have`: one after the other. */
MICO_INLINE uint32_t last_codes(uint32_t left, int32_t have, const int bits)
{
    const uint32_t ones = ONES(have), mask = ONES(bits);
    const uint32_t low = (left & ones) | (left >> 8 & ones) << have;
    const uint32_t all = low | ((left >> 16 & ones) | (left >> 24 & ones) << have) << 2 * have;
    return (all & mask) | (all >> bits & mask) << 8 | (all >> 2 * bits & mask) << 16;
}

/* A whole chunk of two rows; `to` has room for CHUNK words of each. Both at a time, so that nothing waits for a load or a shift. */
MICO_INLINE void unpack_chunk(const uint32_t *row, const uint32_t *other, uint32_t *to, const int bits)
{
    const int whole = 8 / bits, spare = 8 % bits;
    uint32_t mask = BYTES(ONES(bits)), tops = ~BYTES(ONES(bits * whole));
    uint32_t a = row[0], b = other[0], left_a = 0, left_b = 0;
    int have = 0, at = 0;

    MICO_ORDER(tops);
    MICO_ORDER(mask); /* takes no register where sums need it */
#pragma GCC unroll 8
    for (int i = 0; i < bits; i++) {
        const uint32_t word = a, word_b = b;
        if (i + 1 < bits) {
            a = row[i + 1];
            MICO_ORDER(a);
            b = other[i + 1];
            MICO_ORDER(b);
        }
#pragma GCC unroll 2
        for (int j = 0; j < whole; j++) {
            uint32_t codes = word >> bits * j, others = word_b >> bits * j;
            if (j) {
                MICO_ORDER(codes);
                MICO_ORDER(others);
            }
            to[at] = codes & mask;
            to[at++ + CHUNK] = others & mask;
        }
        if (spare) {
            uint32_t top = word & tops, top_b = word_b & tops;
            MICO_ORDER(top);
            MICO_ORDER(top_b);
            left_a |= top >> (8 - spare - have);
            left_b |= top_b >> (8 - spare - have);
            have += spare;
            if (have >= bits) {
                to[at] = left_a & mask;
                to[at++ + CHUNK] = left_b & mask;
                have -= bits;
                left_a = have ? (left_a & ~mask) >> bits : 0;
                left_b = have ? (left_b & ~mask) >> bits : 0;
            }
        }
    }
}

/* Less than a chunk: `words` of a row to `quads` words of four codes. */
MICO_INLINE void unpack_rest(const uint32_t *row, int32_t words, int32_t quads, uint32_t *to, const int bits)
{
    const uint32_t mask = BYTES(ONES(bits)), *const stop = row + words, *const end = to + quads;
    const int whole = 8 / bits, spare = 8 % bits;
    uint32_t left = 0; /* at most 7 bits of each byte */
    int32_t have = 0;

    while (row != stop) {
        uint32_t word = *row++;
        MICO_ORDER(word); /* stays a loop */
        for (int j = 0; j < whole; j++)
            *to++ = word >> bits * j & mask;
        left |= (word >> bits * whole & BYTES(ONES(spare))) << have;
        have += spare;
        if (have >= bits) {
            *to++ = left & mask;
            left = (left & ~mask) >> bits;
            have -= bits;
        }
    }
    if (to < end)
        *to = last_codes(left, have, bits);
}

/* The next `words` of two rows, which are `apart`, to `quads` words of codes each, at most CHUNK. */
MICO_INLINE void unpack(const uint32_t *rows, int32_t apart, int32_t words, int32_t quads, uint32_t *codes,
                        const int bits)
{
    if (quads == CHUNK) {
        unpack_chunk(rows, rows + apart, codes, bits);
        return;
    }
    for (int32_t second = 0; second < 2; second++) {
        MICO_ORDER(second); /* stays a loop */
        unpack_rest(rows + second * apart, words, quads, codes + second * CHUNK, bits);
    }
}

/* One tap: its products are `first` in their group, and `last`. Sums of words a0 .., of high halves ah0 .. . */
#define TAP(i, first, last)                                                                                            \
    {                                                                                                                  \
        uint32_t x0 = x[i];                                                                                            \
        MICO_ORDER(x0);                                                                                                \
        uint32_t u = a[i];                                                                                             \
        MICO_ORDER(u);                                                                                                 \
        uint32_t v = b[i];                                                                                             \
        MICO_ORDER(v);                                                                                                 \
        uint32_t x1 = x0 >> 8;                                                                                         \
        MICO_ORDER(x1);                                                                                                \
        x0 &= positions;                                                                                               \
        MICO_ORDER(x0);                                                                                                \
        uint32_t p0 = x0 * u;                                                                                          \
        MICO_ORDER(p0);                                                                                                \
        x1 &= positions;                                                                                               \
        MICO_ORDER(x1);                                                                                                \
        uint32_t q0 = x0 * v;                                                                                          \
        MICO_ORDER(q0);                                                                                                \
        uint32_t p1 = x1 * u;                                                                                          \
        MICO_ORDER(p1);                                                                                                \
        uint32_t q1 = x1 * v;                                                                                          \
        MICO_ORDER(q1);                                                                                                \
        if (first) {                                                                                                   \
            g0 = p0;                                                                                                   \
            g1 = p1;                                                                                                   \
            g2 = q0;                                                                                                   \
            g3 = q1;                                                                                                   \
        } else {                                                                                                       \
            MICO_ADD(g0, p0);                                                                                          \
            MICO_ADD(g2, q0);                                                                                          \
            MICO_ADD(g1, p1);                                                                                          \
            MICO_ADD(g3, q1);                                                                                          \
        }                                                                                                              \
        if (last)                                                                                                      \
            SPLIT                                                                                                      \
    }
#define SPLIT                                                                                                          \
    {                                                                                                                  \
        MICO_ADD(a0, g0);                                                                                              \
        g0 >>= 16;                                                                                                     \
        MICO_ORDER(g0);                                                                                                \
        MICO_ADD(a1, g1);                                                                                              \
        g1 >>= 16;                                                                                                     \
        MICO_ORDER(g1);                                                                                                \
        MICO_ADD(b0, g2);                                                                                              \
        g2 >>= 16;                                                                                                     \
        MICO_ORDER(g2);                                                                                                \
        MICO_ADD(b1, g3);                                                                                              \
        g3 >>= 16;                                                                                                     \
        MICO_ORDER(g3);                                                                                                \
        MICO_ADD(ah0, g0);                                                                                             \
        MICO_ADD(ah1, g1);                                                                                             \
        MICO_ADD(bh0, g2);                                                                                             \
        MICO_ADD(bh1, g3);                                                                                             \
    }

/* Two rows, four positions. */
MICO_INLINE void wide(const uint32_t *patch, const uint32_t *rows, int32_t row_words, int32_t code_words, const uint32_t *terms,
                      uint32_t *d, uint32_t *codes, const int bits, const int group)
{
    const int32_t apart = row_words;
    const uint32_t *x = patch;
    uint32_t positions = MICO_EVEN; /* 0 and 2; a byte higher 1 and 3 */
    /* Sums of high halves, ah0 .., and of words, whose low halves begin with the terms. */
    uint32_t ah0 = terms[2], ah1 = terms[3], bh0 = ah0, bh1 = ah1;
    uint32_t a0 = terms[0] + (ah0 << 16), a1 = terms[1] + (ah1 << 16), b0 = a0, b1 = a1;

    MICO_ORDER(positions);

    do {
        const uint8_t *a = (const uint8_t *)rows, *b = (const uint8_t *)(rows + apart), *end = a + 4 * code_words;
        if (bits < 8) {
            const int32_t quads = code_words < CHUNK ? code_words : CHUNK;
            unpack(rows, apart, row_words, quads, codes, bits);
            a = (const uint8_t *)codes;
            b = a + 4 * CHUNK;
            end = a + 4 * quads;
            rows += bits;
            row_words -= bits;
            code_words -= CHUNK;
        }
        do {
            const uint8_t *const stop = group <= 4 || end - a < group ? end : a + group;
            uint32_t g0 = 0, g1 = 0, g2 = 0, g3 = 0;
            do {
                TAP(0, group <= 4, group == 1)
                TAP(1, group == 1, group <= 2)
                TAP(2, group <= 2, group == 1)
                TAP(3, group == 1, group <= 4)
                a += 4;
                b += 4;
                x += 4;
            } while (a != stop);
            if (group > 4)
                SPLIT
        } while (group > 4 && (group < 4 * CHUNK || bits == 8) && a != end);
    } while (bits < 8 && code_words > 0);
    d[0] = a0 - (ah0 << 16);
    d[1] = a1 - (ah1 << 16);
    d[2] = ah0;
    d[3] = ah1;
    d[4] = b0 - (bh0 << 16);
    d[5] = b1 - (bh1 << 16);
    d[6] = bh0;
    d[7] = bh1;
}

/* Four rows, one position. */
MICO_INLINE void narrow(const uint32_t *patch, const uint32_t *rows, int32_t row_words, int32_t code_words, const uint32_t *terms,
                        uint32_t *d, uint32_t *codes, const int bits)
{
    const uint8_t *x = (const uint8_t *)patch;
    const int32_t apart = row_words;
    uint32_t d0 = terms[0], d1 = d0, d2 = d0, d3 = d0;

    do {
        const uint8_t *a = (const uint8_t *)rows, *b = a + 4 * apart, *c = b + 4 * apart, *e = c + 4 * apart;
        const uint8_t *end = a + 4 * code_words;
        if (bits < 8) {
            const int32_t quads = code_words < CHUNK ? code_words : CHUNK;
            for (int32_t pair = 0; pair < 4; pair += 2) {
                MICO_ORDER(pair); /* stays a loop */
                unpack(rows + pair * apart, apart, row_words, quads, codes + pair * CHUNK, bits);
            }
            a = (const uint8_t *)codes;
            b = a + 4 * CHUNK;
            c = b + 4 * CHUNK;
            e = c + 4 * CHUNK;
            end = a + 4 * quads;
            rows += bits;
            row_words -= bits;
            code_words -= CHUNK;
        }
        for (; a != end; a += 4, b += 4, c += 4, e += 4, x += 4) {
            for (int32_t i = 0; i < 4; i++) {
                uint32_t x0 = x[i], p0 = a[i], p1 = b[i], p2 = c[i], p3 = e[i];
                MICO_ORDER(p0);
                MICO_ORDER(x0);
                MICO_ORDER(p1);
                MICO_ORDER(p2);
                MICO_ORDER(p3);
                MICO_MULTIPLY(p0, x0);
                MICO_MULTIPLY(p1, x0);
                MICO_MULTIPLY(p2, x0);
                MICO_MULTIPLY(p3, x0);
                MICO_ADD(d0, p0);
                MICO_ADD(d1, p1);
                MICO_ADD(d2, p2);
                MICO_ADD(d3, p3);
            }
        }
    } while (bits < 8 && code_words > 0);
    d[0] = d0;
    d[1] = d1;
    d[2] = d2;
    d[3] = d3;
}

/* Bits of activations and of weights; taps that a group has. */
#define SCHEME(activation, bits, group)                                                                                \
    MICO_INLINE void wide_bytes_##activation##x##bits(const uint32_t *patch, const uint32_t *rows, int32_t row_words,  \
                                                      int32_t code_words, const uint32_t *terms, uint32_t *d,          \
                                                      uint32_t *spare)                                                 \
    {                                                                                                                  \
        wide(patch, rows, row_words, code_words, terms, d, spare, bits, group);                                        \
    }                                                                                                                  \
    MICO_INLINE void narrow_bytes_##activation##x##bits(const uint32_t *patch, const uint32_t *rows,                   \
                                                        int32_t row_words, int32_t code_words, const uint32_t *terms,  \
                                                        uint32_t *d, uint32_t *spare)                                  \
    {                                                                                                                  \
        narrow(patch, rows, row_words, code_words, terms, d, spare, bits);                                             \
    }                                                                                                                  \
    MICO_CONV2D_FOUR(bytes_##activation##x##bits, MICO_WIDE, MICO_TAPS, 0, (activation) <= 4, 1 << ((bits)-1), 0, 0,   \
                     wide_bytes_##activation##x##bits, narrow_bytes_##activation##x##bits, 0, 0)                       \
    typedef char fits_##activation##x##bits[(group)*ONES(activation) * ONES(bits) < 1u << 16 ? 1 : -1];

SCHEME(8, 8, 1)
SCHEME(8, 7, 2)
SCHEME(8, 6, 4)
SCHEME(8, 5, 4)
SCHEME(8, 4, 16)
SCHEME(8, 3, 32)
SCHEME(4, 8, 16)
SCHEME(4, 7, 32)
SCHEME(4, 6, 64)
SCHEME(4, 5, 64)
