/* Weights of one or two bits: sums of activations are looked up instead of multiplied.
 *
 * Four bits of weights, of four taps or of two, choose among the 16 values that these taps can add to the result. All 16 are computed
 * once per patch and are read by every output channel; a word holds those of two or four positions, in lanes that they do not
 * overflow. A *block* of taps is as many as two words of weights have: 16 tables, which leave room in a data cache of 4 KiB. */
#include "mico_tile.h"

enum {
    WORDS = 2,   /* of weights, whose tables exist at a time */
    TABLES = 16, /* of a block */
    SIDES = 16,  /* entries of a table */
    CHANNELS = 64 /* output channels whose sums exist at a time */
};

/* Codes below 4: of four taps a byte, `positions` of them one after the other. */
MICO_INLINE uint32_t pack_quads(const uint32_t *codes, int32_t words, int32_t positions, void *patch)
{
    const uint32_t *const end = codes + words;
    uint8_t *to = patch;
    uint32_t sum = 0;

    while (codes != end) {
        const uint32_t *const stop = end - codes > 64 ? codes + 64 : end;
        uint32_t lanes = 0; /* 64 times a code fits */
        for (; codes != stop; codes++, to += positions) {
            const uint32_t word = *codes;
            uint32_t a = word >> 6, b = word >> 12, c = word >> 18;
            MICO_ORDER(a);
            MICO_ORDER(b);
            MICO_ORDER(c);
            lanes += word;
            a |= word;
            b |= c;
            *to = (uint8_t)(a | b);
        }
        sum += mico_sum_lanes(mico_lanes(0, lanes));
    }
    return sum;
}

/* One table of entries `each` words apart: the sums of a, b, c, d (one bit each), or of a * (0 .. 3) + b * (0 .. 3). */
MICO_INLINE void sums_of_four(uint32_t *to, const int each, uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    to[0] = 0;
    to[each] = a;
    to[2 * each] = b;
    uint32_t ab = a + b;
    to[4 * each] = c;
    to[3 * each] = ab;
    uint32_t low[4] = {0, a, b, ab};
#pragma GCC unroll 4
    for (int i = 1; i < 4; i++)
        to[(4 + i) * each] = c + low[i];
    to[8 * each] = d;
#pragma GCC unroll 4
    for (int i = 1; i < 4; i++)
        to[(8 + i) * each] = d + low[i];
    d += c;
    to[12 * each] = d;
#pragma GCC unroll 4
    for (int i = 1; i < 4; i++)
        to[(12 + i) * each] = d + low[i];
}
MICO_INLINE void multiples_of_two(uint32_t *to, const int each, uint32_t a, uint32_t b)
{
    const uint32_t twice = a + a, low[4] = {0, a, twice, twice + a};
    uint32_t high = 0;
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        to[4 * j * each] = high;
#pragma GCC unroll 4
        for (int i = 1; i < 4; i++)
            to[(4 * j + i) * each] = high + low[i];
        high += b;
    }
}

/* The codes of tap i at `positions` from their patches: words (of 4 positions: 0 and 2, 1 and 3; of 8: 0 .. 3, 4 .. 7), or one code. */
MICO_INLINE uint32_t tap(const void *patch, int i, const int word, const int positions)
{
    if (positions == 1)
        return ((const uint8_t *)patch)[i];
    if (positions == MICO_WIDE)
        return ((const uint32_t *)patch)[i] >> 8 * word & MICO_EVEN;
    return ((const uint32_t *)patch)[i / 4 * 2 + word] >> 2 * (i % 4) & 0x03030303u;
}

/* Tables of `count` groups of taps. */
MICO_INLINE void build(uint32_t *tables, const void *patch, int32_t count, const int bits, const int positions)
{
    const int words = positions == 1 ? 1 : 2, taps = 4 / bits;
    const uint8_t *x = patch;

    for (int32_t g = 0; g < count; g++, tables += SIDES * words, x += positions == 1 ? taps : positions == MICO_WIDE ? 4 * taps : 8) {
#pragma GCC unroll 2
        for (int i = 0; i < words; i++) {
            const uint32_t a = tap(x, 0, i, positions), b = tap(x, 1, i, positions);
            if (bits == 2)
                multiples_of_two(tables + i, words, a, b);
            else
                sums_of_four(tables + i, words, a, b, tap(x, 2, i, positions), tap(x, 3, i, positions));
        }
    }
    for (int32_t g = count; g & 3; g++, tables += SIDES * words) { /* weights beyond the taps are 0; a step may look there */
        tables[0] = tables[words - 1] = 0;
        MICO_ORDER(g);
    }
}

/* Some groups of `word` at a time, so that nothing waits for a shift or a load: what they choose is added to s0 and s1. */
#define INDEX(name, j)                                                                                                 \
    uint32_t name = 4 * (j) < up ? word << (up - 4 * (j)) : word >> (4 * (j)-up);                                      \
    MICO_ORDER(name);
#define ENTRY(name)                                                                                                    \
    name &= mask;                                                                                                      \
    MICO_ORDER(name);
#define TABLE(name) (const uint32_t *)(const void *)((const uint8_t *)tables + name)
#define LOAD(value, entry, at)                                                                                         \
    uint32_t value = (entry)[at];                                                                                      \
    MICO_ORDER(value);
#define TWO_OF_PAIRS(j)                                                                                               \
    {                                                                                                                  \
        INDEX(i, j)                                                                                                    \
        INDEX(k, (j) + 1)                                                                                              \
        ENTRY(i)                                                                                                       \
        ENTRY(k)                                                                                                       \
        const uint32_t *e = TABLE(i), *f = TABLE(k);                                                                   \
        LOAD(e0, e, 2 * SIDES * (j))                                                                                   \
        LOAD(e1, e, 2 * SIDES * (j) + 1)                                                                               \
        LOAD(f0, f, 2 * SIDES * ((j) + 1))                                                                             \
        LOAD(f1, f, 2 * SIDES * ((j) + 1) + 1)                                                                         \
        MICO_ADD(s0, e0);                                                                                              \
        MICO_ADD(s1, e1);                                                                                              \
        MICO_ADD(s0, f0);                                                                                              \
        MICO_ADD(s1, f1);                                                                                              \
    }
#define FOUR_OF_ONE(j)                                                                                                 \
    {                                                                                                                  \
        INDEX(i, j)                                                                                                    \
        INDEX(k, (j) + 1)                                                                                              \
        INDEX(l, (j) + 2)                                                                                              \
        INDEX(m, (j) + 3)                                                                                              \
        ENTRY(i)                                                                                                       \
        ENTRY(k)                                                                                                       \
        ENTRY(l)                                                                                                       \
        ENTRY(m)                                                                                                       \
        const uint32_t *e = TABLE(i), *f = TABLE(k), *g = TABLE(l), *h = TABLE(m);                                     \
        LOAD(e0, e, SIDES * (j))                                                                                       \
        LOAD(f0, f, SIDES * ((j) + 1))                                                                                 \
        LOAD(g0, g, SIDES * ((j) + 2))                                                                                 \
        LOAD(h0, h, SIDES * ((j) + 3))                                                                                 \
        MICO_ADD(s0, e0);                                                                                              \
        MICO_ADD(s1, f0);                                                                                              \
        MICO_ADD(s0, g0);                                                                                              \
        MICO_ADD(s1, h0);                                                                                              \
    }

/* All eight groups of a word. */
#define ALL(pairs)                                                                                                     \
    if (pairs) {                                                                                                       \
        TWO_OF_PAIRS(0)                                                                                                \
        TWO_OF_PAIRS(2)                                                                                                \
        TWO_OF_PAIRS(4)                                                                                                \
        TWO_OF_PAIRS(6)                                                                                                \
    } else {                                                                                                           \
        FOUR_OF_ONE(0)                                                                                                 \
        FOUR_OF_ONE(4)                                                                                                 \
    }

/* What one row of weights chooses of the tables of `count` groups: words s[0] and s[1]; without pairs the sum is in both. */
MICO_INLINE void look_up(const uint32_t *tables, const uint32_t *row, int32_t count, const int pairs, uint32_t *s)
{
    const int up = pairs ? 3 : 2; /* log2 of the bytes of an entry */
    const uint32_t mask = 15u << up;
    uint32_t s0 = 0, s1 = 0, word = *row;
    MICO_ORDER(word);

    if (count == TABLES) {
        uint32_t next = row[1];
        MICO_ORDER(next);
        ALL(pairs)
        word = next;
        tables += 8 * SIDES * (pairs + 1);
        ALL(pairs)
    } else {
        if (count >= 8) {
            uint32_t next = row[count > 8];
            MICO_ORDER(next);
            ALL(pairs)
            word = next;
            tables += 8 * SIDES * (pairs + 1);
            count -= 8;
        }
        while (count > 0) {
            if (pairs)
                TWO_OF_PAIRS(0)
            else
                FOUR_OF_ONE(0)
            count -= pairs ? 2 : 4;
            word >>= pairs ? 8 : 16;
            tables += 4 * SIDES;
            MICO_ORDER(word);
        }
    }
    s[0] = s0;
    s[1] = s1;
}

/* Sums of a block: d[channel][position] = from[..] + sw * (what rows choose); from stays or advances by `step` words. */
MICO_INLINE void block(const uint32_t *tables, const uint32_t *row, int32_t row_words, int32_t channels, int32_t count,
                       const uint32_t *from, int32_t step, uint32_t *d, const int bits, const int positions)
{
    const int twice = bits == 1; /* sw */
    for (; channels > 0; channels--, row += row_words, from += step, d += positions) {
        uint32_t s[2];
        look_up(tables, row, count, positions > 1, s);
        if (positions == 1) {
            d[0] = from[0] + ((s[0] + s[1]) << twice);
            continue;
        }
#pragma GCC unroll 2
        for (int i = 0; i < 2; i++) {
            const int first = positions == 4 ? i : 4 * i, next = positions == 4 ? 2 : 1; /* position, and how far the next is */
            const uint32_t lanes = s[i], *f = from + first;
            uint32_t *to = d + first;
            uint32_t a = f[0], b = f[next];
            MICO_ORDER(a);
            MICO_ORDER(b);
            if (positions == 4) {
                uint32_t low = lanes << 16, high = lanes >> 16;
                MICO_ORDER(low);
                MICO_ORDER(high);
                to[0] = a + (low >> (16 - twice));
                to[2] = b + (high << twice);
            } else {
                uint32_t c = f[2], e = f[3];
                MICO_ORDER(c);
                MICO_ORDER(e);
                uint32_t l1 = lanes >> (8 - twice), l2 = lanes >> (16 - twice), l3 = lanes >> 24;
                MICO_ORDER(l1);
                MICO_ORDER(l2);
                MICO_ORDER(l3);
                to[0] = a + ((lanes & 0xffu) << twice);
                to[1] = b + (l1 & 0xffu << twice);
                to[2] = c + (l2 & 0xffu << twice);
                to[3] = e + (l3 << twice);
            }
        }
    }
}

/* All output channels of one tile of 1, 4 or 8 positions, whose patches lie ready. */
MICO_INLINE void tile(const mico_conv2d_tiled_t *p, const uint32_t *patch, uint32_t *tables, const uint32_t *terms, uint8_t *to,
                      const int bits, const int positions)
{
    const int words = positions == 1 ? 1 : 2, taps = 4 / bits;
    const int32_t row_words = p->weights.row_words, groups = p->code_words * bits;
    uint32_t *sums = tables + words * SIDES * TABLES;
    int32_t built = -1;

    for (int32_t o = 0; o < p->out_c; o += CHANNELS) {
        const int32_t first = o + MICO_NARROW > p->out_c ? p->out_c - MICO_NARROW : o;
        const int32_t channels = first + CHANNELS > p->out_c ? p->out_c - first : CHANNELS;
        for (int32_t g = 0; g < groups; g += TABLES) {
            const int32_t count = groups - g < TABLES ? groups - g : TABLES;
            if (built != g) {
                const int32_t bytes = positions == MICO_MOST ? 2 : positions; /* per tap */
                build(tables, (const uint8_t *)patch + bytes * taps * g, count, bits, positions);
                built = g;
            }
            block(tables, p->weights.words + first * row_words + g / 8, row_words, channels, count, g == 0 ? terms : sums,
                  g == 0 ? 0 : positions, sums, bits, positions);
        }
        for (int32_t c = 0; c < channels; c += positions == 1 ? MICO_NARROW : 2) {
            if (positions == 1) {
                const int32_t at = c + MICO_NARROW > channels ? channels - MICO_NARROW : c;
                mico_store_row(p, first + at, sums + at, to);
            } else {
                const int32_t at = c + 2 > channels ? channels - 2 : c;
                const uint32_t *d = sums + positions * at;
                uint8_t *y = to;
                for (int i = 0; i < positions; i += MICO_WIDE) {
                    mico_store_pair(p, first + at, d + i, positions, y);
                    y += MICO_WIDE * p->out_c * (p->output.type == MICO_S32 ? 4 : 1);
                    MICO_ORDER(y);
                }
            }
        }
    }
}

/* `positions` of the wide tile: 4, with activations of any bits, or 8, of codes up to 3. */
#define TABLES_OF(define, name, bits, positions, layout, offset, pack)                                                 \
    MICO_INLINE void wide_##name(const mico_conv2d_tiled_t *p, const uint32_t *patch, const uint32_t *terms,           \
                                 uint8_t *y, uint32_t *spare)                                                          \
    {                                                                                                                  \
        tile(p, patch, spare, terms, y, bits, positions);                                                              \
    }                                                                                                                  \
    MICO_INLINE void narrow_##name(const mico_conv2d_tiled_t *p, const uint32_t *patch, const uint32_t *terms,         \
                                   uint8_t *y, uint32_t *spare)                                                        \
    {                                                                                                                  \
        tile(p, patch, spare, terms, y, bits, 1);                                                                      \
    }                                                                                                                  \
    define(name, positions, layout, 0, (layout) == MICO_ROW, offset, pack, 0, 0, 0, wide_##name, narrow_##name)

TABLES_OF(MICO_CONV2D_FOUR, tables_8x1, 1, MICO_WIDE, MICO_TAPS, 1, 0)
TABLES_OF(MICO_CONV2D_FOUR, tables_8x2, 2, MICO_WIDE, MICO_TAPS, 2, 0)
TABLES_OF(MICO_CONV2D, tables_2x1, 1, MICO_MOST, MICO_ROW, 1, pack_quads)
