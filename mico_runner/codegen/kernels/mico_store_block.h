/* Accumulators of a block of up to two output channels x two positions, requantised, to the output. */
#ifndef MICO_STORE_BLOCK_H
#define MICO_STORE_BLOCK_H

#include "mico_conv2d_tiled.h"
#include "mico_dsp.h"

/* Sums of `rows` channels from c on at `positions` positions to the output, y (positions, out_c): mico_requantise.h, where what is below 0 is
 * cleared by one instruction. */
MICO_INLINE void mico_store_block(const mico_conv2d_tiled_t *p, int32_t c, const uint32_t *d, const int rows, const int positions, uint8_t *y)
{
    const int32_t low = p->output.min, span = p->output.max - low, rounding = p->rounding, step = p->size.out_c;
    const int32_t *const multipliers = p->weights.multiplier + c;
    const uint8_t *const shifts = p->weights.shift + c;
    int32_t r[4];

    for (int row = 0; row < rows; row++) {
        const int32_t multiplier = multipliers[row], shift = shifts[row];
        const int32_t left = multiplier & 31, factor = multiplier & ~31, from = (rounding << (shift - 1)) - 1;
        for (int t = 0; t < positions; t++) {
            const int32_t below = (from - mico_high_word(d[row * positions + t] << left, factor)) >> shift;
            r[row * positions + t] = low + mico_positive_part(span - mico_positive_part(below));
        }
    }
    if (p->output.type == MICO_S32) {
        int32_t *const to = (int32_t *)(void *)y + c; /* aligned: buffers are, and so is the caller's int32_t */
        for (int i = 0; i < rows * positions; i++)
            to[i % positions * step + i / positions] = r[i];
    } else {
        uint8_t *const to = y + c;
        for (int i = 0; i < rows * positions; i++)
            to[i % positions * step + i / positions] = (uint8_t)r[i];
    }
}

#endif
