/* Four taps of sixteen channels are brought together as words, which meet the words of the weights: one instruction multiplies and adds
 * them where the processor has it. Four positions side by side share each load of weights. */
#include "mico_depthwise_simd.h"

#include "mico_frame.h"
#include "mico_widen.h"

enum { POSITIONS = 4 };

/* Computes one block at `positions` outputs, whose first taps are at x, `next` bytes one from another. `groups`: of four taps. */
MICO_INLINE void outputs(const mico_scaling *s, const mico_range *out, const uint8_t *x, int32_t next, const int32_t *offsets,
                         const int32_t groups, const uint32_t *words, uint8_t *y, int32_t step, const int positions)
{
    mico_lanes_t sums[POSITIONS];

#pragma GCC unroll 4
    for (int t = 0; t < positions; t++)
        sums[t] = s->bias;
    for (int32_t g = 0; g < groups; g++, words += s->count, offsets += 4) {
        const mico_lanes_t w = mico_lanes_load(words, s->count);
        const uint8_t *a = x + offsets[0], *b = x + offsets[1], *c = x + offsets[2], *d = x + offsets[3];
#pragma GCC unroll 4
        for (int t = 0; t < positions; t++) {
            sums[t] = mico_lanes_dot(sums[t], mico_lanes_four(a, b, c, d), w);
            a += next;
            b += next;
            c += next;
            d += next;
        }
    }
    mico_lanes_store(s, out, sums, positions, y, step);
}

/* A row of outputs of one block; x is under the first. */
MICO_INLINE void row(const mico_depthwise_simd_t *p, const mico_scaling *s, const uint8_t *x, const int32_t *offsets, const int32_t groups,
                     const uint32_t *words, uint8_t *y)
{
    const int32_t next = p->size.stride_w * p->size.in_c, step = p->size.in_c * (p->output.type == MICO_S32 ? 4 : 1), size = p->size.out_w;
    const mico_range out = p->output; /* y may be anywhere: nothing is read again behind a store */
    int32_t at = 0;

    if (size < POSITIONS) {
        for (; at < size; at++)
            outputs(s, &out, x + at * next, next, offsets, groups, words, y + at * step, step, 1);
        return;
    }
    for (; at < size; at += POSITIONS) {
        const int32_t from = at + POSITIONS > size ? size - POSITIONS : at; /* the last ones may overlap those before */
        outputs(s, &out, x + from * next, next, offsets, groups, words, y + from * step, step, POSITIONS);
    }
}

void mico_depthwise_simd(const mico_depthwise_simd_t *p, const void *x, void *y, uint32_t *scratch)
{
    const mico_weights *w = &p->weights;
    const int32_t channels = p->size.in_c, taps = w->taps, groups = (taps + 3) / 4, unpacked = w->bits < 8;
    const int32_t side = p->row_tile ? p->size.pad_w * channels : 0, pitch = p->size.in_w * channels + 2 * side;
    const int32_t y_row = p->size.out_w * channels * (p->output.type == MICO_S32 ? 4 : 1);
    const int32_t under = (p->size.kernel_h - 1) * p->size.dilation_h + 1; /* input rows under a row of outputs */
    uint8_t *const frame = (uint8_t *)scratch;
    int32_t *const offsets = (int32_t *)(scratch + p->offsets_at);
    uint32_t *const widened = scratch + p->weights_at;

    for (int32_t t = 0; t < 4 * groups; t++) { /* those without a weight lie anywhere */
        const int32_t tap = t < taps ? t : 0;
        offsets[t] = tap / p->size.kernel_w * p->size.dilation_h * pitch + tap % p->size.kernel_w * p->size.dilation_w * channels;
    }
    for (int32_t c = 0; unpacked && c < channels; c += MICO_LANES)
        mico_widen(w, c, channels - c < MICO_LANES ? channels - c : MICO_LANES, taps, (int8_t *)(widened + c * groups));

    for (int32_t oy = 0; oy < p->size.out_h; oy++) {
        const int32_t iy = oy * p->size.stride_h - p->size.pad_h;
        const uint8_t *from = (const uint8_t *)x + iy * pitch;
        if (p->row_tile) {
            const int32_t within = oy % p->row_tile, rest = p->size.out_h - oy, rows = rest < p->row_tile ? rest : p->row_tile;
            if (within == 0)
                mico_frame(x, p->size.in_h, p->size.in_w * channels, iy, (rows - 1) * p->size.stride_h + under, side,
                           (uint8_t)p->xor_mask, frame);
            from = frame + within * p->size.stride_h * pitch;
        }
        for (int32_t c = 0; c < channels; c += MICO_LANES) {
            const int32_t count = channels - c < MICO_LANES ? channels - c : MICO_LANES;
            const mico_scaling s = mico_scaling_of(w, c, count, 1);
            const uint32_t *words = unpacked ? widened + c * groups : w->words + c * w->row_words;
            if (groups == 3 && count == MICO_LANES) /* 3 x 3, unrolled */
                row(p, &s, from + c, offsets, 3, words, (uint8_t *)y + oy * y_row);
            else
                row(p, &s, from + c, offsets, groups, words, (uint8_t *)y + oy * y_row);
        }
    }
}
