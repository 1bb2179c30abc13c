/* Inner products of low-bit integers several at a time: what the tiled kernels share.
 *
 * An activation x and a weight w are written with unsigned quantised values: x = sx * c - ox, w = sw * u - ow. Then
 *     sum(x * w) = sx * (sw * D - ow * S) - ox * sum(w),    D = sum(c * u), S = sum(c),
 * where S is counted once per im2col column (the taps under one output position) and the last term is in the bias.
 * A *micro-kernel* computes D from words that hold several values. Each is written out for a program that calls it (codegen/micro), as a
 * whole function of its own, so that its loops lie side by side in a small instruction cache. */
#ifndef MICO_TILE_H
#define MICO_TILE_H

#include "mico_gather.h"
#include "mico_pack.h"
#include "mico_store.h"

/* A column in MICO_ROW to the words of the micro-kernel, among those of `positions` columns;
 * `column` points to the first of this one. Returns S. */
typedef uint32_t mico_pack(const uint32_t *values, int32_t words, int32_t positions, void *column);

/* Four columns in MICO_TAPS, which are their scratch, to the words of the micro-kernel in place. sums: S of each. */
typedef void mico_pack_four(uint32_t *taps, int32_t words, uint32_t *sums);

/* d[output][position] = sw * sx * D + terms[position] of consecutive rows of weights, uint32_t (row_words,) each, with the columns, made
 * of value_words words of values: the last word of a row may not be full, and the rest of it takes no time. Wide: two rows and four
 * positions; narrow: four rows and one position. spare: further scratch. */
typedef void mico_tile(const uint32_t *column, const uint32_t *rows, int32_t row_words, int32_t value_words,
                       const uint32_t *terms, uint32_t *d, uint32_t *spare);

/* All output channels of a tile of positions, from their columns to the output y at the first of them, in place of calls of mico_tile. */
typedef void mico_channels(const mico_conv2d_tiled_t *p, const uint32_t *column, const uint32_t *terms, uint8_t *y, uint32_t *spare);

typedef struct {
    int32_t positions;         /* of the wide register block */
    int32_t layout;            /* of its columns: MICO_TAPS or MICO_WORDS, or MICO_ROW: each packed into its words */
    int32_t half;              /* 1: signed bits, -1 and +1, are the values 0 and 1 */
    int32_t small;             /* 1: values are below 16 */
    uint32_t zero_point;       /* ow, times sx */
    mico_pack *pack;           /* of the wide register block in MICO_ROW, and of the narrow one, which with 0 or narrow_channels reads values */
    mico_pack_four *pack_four; /* of a layer in MICO_ROW whose columns are gathered together */
    mico_tile *wide, *narrow;
    mico_channels *wide_channels, *narrow_channels; /* instead of wide and narrow */
} mico_micro_kernel;

/* The taps under one position, whose first one is at (iy, ix), where they lie in x in one piece of whole words; else 0. */
MICO_INLINE const uint32_t *mico_taps_zero_copy(const mico_conv2d_tiled_t *p, const uint8_t *x, int32_t iy, int32_t ix)
{
    if (p->zero_copy && ((uintptr_t)x & 3u) == 0u) /* the caller's buffer need not be aligned */
        return (const uint32_t *)(const void *)(x + (iy * p->size.in_w + ix) * p->size.in_c);
    return 0;
}

/* The values under one position, whose first tap is at (iy, ix), in MICO_ROW: in `row`, or where they lie in x. */
MICO_INLINE const uint32_t *mico_values(const mico_conv2d_tiled_t *p, const uint8_t *x, int32_t iy, int32_t ix, uint32_t *row,
                                       const int half)
{
    const uint32_t *values = mico_taps_zero_copy(p, x, iy, ix);

    if (values == 0) {
        mico_clear(p, row, MICO_ROW);
        mico_gather(p, x, iy, ix, (uint8_t *)row, MICO_ROW);
        values = row;
    }
    if (p->xor_mask == 0u)
        return values;
    for (int32_t i = 0; i < p->value_words; i++) {
        const uint32_t masked = (values[i] ^ p->xor_mask) - p->input_offset;
        row[i] = half ? masked >> 1 & 0x01010101u : masked;
    }
    return row;
}

/* Positions one after another, four output channels at a time. */
MICO_INLINE void mico_conv2d_narrow(const mico_conv2d_tiled_t *p, const void *x, void *y, uint32_t *scratch,
                                    const mico_micro_kernel k)
{
    const int32_t row_words = p->weights.row_words, value_words = p->value_words;
    uint32_t *const packed = scratch + value_words;
    uint8_t *to = y;

    for (int32_t oy = 0; oy < p->size.out_h; oy++) {
        for (int32_t ox = 0; ox < p->size.out_w; ox++, to += p->size.out_c * (p->output.type == MICO_S32 ? 4 : 1)) {
            const uint32_t *column =
                mico_values(p, x, oy * p->size.stride_h - p->size.pad_h, ox * p->size.stride_w - p->size.pad_w, scratch, k.half);
            uint32_t sum;
            if (k.pack && !k.narrow_channels) {
                sum = k.pack(column, value_words, 1, packed);
                column = packed;
            } else {
                sum = mico_sum(column, value_words, k.small);
            }
            const uint32_t term = -(k.zero_point * sum), terms[MICO_NARROW] = {term, term, term, term};
            if (k.narrow_channels) {
                k.narrow_channels(p, column, terms, to, packed);
                continue;
            }
            for (int32_t o = 0; o < p->size.out_c; o += MICO_NARROW) {
                /* The last tile may overlap the one before: it writes the same values once more. */
                const int32_t c = o + MICO_NARROW > p->size.out_c ? p->size.out_c - MICO_NARROW : o;
                uint32_t d[MICO_NARROW];
                k.narrow(column, p->weights.words + c * row_words, row_words, value_words, terms, d, packed);
                mico_store_row(p, c, d, to);
            }
        }
    }
}

/* The columns of the tile whose first position has its first tap at (iy, ix), one by one, and what its products begin with. */
MICO_INLINE void mico_prepare(const mico_conv2d_tiled_t *p, const uint8_t *x, int32_t iy, int32_t ix, uint32_t *scratch,
                              uint32_t *terms, const mico_micro_kernel k)
{
    const int32_t last = (p->size.out_w - 1) * p->size.stride_w - p->size.pad_w; /* column of the last output's first tap */
    uint32_t sums[MICO_WIDE];

    if (k.layout != MICO_ROW)
        mico_clear(p, scratch, MICO_WORDS);
    for (int32_t t = 0; t < k.positions; t++) {
        if (k.layout == MICO_ROW) { /* bytes of eight positions, words of four; the row of values behind */
            const int32_t each = MICO_MOST / k.positions, words = each == 1 ? 2 * p->value_words : 4 * p->weights.row_words;
            const uint32_t *const values = mico_values(p, x, iy, ix, scratch + words, k.half);
            terms[t] = -(k.zero_point * k.pack(values, p->value_words, k.positions, (uint8_t *)scratch + (each == 1 ? t : 4 * t)));
        } else {
            const uint32_t *const taps = mico_taps_zero_copy(p, x, iy, ix);
            if (taps)
                mico_spread((uint8_t *)(scratch + t), 0, (const uint8_t *)taps, 4 * p->value_words, 4, MICO_WORDS);
            else
                mico_gather(p, x, iy, ix, (uint8_t *)(scratch + t), MICO_WORDS);
        }
        if (ix == last) {
            ix = -p->size.pad_w;
            iy += p->size.stride_h;
        } else {
            ix += p->size.stride_w;
        }
    }
    if (k.layout == MICO_ROW)
        return;
    if (p->xor_mask != 0u) {
        for (int32_t i = 0; i < 4 * p->value_words; i++) {
            scratch[i] = (scratch[i] ^ p->xor_mask) - p->input_offset;
            MICO_ORDER(i);
        }
    }
    mico_sum_words(scratch, p->value_words, sums, k.small, k.layout == MICO_TAPS);
    for (int32_t t = 0; t < MICO_WIDE; t++)
        terms[t] = -(k.zero_point * sums[t]);
}

/* The same of four positions side by side, gathered together. */
MICO_INLINE void mico_prepare_four(const mico_conv2d_tiled_t *p, const uint8_t *x, int32_t iy, int32_t ix, uint32_t *scratch,
                                   uint32_t *terms, const mico_micro_kernel k)
{
    uint32_t sums[MICO_WIDE];

    mico_gather_four(p, x, iy, ix, scratch, k.half);
    if (k.layout == MICO_ROW)
        k.pack_four(scratch, p->value_words, sums);
    else
        mico_sum_taps(scratch, p->value_words, sums, k.small, k.layout == MICO_WORDS);
    for (int32_t t = 0; t < MICO_WIDE; t++)
        terms[t] = -(k.zero_point * sums[t]);
}

typedef void mico_prepare_one_by_one(const mico_conv2d_tiled_t *p, const uint8_t *x, int32_t iy, int32_t ix, uint32_t *scratch,
                                     uint32_t *terms);

/* Tiles of k.positions; without k.wide_channels, which are four, two output channels at a time. Positions are gathered together where
 * `others` is given, which then prepares the tiles that go on in the next row. */
MICO_INLINE void mico_conv2d_wide(const mico_conv2d_tiled_t *p, const void *x, void *y, uint32_t *scratch,
                                  const mico_micro_kernel k, mico_prepare_one_by_one *const others)
{
    const int32_t row_words = p->weights.row_words, value_words = p->value_words;
    const int32_t size = p->size.out_h * p->size.out_w, width = p->size.out_w * p->size.stride_w;
    const int32_t element = p->output.type == MICO_S32 ? 4 : 1;
    int32_t iy = -p->size.pad_h, ix = -p->size.pad_w;

    for (int32_t begin = 0; begin < size; begin += k.positions) {
        uint32_t terms[MICO_MOST];
        const int32_t first = begin + k.positions > size ? size - k.positions : begin;
        uint8_t *const to = (uint8_t *)y + first * p->size.out_c * element;

        if (first != begin) { /* the last tile overlaps the one before */
            iy = first / p->size.out_w * p->size.stride_h - p->size.pad_h;
            ix = first % p->size.out_w * p->size.stride_w - p->size.pad_w;
        }
        const int32_t end = ix + 3 * p->size.stride_w;
        if (others == 0)
            mico_prepare(p, x, iy, ix, scratch, terms, k);
        else if (end < width - p->size.pad_w && (MICO_NEAR(p) || (ix >= 0 && end + p->size.kernel_w <= p->size.in_w)))
            mico_prepare_four(p, x, iy, ix, scratch, terms, k);
        else
            others(p, x, iy, ix, scratch, terms);
        for (ix += k.positions * p->size.stride_w; ix >= width - p->size.pad_w; iy += p->size.stride_h)
            ix -= width;
        if (k.wide_channels) {
            k.wide_channels(p, scratch, terms, to, scratch + 4 * value_words);
            continue;
        }
        for (int32_t o = 0; o < p->size.out_c; o += 2) {
            const int32_t c = o + 2 > p->size.out_c ? p->size.out_c - 2 : o;
            uint32_t d[2 * MICO_WIDE];
            k.wide(scratch, p->weights.words + c * row_words, row_words, value_words, terms, d, scratch + 4 * value_words);
            mico_store_pair(p, c, d, MICO_WIDE, to);
        }
    }
}

#endif
