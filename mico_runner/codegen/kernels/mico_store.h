/* Accumulators of a tile, requantised, to the output. */
#ifndef MICO_STORE_H
#define MICO_STORE_H

#include "mico_conv2d_tiled.h"
#include "mico_requantise.h"

enum {
    MICO_WIDE = 4,  /* positions of the wide tile, which has two output channels */
    MICO_MOST = 8,  /* of a micro-kernel with a tile of its own */
    MICO_NARROW = 4 /* output channels of the narrow tile, which has one position */
};

/* Accumulators d[channel * stride + position] of channels c and c + 1 at four positions to the output, y (4, out_c). */
MICO_INLINE void mico_store_pair(const mico_conv2d_tiled_t *p, int32_t c, const uint32_t *d, const int stride, uint8_t *y)
{
    const int32_t *biases = p->weights.bias, *multipliers = p->weights.multiplier;
    const uint8_t *shifts = p->weights.shift;
    const int32_t low = p->output.min, span = p->output.max - low, rounding = p->rounding, step = p->size.out_c;
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
        int32_t r[MICO_WIDE];
        MICO_EACH(r[i] = (int32_t)d[stride * channel + i]) /* all loads before the first use */
        mico_requantise(r, bias, multiplier, shift, rounding, low, span);
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
    const int32_t low = p->output.min, span = p->output.max - low, rounding = p->rounding;
    const int32_t *bias = p->weights.bias + c, *multiplier = p->weights.multiplier + c;
    const uint8_t *shift = p->weights.shift + c;
    int32_t r[MICO_NARROW], t[MICO_NARROW], from[MICO_NARROW], m[MICO_NARROW];

    MICO_EACH(r[i] = bias[i])
    MICO_EACH(m[i] = multiplier[i])
    MICO_EACH(r[i] = (int32_t)((uint32_t)r[i] + d[i]))
    MICO_EACH(t[i] = shift[i])
    MICO_EACH(r[i] = (int32_t)((uint32_t)r[i] << (m[i] & 31)))
    MICO_EACH(from[i] = (rounding << (t[i] - 1)) - 1)
    MICO_EACH(r[i] = (int32_t)((int64_t)r[i] * (m[i] & ~31) >> 32))
    MICO_EACH(r[i] = from[i] - r[i])
    MICO_EACH(r[i] >>= t[i])
    mico_between(r, low, span);
    if (p->output.type == MICO_S32) {
        int32_t *to = (int32_t *)(void *)y + c;
        for (int32_t i = 0; i < MICO_NARROW; i++)
            to[i] = r[i];
    } else {
        for (int32_t i = 0; i < MICO_NARROW; i++)
            y[c + i] = (uint8_t)r[i];
    }
}

#endif
