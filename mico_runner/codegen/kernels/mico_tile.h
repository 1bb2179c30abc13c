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
    uint32_t scale, offset; /* sw, ow */
    mico_pack *pack;
    mico_tile *wide, *narrow;
} mico_scheme;

/* The taps under the output at (oy, ox), zeros outside the input, as bytes. */
void mico_gather(const mico_conv2d_tiled_t *p, const uint8_t *x, int32_t oy, int32_t ox, uint32_t *row);

/* mico_rescale, for where it is rare. */
int32_t mico_rescale_any(int32_t acc, int32_t multiplier, int32_t shift, const mico_range *out);

/* An accumulator as an integer of the output. multiplier < 2^22, so that 9 more bits fit, and from a shift of 24 on the shift is
 * of the product's high word alone: the same integer as mico_rescale gives. */
MICO_INLINE int32_t mico_requantise(uint32_t acc, int32_t multiplier, int32_t shift, const mico_range *out)
{
    if (shift < 24 || out->sign)
        return mico_rescale_any((int32_t)acc, multiplier, shift, out);
    const int32_t high = (int32_t)((int64_t)(int32_t)acc * (multiplier << 9) >> 32);
    int32_t r = (high + (1 << (shift - 24))) >> (shift - 23);
    r = r < out->min ? out->min : r;
    return r > out->max ? out->max : r;
}

/* Accumulators d (positions,) of channel c to the output, at y (positions, out_c). */
MICO_INLINE void mico_store_tile(const mico_conv2d_tiled_t *p, int32_t c, int32_t positions, uint32_t scale,
                                 const uint32_t *d, const uint32_t *terms, uint8_t *y)
{
    const uint32_t bias = (uint32_t)p->weights.bias[c];
    const int32_t multiplier = p->weights.multiplier[c], shift = p->weights.shift[c], step = p->out_c;
    int32_t r[MICO_WIDE];

    for (int32_t t = 0; t < positions; t++)
        r[t] = mico_requantise(bias + scale * d[t] - terms[t], multiplier, shift, &p->output);
    for (int32_t t = 0; t < positions; t++) {
        if (p->output.type == MICO_S32)
            mico_store(y, t * step + c, MICO_S32, r[t]);
        else
            y[t * step + c] = (uint8_t)r[t];
    }
}

MICO_INLINE void mico_conv2d_run(const mico_conv2d_tiled_t *p, const void *x, void *y, uint32_t *scratch,
                                 const mico_scheme s)
{
    const int32_t row_words = p->weights.row_words;
    const int32_t code_words = row_words * (s.taps / 4); /* of one patch as bytes, with the last word's padding */
    const int32_t size = p->out_h * p->out_w;
    const int32_t positions = size >= MICO_WIDE ? MICO_WIDE : 1;
    const int32_t element = p->output.type == MICO_S32 ? 4 : 1;
    uint32_t *const row = scratch, *const patch = scratch + code_words;
    /* A patch that lies in x in one piece, in whole words, is not copied. */
    const int in_place = p->kernel_h * p->kernel_w == 1 && p->pad_h + p->pad_w == 0 && p->in_c == code_words * 4 &&
                         ((uintptr_t)x & 3u) == 0u;
    const uint32_t scale = s.scale << p->half, offset = s.offset << p->half;

    for (int32_t begin = 0; begin < size; begin += positions) {
        /* The last tile may overlap the one before: it writes the same values once more. */
        const int32_t first = begin + positions > size ? size - positions : begin;
        uint32_t terms[MICO_WIDE], d[2 * MICO_WIDE];
        uint8_t *const to = (uint8_t *)y + first * p->out_c * element;

        for (int32_t t = 0; t < positions; t++) {
            const int32_t oy = (first + t) / p->out_w, ox = (first + t) % p->out_w;
            const uint32_t *codes = row;
            if (in_place) {
                codes = (const uint32_t *)x + (oy * p->stride_h * p->in_w + ox * p->stride_w) * code_words;
            } else {
                for (int32_t i = p->weights.taps / 4; i < code_words; i++)
                    row[i] = 0; /* the padding, which is not gathered */
                mico_gather(p, x, oy, ox, row);
            }
            if (p->flip != 0u) {
                for (int32_t i = 0; i < code_words; i++) {
                    const uint32_t flipped = (codes[i] ^ p->flip) - p->less;
                    row[i] = p->half ? flipped >> 1 & 0x01010101u : flipped;
                }
                codes = row;
            }
            terms[t] = offset * s.pack(codes, code_words, positions, patch + t);
        }
        if (positions == 1) {
            for (int32_t o = 0; o < p->out_c; o += MICO_NARROW) {
                const int32_t c = o + MICO_NARROW > p->out_c ? p->out_c - MICO_NARROW : o;
                s.narrow(patch, p->weights.words + c * row_words, row_words, d);
                for (int32_t i = 0; i < MICO_NARROW; i++)
                    mico_store_tile(p, c + i, 1, scale, d + i, terms, to);
            }
            continue;
        }
        for (int32_t o = 0; o < p->out_c; o += 2) {
            const int32_t c = o + 2 > p->out_c ? p->out_c - 2 : o;
            s.wide(patch, p->weights.words + c * row_words, row_words, d);
            for (int32_t i = 0; i < 2; i++)
                mico_store_tile(p, c + i, MICO_WIDE, scale, d + MICO_WIDE * i, terms, to);
        }
    }
}

/* Defines mico_conv2d_<name> of a mico_scheme's members. */
#define MICO_CONV2D(name, ...)                                                                                         \
    void mico_conv2d_##name(const mico_conv2d_tiled_t *p, const void *x, void *y, uint32_t *scratch)                   \
    {                                                                                                                  \
        const mico_scheme scheme = {__VA_ARGS__};                                                                      \
        mico_conv2d_run(p, x, y, scratch, scheme);                                                                     \
    }

#endif
