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

/* Words and half words of bytes. */
typedef uint32_t __attribute__((may_alias)) mico_word;
typedef uint16_t __attribute__((may_alias)) mico_half;

enum {
    MICO_WIDE = 4,  /* positions of the wide tile, which has two output channels */
    MICO_MOST = 8,  /* of a scheme with a tile of its own */
    MICO_NARROW = 4 /* output channels of the narrow tile, which has one position */
};

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

/* Requantisation in constant time: r = (acc * m + 2^(s-1)) >> s of mico_rescale, within low .. high, from the high word h of one
 * product and without a branch, so that cycles do not depend on the data. Of a tiled layer (codegen/tiling.py) the multiplier is
 * M = m << e, whose low five bits are zero and hold k instead, so that acc << k fits; the shift is t = e + k + s - 32 >= 1. Then
 * high - r = (((2 * high + 1) << (t - 1)) - 1 - h) >> t: what is below 0 becomes 0, then the same of span minus it.
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
    const int32_t low = p->output.min, span = p->output.max - low, middle = p->middle, step = p->out_c;
    const int32_t wide = p->output.type == MICO_S32;
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
        const int32_t factor = multiplier & ~31, from = (middle << (shift - 1)) - 1;
        MICO_EACH(r[i] = (int32_t)((uint32_t)bias + (uint32_t)r[i]))
        MICO_EACH(r[i] = (int32_t)((uint32_t)r[i] << (multiplier & 31)))
        MICO_EACH(r[i] = (int32_t)((int64_t)r[i] * factor >> 32))
        MICO_EACH(r[i] = from - r[i])
        MICO_EACH(r[i] >>= shift)
        MICO_POSITIVE
        MICO_EACH(r[i] = span - r[i])
        MICO_POSITIVE
        MICO_EACH(r[i] += low)
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
    const int32_t low = p->output.min, span = p->output.max - low, middle = p->middle;
    const int32_t *bias = p->weights.bias + c, *multiplier = p->weights.multiplier + c;
    const uint8_t *shift = p->weights.shift + c;
    int32_t r[MICO_NARROW], more[MICO_NARROW], t[MICO_NARROW], from[MICO_NARROW], m[MICO_NARROW];

    MICO_EACH(r[i] = bias[i])
    MICO_EACH(m[i] = multiplier[i])
    MICO_EACH(r[i] = (int32_t)((uint32_t)r[i] + d[i]))
    MICO_EACH(t[i] = shift[i])
    MICO_EACH(r[i] = (int32_t)((uint32_t)r[i] << (m[i] & 31)))
    MICO_EACH(from[i] = (middle << (t[i] - 1)) - 1)
    MICO_EACH(r[i] = (int32_t)((int64_t)r[i] * (m[i] & ~31) >> 32))
    MICO_EACH(r[i] = from[i] - r[i])
    MICO_EACH(r[i] >>= t[i])
    MICO_POSITIVE
    MICO_EACH(r[i] = span - r[i])
    MICO_POSITIVE
    MICO_EACH(r[i] += low)
    if (p->output.type == MICO_S32) {
        int32_t *to = (int32_t *)(void *)y + c;
        for (int32_t i = 0; i < MICO_NARROW; i++)
            to[i] = r[i];
    } else {
        for (int32_t i = 0; i < MICO_NARROW; i++)
            y[c + i] = (uint8_t)r[i];
    }
}

/* Copy n bytes, in pieces of `size` bytes at most, of which n and the addresses are multiples. */
MICO_INLINE void mico_copy(uint8_t *to, const uint8_t *from, int32_t n, const int size)
{
#define MICO_MOVE(type)                                                                                                \
    {                                                                                                                  \
        type *t = (type *)(void *)to;                                                                                  \
        const type *f = (const type *)(const void *)from;                                                              \
        for (n /= (int32_t)sizeof(type); n >= 4; n -= 4, t += 4, f += 4) { /* four loads, then four stores: no waiting */ \
            const type a = f[0], b = f[1], c = f[2], d = f[3];                                                         \
            t[0] = a;                                                                                                  \
            t[1] = b;                                                                                                  \
            t[2] = c;                                                                                                  \
            t[3] = d;                                                                                                  \
            MICO_ORDER(n); /* a short loop: not to be unrolled or taken for a vector's */                              \
        }                                                                                                              \
        if (n >= 2) {                                                                                                  \
            const type a = f[0], b = f[1];                                                                             \
            t[0] = a;                                                                                                  \
            t[1] = b;                                                                                                  \
            t += 2;                                                                                                    \
            f += 2;                                                                                                    \
        }                                                                                                              \
        if (n & 1)                                                                                                     \
            *t = *f;                                                                                                   \
    }
    if (size == 4)
        MICO_MOVE(mico_word)
    else if (size == 2)
        MICO_MOVE(mico_half)
    else
        MICO_MOVE(uint8_t)
#undef MICO_MOVE
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
    const uintptr_t odd = (uintptr_t)x | (uintptr_t)depth; /* all lengths are multiples of the depth */
    if ((odd & 3u) == 0u) {
        for (; ky < rows; ky++, from += width, to += run)
            mico_copy(to, from, inside, 4);
    } else if ((odd & 1u) == 0u) {
        for (; ky < rows; ky++, from += width, to += run)
            mico_copy(to, from, inside, 2);
    } else {
        for (; ky < rows; ky++, from += width, to += run)
            mico_copy(to, from, inside, 1);
    }
}

/* Zeros beyond the taps of four positions that are gathered together. */
MICO_INLINE void mico_clear_four(const mico_conv2d_tiled_t *p, uint32_t *taps)
{
    for (int32_t i = p->weights.taps; i < 4 * p->code_words + 4; i++) {
        taps[i] = 0;
        MICO_ORDER(i);
    }
}

/* The taps under four outputs side by side, from the one whose first tap is at (iy, ix) on, as codes: uint32_t (taps,), a byte of each
 * output. What neighbours share is loaded once at a stride of one. `line`: scratch for the bytes under the outputs in one row. */
MICO_INLINE void mico_gather_four(const mico_conv2d_tiled_t *p, const uint8_t *x, int32_t iy, int32_t ix, uint32_t *taps, uint8_t *line,
                                  const int half)
{
    const int32_t depth = p->in_c, width = p->in_w * depth, run = p->kernel_w * depth, step = p->stride_w * depth;
    const int32_t reach = 3 * step + run, begin = ix * depth, alone = p->stride_w == 1 ? depth : run;
    const int32_t left = begin < 0 ? -begin : 0, right = begin + reach > width ? width - begin : reach;
    const uint8_t *row = x + iy * width + begin;
    uint32_t *to = taps;

    const int whole = right - left == reach;

    for (int32_t i = whole ? reach : 0; i < reach; i++) {
        line[i] = 0;
        MICO_ORDER(i); /* short loops: not to be unrolled */
    }
    for (int32_t ky = 0; ky < p->kernel_h; ky++, iy++, row += width) {
        const uint8_t *a = row;
        uint32_t *const end = to + run, *const shared = to + alone;
        if (iy < 0 || iy >= p->in_h) {
            for (; to != end; to++) {
                *to = 0;
                MICO_ORDER(to);
            }
            continue;
        }
        if (!whole) {
            mico_copy(line + left, row + left, right - left, 1);
            a = line;
        }
        const uint8_t *b = a + step, *c = b + step, *d = c + step;
        for (; to != shared; to++) {
            uint32_t w0 = *a++, w1 = *b++, w2 = *c++, w3 = *d++;
            MICO_ORDER(w3);
            w1 <<= 8;
            MICO_ORDER(w1);
            w2 <<= 16;
            MICO_ORDER(w2);
            w3 <<= 24;
            MICO_ORDER(w3);
            *to = w0 | w1 | w2 | w3;
        }
        const uint32_t *before = to - depth;
        uint32_t old = before[0], next;
        if (depth == 1) { /* what was written last is not loaded again: the core would wait for it */
            for (; end - to >= 2; to += 2, d += 2) {
                uint32_t after = d[1];
                next = d[0];
                MICO_ORDER(after);
                old >>= 8;
                MICO_ORDER(old);
                next <<= 24;
                MICO_ORDER(next);
                after <<= 24;
                MICO_ORDER(after);
                old |= next;
                to[0] = old;
                old >>= 8;
                MICO_ORDER(old);
                old |= after;
                to[1] = old;
            }
        }
        for (; to != end; to++) {
            next = *d++;
            old = *before++;
            MICO_ORDER(old);
            next <<= 24;
            MICO_ORDER(next);
            *to = old >> 8 | next;
        }
    }
    if (p->flip != 0u) {
        mico_clear_four(p, taps);
        for (int32_t i = 0; i < 4 * p->code_words; i++) {
            const uint32_t flipped = (taps[i] ^ p->flip) - p->less;
            taps[i] = half ? flipped >> 1 & 0x01010101u : flipped;
            MICO_ORDER(i);
        }
    }
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

/* Four taps at four positions, uint32_t (4,), become four positions with four taps each. */
MICO_INLINE void mico_turn(const uint32_t *taps, uint32_t *to)
{
    const uint32_t mask = 0x00ff00ffu, low = 0xffffu;
    const uint32_t a = taps[0], b = taps[1], c = taps[2], d = taps[3];
    uint32_t b_up = (b & mask) << 8, d_up = (d & mask) << 8, a_down = a >> 8, c_down = c >> 8;
    const uint32_t even = (a & mask) | b_up, odd = (a_down & mask) | (b & ~mask);
    const uint32_t even_high = (c & mask) | d_up, odd_high = (c_down & mask) | (d & ~mask);

    to[0] = (even & low) | even_high << 16;
    to[1] = (odd & low) | odd_high << 16;
    to[2] = even >> 16 | (even_high & ~low);
    to[3] = odd >> 16 | (odd_high & ~low);
}

/* From sums of positions 0 and 2 in halves of a word, and of 1 and 3. */
MICO_INLINE void mico_sums(uint32_t even, uint32_t odd, uint32_t *sums)
{
    sums[0] = even & 0xffffu;
    sums[1] = odd & 0xffffu;
    sums[2] = even >> 16;
    sums[3] = odd >> 16;
}

/* Halves of words, tap by tap the positions. */
MICO_INLINE void mico_pack_halves_four(const uint32_t *taps, int32_t words, uint32_t *patch, uint32_t *sums)
{
    const uint32_t mask = 0x00ff00ffu, *const end = taps + 4 * words;
    uint32_t even = 0, odd = 0;

    for (; taps != end; taps += 2, patch += 4) {
        uint32_t a = taps[0], b = taps[1], c = a >> 8, d = b >> 8;
        MICO_ORDER(c);
        MICO_ORDER(d);
        a &= mask;
        b &= mask;
        c &= mask;
        d &= mask;
        uint32_t a_high = a >> 16, b_high = b >> 16, c_up = c << 16, d_up = d << 16;
        MICO_ORDER(a_high);
        MICO_ORDER(b_high);
        MICO_ORDER(c_up);
        MICO_ORDER(d_up);
        even += a + b;
        odd += c + d;
        patch[0] = (a & 0xffu) | c_up;
        patch[1] = a_high | (c & ~0xffffu);
        patch[2] = (b & 0xffu) | d_up;
        patch[3] = b_high | (d & ~0xffffu);
    }
    mico_sums(even, odd, sums);
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

/* Defines mico_conv2d_<name> of a mico_scheme's members. What a layer runs is one function, whose loops lie side by side. */
#define MICO_CONV2D(name, ...)                                                                                         \
    static __attribute__((noinline)) void narrow_conv2d_##name(const mico_conv2d_tiled_t *p, const void *x, void *y,   \
                                                               uint32_t *scratch)                                      \
    {                                                                                                                  \
        const mico_scheme scheme = {__VA_ARGS__};                                                                      \
        mico_conv2d_narrow(p, x, y, scratch, scheme);                                                                  \
    }                                                                                                                  \
    static __attribute__((noinline)) uint32_t prepare_##name(const mico_conv2d_tiled_t *p, const uint8_t *x,           \
                                                             int32_t iy, int32_t ix, uint32_t *row, void *patch)       \
    {                                                                                                                  \
        const mico_scheme scheme = {__VA_ARGS__};                                                                      \
        return mico_prepare(p, x, iy, ix, row, patch, scheme.positions, scheme);                                       \
    }                                                                                                                  \
    static __attribute__((noinline)) void four_conv2d_##name(const mico_conv2d_tiled_t *p, const void *x, void *y,     \
                                                             uint32_t *scratch)                                        \
    {                                                                                                                  \
        const mico_scheme scheme = {__VA_ARGS__};                                                                      \
        mico_conv2d_wide(p, x, y, scratch, scheme, prepare_##name);                                                    \
    }                                                                                                                  \
    void mico_conv2d_##name(const mico_conv2d_tiled_t *p, const void *x, void *y, uint32_t *scratch)                   \
    {                                                                                                                  \
        const mico_scheme scheme = {__VA_ARGS__};                                                                      \
        if (p->out_h * p->out_w < scheme.positions)                                                                    \
            narrow_conv2d_##name(p, x, y, scratch);                                                                    \
        else if (scheme.pack_four && p->four_words > 0)                                                                \
            four_conv2d_##name(p, x, y, scratch);                                                                      \
        else                                                                                                           \
            mico_conv2d_wide(p, x, y, scratch, scheme, 0);                                                             \
    }

#endif
