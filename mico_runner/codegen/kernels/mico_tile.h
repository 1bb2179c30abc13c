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
#else
#define MICO_ORDER(value) ((void)0)
#endif

#define MICO_INLINE static inline __attribute__((always_inline))

enum {
    MICO_WIDE = 4,  /* positions of the wide tile, which has two output channels */
    MICO_NARROW = 4 /* output channels of the narrow tile, which has one position */
};

/* From codes as bytes to the words of a patch. Words of `positions` patches alternate; `patch` points to the first of this one.
 * codes: uint32_t (words,), four codes each. Returns S. */
typedef uint32_t mico_pack(const uint32_t *codes, int32_t words, int32_t positions, uint32_t *patch);

/* d[output][position] = D of consecutive rows of weights, uint32_t (row_words,) each, with the patches. */
typedef void mico_tile(const uint32_t *patch, const uint32_t *rows, int32_t row_words, uint32_t *d);

typedef struct {
    int32_t taps;           /* weights per word */
    int32_t half;           /* 1: signed bits, -1 and +1, are the codes 0 and 1 */
    uint32_t scale, offset; /* sw and ow, times sx */
    mico_pack *pack;
    mico_tile *wide, *narrow;
} mico_scheme;

/* mico_rescale in a call. */
int32_t mico_rescale_any(int32_t acc, int32_t multiplier, int32_t shift, const mico_range *out);

/* One accumulator of channel c to the output y (out_c,). */
MICO_INLINE void mico_store_one(const mico_conv2d_tiled_t *p, int32_t c, uint32_t acc, uint8_t *y)
{
    const int32_t r =
        mico_rescale_any((int32_t)acc, p->weights.multiplier[c], p->weights.shift[c], &p->output);
    if (p->output.type == MICO_S32)
        ((int32_t *)(void *)y)[c] = r;
    else
        y[c] = (uint8_t)r;
}

/* Accumulators d of channel c at four positions to the output, y (4, out_c). The multiplier is below 2^22, so that 9 more bits
 * fit, and from a shift of 24 on the shift is of the product's high word alone: the same integers as mico_rescale gives. */
MICO_INLINE void mico_store_four(const mico_conv2d_tiled_t *p, int32_t c, uint32_t scale, const uint32_t *d,
                                 const uint32_t *terms, uint8_t *y)
{
    const uint32_t bias = (uint32_t)p->weights.bias[c];
    const int32_t shift = p->weights.shift[c] - 23, step = p->out_c;
    const int32_t multiplier = p->weights.multiplier[c] << 9;
    const uint32_t a0 = bias + scale * d[0] - terms[0], a1 = bias + scale * d[1] - terms[1];
    const uint32_t a2 = bias + scale * d[2] - terms[2], a3 = bias + scale * d[3] - terms[3];

    if (shift <= 0 || p->output.sign) {
        const int32_t bytes = p->output.type == MICO_S32 ? 4 * step : step;
        mico_store_one(p, c, a0, y);
        mico_store_one(p, c, a1, y + bytes);
        mico_store_one(p, c, a2, y + 2 * bytes);
        mico_store_one(p, c, a3, y + 3 * bytes);
        return;
    }
    const int32_t round = 1 << (shift - 1), low = p->output.min;
    const uint32_t span = (uint32_t)p->output.max - (uint32_t)low;
    int32_t r0 = mico_high_word(a0, multiplier);
    MICO_ORDER(r0);
    int32_t r1 = mico_high_word(a1, multiplier);
    MICO_ORDER(r1);
    int32_t r2 = mico_high_word(a2, multiplier);
    MICO_ORDER(r2);
    int32_t r3 = mico_high_word(a3, multiplier);
    MICO_ORDER(r3);
    r0 += round;
    MICO_ORDER(r0);
    r1 += round;
    MICO_ORDER(r1);
    r2 += round;
    MICO_ORDER(r2);
    r3 += round;
    MICO_ORDER(r3);
    r0 >>= shift;
    MICO_ORDER(r0);
    r1 >>= shift;
    MICO_ORDER(r1);
    r2 >>= shift;
    MICO_ORDER(r2);
    r3 >>= shift;
    MICO_ORDER(r3);
    r0 = mico_clamp(r0, low, span);
    r1 = mico_clamp(r1, low, span);
    r2 = mico_clamp(r2, low, span);
    r3 = mico_clamp(r3, low, span);
    if (p->output.type == MICO_S32) {
        int32_t *to = (int32_t *)(void *)y + c; /* aligned: the arena's buffers are, and so is the caller's int32_t */
        to[0] = r0;
        to[step] = r1;
        to[2 * step] = r2;
        to[3 * step] = r3;
    } else {
        uint8_t *to = y + c;
        to[0] = (uint8_t)r0;
        to += step;
        to[0] = (uint8_t)r1;
        to[step] = (uint8_t)r2;
        to += step;
        to[step] = (uint8_t)r3;
    }
}

/* Copy n bytes, words where the addresses allow. Returns the end of the target. */
MICO_INLINE uint8_t *mico_copy(uint8_t *to, const uint8_t *from, int32_t n)
{
    if ((((uintptr_t)to | (uintptr_t)from) & 3u) == 0u) {
        for (; n >= 4; n -= 4, to += 4, from += 4) {
            *(uint32_t *)(void *)to = *(const uint32_t *)(const void *)from;
            MICO_ORDER(n); /* a short loop: not to be unrolled or taken for a vector's */
        }
    }
    for (; n >= 4; n -= 4, to += 4, from += 4) { /* four loads, then four stores: no waiting in between */
        const uint8_t a = from[0], b = from[1], c = from[2], d = from[3];
        to[0] = a;
        to[1] = b;
        to[2] = c;
        to[3] = d;
        MICO_ORDER(n);
    }
    for (; n > 0; n--) {
        *to++ = *from++;
        MICO_ORDER(n);
    }
    return to;
}

MICO_INLINE uint8_t *mico_zeros(uint8_t *to, int32_t n)
{
    for (; n > 0; n--) {
        *to++ = 0;
        MICO_ORDER(n);
    }
    return to;
}

/* The taps under the output at (oy, ox), zeros outside the input, as bytes. */
MICO_INLINE void mico_gather(const mico_conv2d_tiled_t *p, const uint8_t *x, int32_t oy, int32_t ox, uint32_t *row)
{
    uint8_t *to = (uint8_t *)row;
    const int32_t depth = p->in_c, width = p->in_w * depth, height = p->in_h;
    const int32_t run = p->kernel_w * depth, step = p->dilation_h;
    const int32_t left = (ox * p->stride_w - p->pad_w) * depth; /* bytes from the row's begin to the first tap */
    int32_t iy = oy * p->stride_h - p->pad_h;

    if (p->dilation_w != 1) {
        const int32_t step_w = p->dilation_w * depth;
        for (int32_t ky = 0; ky < p->kernel_h; ky++, iy += step) {
            const uint8_t *from = x + iy * width;
            const int outside = iy < 0 || iy >= height;
            for (int32_t kx = 0, at = left; kx < p->kernel_w; kx++, at += step_w)
                to = outside || at < 0 || at >= width ? mico_zeros(to, depth) : mico_copy(to, from + at, depth);
        }
        return;
    }
    const int32_t before = left < 0 ? -left < run ? -left : run : 0; /* bytes of the run left of the image */
    const int32_t over = left + run - width;
    const int32_t after = over <= 0 ? 0 : over < run - before ? over : run - before;
    const int32_t inside = run - before - after;
    const uint8_t *from = x + iy * width + left + before;
    for (int32_t ky = p->kernel_h; ky > 0; ky--, iy += step, from += step * width) {
        if (iy < 0 || iy >= height) {
            to = mico_zeros(to, run);
            continue;
        }
        to = mico_zeros(to, before);
        to = mico_copy(to, from, inside);
        to = mico_zeros(to, after);
    }
}

/* The patch of one position: gathered, as codes, packed. Returns ow * S. */
MICO_INLINE uint32_t mico_prepare(const mico_conv2d_tiled_t *p, const uint8_t *x, int32_t oy, int32_t ox, uint32_t *row,
                                  uint32_t *patch, int32_t positions, const mico_scheme s)
{
    const int32_t code_words = p->weights.row_words * (s.taps / 4); /* with the last word's padding */
    const uint32_t *codes = row;

    if (p->in_place && ((uintptr_t)x & 3u) == 0u) { /* the caller's buffer need not be aligned */
        codes = (const uint32_t *)(const void *)(x + (oy * p->stride_h * p->in_w + ox * p->stride_w) * p->in_c);
    } else {
        for (int32_t i = p->weights.taps / 4; i < code_words; i++) {
            row[i] = 0; /* the padding, which is not gathered */
            MICO_ORDER(i);
        }
        mico_gather(p, x, oy, ox, row);
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

/* Less than four positions: one after another, four output channels at a time. */
MICO_INLINE void mico_conv2d_narrow(const mico_conv2d_tiled_t *p, const void *x, void *y, uint32_t *scratch,
                                    const mico_scheme s)
{
    const int32_t row_words = p->weights.row_words;
    uint32_t *const patch = scratch + row_words * (s.taps / 4);
    uint8_t *to = y;

    for (int32_t oy = 0; oy < p->out_h; oy++) {
        for (int32_t ox = 0; ox < p->out_w; ox++, to += p->out_c * (p->output.type == MICO_S32 ? 4 : 1)) {
            const uint32_t term = mico_prepare(p, x, oy, ox, scratch, patch, 1, s);
            for (int32_t o = 0; o < p->out_c; o += MICO_NARROW) {
                /* The last tile may overlap the one before: it writes the same values once more. */
                const int32_t c = o + MICO_NARROW > p->out_c ? p->out_c - MICO_NARROW : o;
                uint32_t d[MICO_NARROW];
                s.narrow(patch, p->weights.words + c * row_words, row_words, d);
                for (int32_t i = 0; i < MICO_NARROW; i++)
                    mico_store_one(p, c + i, (uint32_t)p->weights.bias[c + i] + s.scale * d[i] - term, to);
            }
        }
    }
}

/* Four positions and two output channels at a time. */
MICO_INLINE void mico_conv2d_wide(const mico_conv2d_tiled_t *p, const void *x, void *y, uint32_t *scratch,
                                  const mico_scheme s)
{
    const int32_t row_words = p->weights.row_words;
    const int32_t size = p->out_h * p->out_w;
    const int32_t element = p->output.type == MICO_S32 ? 4 : 1;
    uint32_t *const patch = scratch + row_words * (s.taps / 4);
    int32_t oy = 0, ox = 0;

    for (int32_t begin = 0; begin < size; begin += MICO_WIDE) {
        uint32_t terms[MICO_WIDE], d[2 * MICO_WIDE];
        const int32_t first = begin + MICO_WIDE > size ? size - MICO_WIDE : begin;
        uint8_t *const to = (uint8_t *)y + first * p->out_c * element;

        if (first != begin) {
            oy = first / p->out_w;
            ox = first % p->out_w;
        }
        for (int32_t t = 0; t < MICO_WIDE; t++) {
            terms[t] = mico_prepare(p, x, oy, ox, scratch, patch + t, MICO_WIDE, s);
            if (++ox == p->out_w) {
                ox = 0;
                oy++;
            }
        }
        for (int32_t o = 0; o < p->out_c; o += 2) {
            const int32_t c = o + 2 > p->out_c ? p->out_c - 2 : o;
            s.wide(patch, p->weights.words + c * row_words, row_words, d);
            for (int32_t i = 0; i < 2; i++)
                mico_store_four(p, c + i, s.scale, d + MICO_WIDE * i, terms, to);
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
        if (p->out_h * p->out_w < MICO_WIDE)                                                                           \
            narrow_conv2d_##name(p, x, y, scratch);                                                                    \
        else                                                                                                           \
            mico_conv2d_wide(p, x, y, scratch, scheme);                                                                \
    }

#endif
