/* Inner products of low-bit integers several at a time: what the tiled kernels share.
 *
 * An activation x and a weight w are written with unsigned codes: x = sx * c - ox, w = sw * u - ow. Then
 *     sum(x * w) = sx * (sw * D - ow * S) - ox * sum(w),    D = sum(c * u), S = sum(c),
 * where S is counted once per patch (the taps under one output position) and the last term is in the bias.
 * A *scheme* is a way to compute D from words that hold several codes; one file each: mico_bytes.c, mico_lanes.c, mico_bits.c.
 * Each becomes a whole function of its own, so that its loops lie side by side in a small instruction cache. */
#ifndef MICO_TILE_H
#define MICO_TILE_H

#include "mico_gather.h"
#include "mico_pack.h"
#include "mico_store.h"

/* From codes as bytes to the words of a patch, among those of `positions` patches; `patch` points to the first of this one.
 * codes: uint32_t (words,), four codes each. Returns S. */
typedef uint32_t mico_pack(const uint32_t *codes, int32_t words, int32_t positions, void *patch);

/* The patches of all four positions of a tile at once. taps: uint32_t (words, 4), a tap's codes at the four positions each.
 * sums: S of each position. */
typedef void mico_pack_four(const uint32_t *taps, int32_t words, uint32_t *patch, uint32_t *sums);

/* d[output][position] = sw * sx * D + terms[position] of consecutive rows of weights, uint32_t (row_words,) each, with the patches, made
 * of code_words words of codes: the last word of a row may not be full, and the rest of it takes no time. Wide: two rows and four
 * positions; narrow: four rows and one position. Behind the patches there is scratch. */
typedef void mico_tile(uint32_t *patch, const uint32_t *rows, int32_t row_words, int32_t code_words,
                       const uint32_t *terms, uint32_t *d);

/* All output channels of a tile of positions, from their patches to the output y at the first of them, in place of calls of mico_tile.
 * Behind the patches there is scratch. */
typedef void mico_channels(const mico_conv2d_tiled_t *p, uint32_t *patch, const uint32_t *terms, uint8_t *y);

typedef struct {
    int32_t positions;      /* of the wide tile */
    int32_t stride;         /* bytes from the patch of one position to that of the next in the wide tile */
    int32_t half;           /* 1: signed bits, -1 and +1, are the codes 0 and 1 */
    uint32_t offset;        /* ow, times sx */
    mico_pack *pack;
    mico_pack_four *pack_four; /* 0: none */
    mico_tile *wide, *narrow;
    mico_channels *wide_channels, *narrow_channels; /* instead of wide and narrow */
} mico_scheme;

/* The patch of one position, whose first tap is at (iy, ix): gathered, as codes, packed. Returns ow * S. */
MICO_INLINE uint32_t mico_prepare(const mico_conv2d_tiled_t *p, const uint8_t *x, int32_t iy, int32_t ix, uint32_t *row,
                                  void *patch, int32_t positions, const mico_scheme s)
{
    const int32_t code_words = p->code_words;
    const uint32_t *codes = row;

    if (p->in_place && ((uintptr_t)x & 3u) == 0u) { /* the caller's buffer need not be aligned */
        codes = (const uint32_t *)(const void *)(x + (iy * p->in_w + ix) * p->in_c);
    } else {
        if (p->flip != 0u)
            mico_clear(p, row);
        if (p->dilation_h * p->dilation_w == 1)
            mico_gather(p, x, iy, ix, row);
        else
            mico_gather_dilated(p, x, iy, ix, row);
    }
    if (p->flip != 0u) {
        for (int32_t i = 0; i < code_words; i++) {
            const uint32_t flipped = (codes[i] ^ p->flip) - p->less;
            row[i] = s.half ? flipped >> 1 & 0x01010101u : flipped;
        }
        codes = row;
    }
    return s.offset * s.pack(codes, code_words, positions, patch);
}

/* Positions one after another, four output channels at a time. */
MICO_INLINE void mico_conv2d_narrow(const mico_conv2d_tiled_t *p, const void *x, void *y, uint32_t *scratch,
                                    const mico_scheme s)
{
    const int32_t row_words = p->weights.row_words;
    uint32_t *const patch = scratch + p->code_words;
    uint8_t *to = y;

    mico_clear(p, scratch);
    for (int32_t oy = 0; oy < p->out_h; oy++) {
        for (int32_t ox = 0; ox < p->out_w; ox++, to += p->out_c * (p->output.type == MICO_S32 ? 4 : 1)) {
            const uint32_t term =
                -mico_prepare(p, x, oy * p->stride_h - p->pad_h, ox * p->stride_w - p->pad_w, scratch, patch, 1, s);
            const uint32_t terms[MICO_NARROW] = {term, term, term, term};
            if (s.narrow_channels) {
                s.narrow_channels(p, patch, terms, to);
                continue;
            }
            for (int32_t o = 0; o < p->out_c; o += MICO_NARROW) {
                /* The last tile may overlap the one before: it writes the same values once more. */
                const int32_t c = o + MICO_NARROW > p->out_c ? p->out_c - MICO_NARROW : o;
                uint32_t d[MICO_NARROW];
                s.narrow(patch, p->weights.words + c * row_words, row_words, p->code_words, terms, d);
                mico_store_row(p, c, d, to);
            }
        }
    }
}

/* mico_prepare of the wide tile. */
typedef uint32_t mico_prepare_one(const mico_conv2d_tiled_t *p, const uint8_t *x, int32_t iy, int32_t ix, uint32_t *row, void *patch);

/* Tiles of s.positions; without s.wide_channels, which are four, two output channels at a time. Positions are gathered together where
 * `one` is given, which then prepares those of a tile that goes on in the next row. */
MICO_INLINE void mico_conv2d_wide(const mico_conv2d_tiled_t *p, const void *x, void *y, uint32_t *scratch,
                                  const mico_scheme s, mico_prepare_one *const one)
{
    const int32_t row_words = p->weights.row_words;
    const int32_t size = p->out_h * p->out_w;
    const int32_t element = p->output.type == MICO_S32 ? 4 : 1;
    const int32_t last = (p->out_w - 1) * p->stride_w - p->pad_w; /* column of the last output's first tap */
    uint32_t *const patch = scratch + p->code_words + p->four_words, *const taps = scratch + p->code_words;
    int32_t iy = -p->pad_h, ix = -p->pad_w;

    mico_clear(p, scratch);
    if (one)
        mico_clear_four(p, taps);
    for (int32_t begin = 0; begin < size; begin += s.positions) {
        uint32_t terms[MICO_MOST];
        const int32_t first = begin + s.positions > size ? size - s.positions : begin;
        uint8_t *const to = (uint8_t *)y + first * p->out_c * element;

        if (first != begin) { /* the last tile overlaps the one before */
            iy = first / p->out_w * p->stride_h - p->pad_h;
            ix = first % p->out_w * p->stride_w - p->pad_w;
        }
        if (one && ix + 3 * p->stride_w <= last) {
            uint32_t sums[MICO_WIDE];
            mico_gather_four(p, x, iy, ix, taps, (uint8_t *)(taps + 4 * p->code_words + 4), s.half);
            s.pack_four(taps, p->code_words, patch, sums);
            for (int32_t t = 0; t < MICO_WIDE; t++)
                terms[t] = -(s.offset * sums[t]);
            ix += 4 * p->stride_w;
            if (ix > last) {
                ix = -p->pad_w;
                iy += p->stride_h;
            }
        } else {
            for (int32_t t = 0; t < s.positions; t++) {
                uint8_t *const to_patch = (uint8_t *)patch + s.stride * t;
                terms[t] = -(one ? one(p, x, iy, ix, scratch, to_patch)
                                 : mico_prepare(p, x, iy, ix, scratch, to_patch, s.positions, s));
                if (ix == last) {
                    ix = -p->pad_w;
                    iy += p->stride_h;
                } else {
                    ix += p->stride_w;
                }
            }
        }
        if (s.wide_channels) {
            s.wide_channels(p, patch, terms, to);
            continue;
        }
        for (int32_t o = 0; o < p->out_c; o += 2) {
            const int32_t c = o + 2 > p->out_c ? p->out_c - 2 : o;
            uint32_t d[2 * MICO_WIDE];
            s.wide(patch, p->weights.words + c * row_words, row_words, p->code_words, terms, d);
            mico_store_pair(p, c, d, MICO_WIDE, to);
        }
    }
}

/* Defines mico_conv2d_<name> and mico_conv2d_<name>_narrow of a mico_scheme's members. What a layer runs is one function, whose loops
 * lie side by side. */
#define MICO_CONV2D(name, ...)                                                                                         \
    void mico_conv2d_##name(const mico_conv2d_tiled_t *p, const void *x, void *y, uint32_t *scratch)                   \
    {                                                                                                                  \
        const mico_scheme scheme = {__VA_ARGS__};                                                                      \
        mico_conv2d_wide(p, x, y, scratch, scheme, 0);                                                                 \
    }                                                                                                                  \
    void mico_conv2d_##name##_narrow(const mico_conv2d_tiled_t *p, const void *x, void *y, uint32_t *scratch)          \
    {                                                                                                                  \
        const mico_scheme scheme = {__VA_ARGS__};                                                                      \
        mico_conv2d_narrow(p, x, y, scratch, scheme);                                                                  \
    }

/* The same, and mico_conv2d_<name>_four. */
#define MICO_CONV2D_FOUR(name, ...)                                                                                    \
    MICO_CONV2D(name, __VA_ARGS__)                                                                                     \
    static __attribute__((noinline)) uint32_t prepare_##name(const mico_conv2d_tiled_t *p, const uint8_t *x,           \
                                                             int32_t iy, int32_t ix, uint32_t *row, void *patch)       \
    {                                                                                                                  \
        const mico_scheme scheme = {__VA_ARGS__};                                                                      \
        return mico_prepare(p, x, iy, ix, row, patch, scheme.positions, scheme);                                       \
    }                                                                                                                  \
    void mico_conv2d_##name##_four(const mico_conv2d_tiled_t *p, const void *x, void *y, uint32_t *scratch)            \
    {                                                                                                                  \
        const mico_scheme scheme = {__VA_ARGS__};                                                                      \
        mico_conv2d_wide(p, x, y, scratch, scheme, prepare_##name);                                                    \
    }

#endif
