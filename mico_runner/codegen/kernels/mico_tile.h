/* Inner products of low-bit integers several at a time: what the tiled kernels share.
 *
 * An activation x and a weight w are written with unsigned codes: x = sx * c - ox, w = sw * u - ow. Then
 *     sum(x * w) = sx * (sw * D - ow * S) - ox * sum(w),    D = sum(c * u), S = sum(c),
 * where S is counted once per patch (the taps under one output position) and the last term is in the bias.
 * A *scheme* is a way to compute D from words that hold several codes; one file each: mico_bytes.c, mico_lanes.c, mico_bits.c.
 * Each becomes a whole function of its own, so that its loops lie side by side in a small instruction cache. */
#ifndef MICO_TILE_H
#define MICO_TILE_H

#include "mico_conv2d_tiled.h"

/* Keeps a value in a register and the code before it before the code after it. Compilers undo the order that keeps an in-order core
 * from waiting for its multiplier and its shifter, and run out of registers doing so. */
#ifdef __riscv
#define MICO_ORDER(value) __asm__ volatile("" : "+r"(value))
#define MICO_ADD(sum, value) __asm__ volatile("add %0, %0, %1" : "+r"(sum) : "r"(value))
#else
#define MICO_ORDER(value) ((void)0)
#define MICO_ADD(sum, value) ((sum) += (value))
#endif

#define MICO_INLINE static inline __attribute__((always_inline))

enum {
    MICO_WIDE = 4,  /* positions of the wide tile, which has two output channels */
    MICO_MOST = 8,  /* of a scheme with a tile of its own */
    MICO_NARROW = 4 /* output channels of the narrow tile, which has one position */
};

/* From codes as bytes to the words of a patch, among those of `positions` patches; `patch` points to the first of this one.
 * codes: uint32_t (words,), four codes each. Returns S. */
typedef uint32_t mico_pack(const uint32_t *codes, int32_t words, int32_t positions, void *patch);

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
    mico_tile *wide, *narrow;
    mico_channels *wide_channels, *narrow_channels; /* instead of wide and narrow */
} mico_scheme;

/* Requantisation in constant time: r = (acc * m + 2^(s-1)) >> s of mico_rescale, within low .. low + span, from the high word of one
 * product and without a branch, so that cycles do not depend on the data. Of a tiled layer (codegen/tiling.py) the multiplier is
 * M = m << e, whose low five bits are zero and hold k instead, so that acc << k fits; the shift is t = e + k + s - 32 >= 1.
 * Four at a time: the core waits for a shift or a product that the next instruction needs. */
#define MICO_EACH(statement)                                                                                           \
    for (int32_t i = 0; i < MICO_WIDE; i++) {                                                                          \
        statement;                                                                                                     \
        MICO_ORDER(r[i]);                                                                                              \
    }
#define MICO_POSITIVE                                                                                                  \
    for (int32_t i = 0; i < MICO_WIDE; i++) {                                                                          \
        more[i] = r[i] > 0;                                                                                            \
        MICO_ORDER(more[i]); /* or the compiler makes a branch of it */                                                \
    }                                                                                                                  \
    MICO_EACH(r[i] *= more[i])

/* Accumulators d[channel * stride + position] of channels c and c + 1 at four positions to the output, y (4, out_c). */
MICO_INLINE void mico_store_pair(const mico_conv2d_tiled_t *p, int32_t c, const uint32_t *d, const int stride, uint8_t *y)
{
    const int32_t *biases = p->weights.bias, *multipliers = p->weights.multiplier;
    const uint8_t *shifts = p->weights.shift;
    const int32_t low = p->output.min, high = p->output.max, sign = p->output.sign, step = p->out_c;
    int32_t wide = p->output.type == MICO_S32;
    uint8_t *to = y + (wide ? 4 * c : c);

    biases += c;
    multipliers += c;
    shifts += c;
#pragma GCC unroll 2
    for (int32_t channel = 0; channel < 2; channel++) {
        int32_t bias = biases[channel], multiplier = multipliers[channel], shift = shifts[channel];
        MICO_ORDER(bias);
        MICO_ORDER(multiplier);
        MICO_ORDER(shift);
        int32_t r[MICO_WIDE], more[MICO_WIDE];
        MICO_EACH(r[i] = (int32_t)d[stride * channel + i]) /* all loads before the first use */
        const int32_t factor = multiplier & ~31, left = multiplier & 31;
        int32_t round = (int32_t)((uint32_t)low << shift), one = 1 << (shift - 1);
        MICO_EACH(r[i] = (int32_t)((uint32_t)bias + (uint32_t)r[i]))
        MICO_EACH(r[i] = (int32_t)((uint32_t)r[i] << left))
        MICO_EACH(r[i] = (int32_t)((int64_t)r[i] * factor >> 32))
        round = one - round; /* r counts from low on */
        MICO_EACH(r[i] += round)
        MICO_EACH(r[i] >>= shift)
        MICO_POSITIVE
        MICO_EACH(r[i] = high - low - r[i])
        MICO_POSITIVE
        MICO_EACH(r[i] = high - r[i])
        MICO_EACH(r[i] |= sign)
        if (wide) {
            int32_t *at = (int32_t *)(void *)to + channel; /* aligned: buffers are, and so is the caller's int32_t */
            at[0] = r[0];
            at[step] = r[1];
            at[2 * step] = r[2];
            at[3 * step] = r[3];
        } else {
            uint8_t *at = to + channel;
            at[0] = (uint8_t)r[0];
            at[step] = (uint8_t)r[1];
            at += 2 * step;
            at[0] = (uint8_t)r[2];
            at[step] = (uint8_t)r[3];
        }
    }
}

/* Accumulators d of four channels from c on at one position to the output, y (out_c,). */
MICO_INLINE void mico_store_row(const mico_conv2d_tiled_t *p, int32_t c, const uint32_t *d, uint8_t *y)
{
    const int32_t low = p->output.min, high = p->output.max, sign = p->output.sign;
    const int32_t *bias = p->weights.bias + c, *multiplier = p->weights.multiplier + c;
    const uint8_t *shift = p->weights.shift + c;
    int32_t r[MICO_NARROW], more[MICO_NARROW], t[MICO_NARROW], round[MICO_NARROW], m[MICO_NARROW];

    MICO_EACH(r[i] = bias[i])
    MICO_EACH(m[i] = multiplier[i])
    MICO_EACH(r[i] = (int32_t)((uint32_t)r[i] + d[i]))
    MICO_EACH(t[i] = shift[i])
    MICO_EACH(r[i] = (int32_t)((uint32_t)r[i] << (m[i] & 31)))
    MICO_EACH(round[i] = (1 << (t[i] - 1)) - (int32_t)((uint32_t)low << t[i]))
    MICO_EACH(r[i] = (int32_t)((int64_t)r[i] * (m[i] & ~31) >> 32))
    MICO_EACH(r[i] += round[i])
    MICO_EACH(r[i] >>= t[i])
    MICO_POSITIVE
    MICO_EACH(r[i] = high - low - r[i])
    MICO_POSITIVE
    MICO_EACH(r[i] = (high - r[i]) | sign)
    if (p->output.type == MICO_S32) {
        int32_t *to = (int32_t *)(void *)y + c;
        for (int32_t i = 0; i < MICO_NARROW; i++)
            to[i] = r[i];
    } else {
        for (int32_t i = 0; i < MICO_NARROW; i++)
            y[c + i] = (uint8_t)r[i];
    }
}

/* Copy n bytes. */
MICO_INLINE void mico_copy(uint8_t *to, const uint8_t *from, int32_t n)
{
    for (; n >= 4; n -= 4, to += 4, from += 4) { /* four loads, then four stores: no waiting in between */
        const uint8_t a = from[0], b = from[1], c = from[2], d = from[3];
        to[0] = a;
        to[1] = b;
        to[2] = c;
        to[3] = d;
        MICO_ORDER(n); /* a short loop: not to be unrolled or taken for a vector's */
    }
    if (n >= 2) {
        const uint8_t a = from[0], b = from[1];
        to[0] = a;
        to[1] = b;
        to += 2;
        from += 2;
    }
    if (n & 1)
        *to = *from;
}

/* The taps under the output whose first tap is at (iy, ix), zeros outside the input, as bytes; no dilation. */
MICO_INLINE void mico_gather(const mico_conv2d_tiled_t *p, const uint8_t *x, int32_t iy, int32_t ix, uint32_t *row)
{
    const int32_t depth = p->in_c, width = p->in_w * depth, run = p->kernel_w * depth;
    const int32_t begin = ix * depth;
    int32_t ky = 0, rows = p->kernel_h, inside = run;
    uint8_t *to = (uint8_t *)row;
    const uint8_t *from = x + iy * width + begin;

    if (((iy | ix) < 0) | (iy + rows > p->in_h) | (begin + run > width)) { /* some taps are outside: they stay zero */
        for (int32_t i = 0; i < p->weights.taps; i += 4) {
            row[i / 4] = 0;
            MICO_ORDER(i);
        }
        if (iy < 0)
            ky = -iy;
        if (iy + rows > p->in_h)
            rows = p->in_h - iy;
        if (begin + run > width)
            inside = width - begin;
        from += ky * width;
        to += ky * run;
        if (ix < 0) {
            inside += begin;
            from -= begin;
            to -= begin;
        }
        if (inside <= 0)
            return;
    }
    for (; ky < rows; ky++, from += width, to += run)
        mico_copy(to, from, inside);
}

/* The same with dilation. */
void mico_gather_dilated(const mico_conv2d_tiled_t *p, const uint8_t *x, int32_t iy, int32_t ix, uint32_t *row);

/* Zeros beyond the taps of a gathered row. */
MICO_INLINE void mico_clear(const mico_conv2d_tiled_t *p, uint32_t *row)
{
    for (int32_t i = p->weights.taps / 4; i < p->code_words; i++)
        row[i] = 0;
}

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

/* Halves of words, tap by tap the positions; of one position bytes. */
MICO_INLINE uint32_t mico_pack_halves(const uint32_t *codes, int32_t words, int32_t positions, void *patch)
{
    const uint32_t *end = codes + words;
    uint32_t sum = 0;

    if (positions == 1) {
        uint32_t *to = patch;
        for (; codes != end; codes++) {
            const uint32_t word = *codes;
            *to++ = word;
            const uint32_t pairs = (word & 0x00ff00ffu) + (word >> 8 & 0x00ff00ffu);
            sum += (pairs & 0xffffu) + (pairs >> 16);
        }
        return sum;
    }
    const uint32_t mask = 0x00ff00ffu;
    uint16_t *to = patch;
    while (codes != end) {
        const uint32_t *stop = end - codes > 64 ? codes + 64 : end;
        uint32_t lanes = 0; /* 64 times two codes fit */
        for (; codes != stop; codes++, to += 4 * positions) {
            uint32_t even = *codes, odd = even >> 8, high, higher;
            MICO_ORDER(odd);
            even &= mask;
            odd &= mask;
            high = even >> 16;
            MICO_ORDER(high);
            higher = odd >> 16;
            MICO_ORDER(higher);
            lanes += even;
            lanes += odd;
            to[0] = (uint16_t)even;
            to[positions] = (uint16_t)odd;
            to[2 * positions] = (uint16_t)high;
            to[3 * positions] = (uint16_t)higher;
        }
        sum += (lanes & 0xffffu) + (lanes >> 16);
    }
    return sum;
}

/* Less than four positions: one after another, four output channels at a time. */
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

/* Tiles of s.positions; without s.wide_channels, which are four, two output channels at a time. */
MICO_INLINE void mico_conv2d_wide(const mico_conv2d_tiled_t *p, const void *x, void *y, uint32_t *scratch,
                                  const mico_scheme s)
{
    const int32_t row_words = p->weights.row_words;
    const int32_t size = p->out_h * p->out_w;
    const int32_t element = p->output.type == MICO_S32 ? 4 : 1;
    const int32_t last = (p->out_w - 1) * p->stride_w - p->pad_w; /* column of the last output's first tap */
    uint32_t *const patch = scratch + p->code_words;
    int32_t iy = -p->pad_h, ix = -p->pad_w;

    mico_clear(p, scratch);
    for (int32_t begin = 0; begin < size; begin += s.positions) {
        uint32_t terms[MICO_MOST];
        const int32_t first = begin + s.positions > size ? size - s.positions : begin;
        uint8_t *const to = (uint8_t *)y + first * p->out_c * element;

        if (first != begin) { /* the last tile overlaps the one before */
            iy = first / p->out_w * p->stride_h - p->pad_h;
            ix = first % p->out_w * p->stride_w - p->pad_w;
        }
        for (int32_t t = 0; t < s.positions; t++) {
            terms[t] = -mico_prepare(p, x, iy, ix, scratch, (uint8_t *)patch + s.stride * t, s.positions, s);
            if (ix == last) {
                ix = -p->pad_w;
                iy += p->stride_h;
            } else {
                ix += p->stride_w;
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

/* Defines mico_conv2d_<name> of a mico_scheme's members. */
#define MICO_CONV2D(name, ...)                                                                                         \
    static __attribute__((noinline)) void narrow_conv2d_##name(const mico_conv2d_tiled_t *p, const void *x, void *y,   \
                                                               uint32_t *scratch)                                      \
    {                                                                                                                  \
        const mico_scheme scheme = {__VA_ARGS__};                                                                      \
        mico_conv2d_narrow(p, x, y, scratch, scheme);                                                                  \
    }                                                                                                                  \
    void mico_conv2d_##name(const mico_conv2d_tiled_t *p, const void *x, void *y, uint32_t *scratch)                   \
    {                                                                                                                  \
        const mico_scheme scheme = {__VA_ARGS__};                                                                      \
        if (p->out_h * p->out_w < scheme.positions)                                                                         \
            narrow_conv2d_##name(p, x, y, scratch);                                                                    \
        else                                                                                                           \
            mico_conv2d_wide(p, x, y, scratch, scheme);                                                                \
    }

#endif
