#include "mico_max_pool2d.h"

#include "mico_dsp.h"
#include "mico_mve.h"

#if defined __SSE2__ || defined __ARM_NEON

/* Bytes to bytes, for wide registers: all channels of a tap, then the next tap. `xor_mask` as below. */
static void bytes(const mico_window *w, const uint8_t *x, uint8_t *y, int32_t xor_mask)
{
    const int32_t channels = w->channels, row = w->in_w * channels;
    const uint8_t sign = (uint8_t)xor_mask;

    for (int32_t oy = 0; oy < w->out_h; oy++) {
        int32_t y0, y1;
        mico_span(oy, w->stride_h, w->pad_h, w->kernel_h, w->in_h, &y0, &y1);
        for (int32_t ox = 0; ox < w->out_w; ox++, y += channels) {
            int32_t x0, x1;
            mico_span(ox, w->stride_w, w->pad_w, w->kernel_w, w->in_w, &x0, &x1);
            for (int32_t c = 0; c < channels; c++)
                y[c] = sign; /* the smallest */
            for (int32_t iy = y0; iy < y1; iy++) {
                for (int32_t ix = x0; ix < x1; ix++) {
                    const uint8_t *restrict from = x + iy * row + ix * channels;
                    uint8_t *restrict to = y;
                    for (int32_t c = 0; c < channels; c++) {
                        const uint8_t q = from[c] ^ sign, best = to[c] ^ sign;
                        to[c] = (q > best ? q : best) ^ sign;
                    }
                }
            }
        }
    }
}

#else

#ifdef MICO_MVE

/* Bytes to bytes, 16 channels at a time. */
MICO_INLINE void sixteens(const mico_window *w, const uint8_t *x, uint8_t *y, const int is_signed)
{
    const int32_t channels = w->channels, row = w->in_w * channels;

    for (int32_t oy = 0; oy < w->out_h; oy++) {
        int32_t y0, y1;
        mico_span(oy, w->stride_h, w->pad_h, w->kernel_h, w->in_h, &y0, &y1);
        for (int32_t ox = 0; ox < w->out_w; ox++, y += channels) {
            int32_t x0, x1;
            mico_span(ox, w->stride_w, w->pad_w, w->kernel_w, w->in_w, &x0, &x1);
            const uint8_t *const begin = x + y0 * row + x0 * channels;
            for (int32_t c = 0; c < channels; c += 16) {
                const mve_pred16_t some = vctp8q((uint32_t)(channels - c));
                uint8x16_t best = vldrbq_z_u8(begin + c, some);
                const uint8_t *line = begin + c;
                for (int32_t iy = y0; iy < y1; iy++, line += row) {
                    const uint8_t *from = line;
                    for (int32_t n = x1 - x0; n > 0; n--, from += channels) {
                        const uint8x16_t tap = vldrbq_z_u8(from, some);
                        best = is_signed ? vreinterpretq_u8_s8(vmaxq_s8(vreinterpretq_s8_u8(best), vreinterpretq_s8_u8(tap))) : vmaxq_u8(best, tap);
                    }
                }
                vstrbq_p_u8(y + c, best, some);
            }
        }
    }
}

#elif defined MICO_DSP

/* Bytes to bytes, four channels at a time. */
MICO_INLINE void fours(const mico_window *w, const uint8_t *x, uint8_t *y, const int is_signed)
{
    const int32_t channels = w->channels, row = w->in_w * channels;

    for (int32_t oy = 0; oy < w->out_h; oy++) {
        int32_t y0, y1;
        mico_span(oy, w->stride_h, w->pad_h, w->kernel_h, w->in_h, &y0, &y1);
        for (int32_t ox = 0; ox < w->out_w; ox++) {
            int32_t x0, x1;
            mico_span(ox, w->stride_w, w->pad_w, w->kernel_w, w->in_w, &x0, &x1);
            const uint8_t *begin = x + y0 * row + x0 * channels;
            const uint8_t *const end = y + channels;
            for (; y != end; y += 4, begin += 4) {
                uint32_t best = mico_four_bytes(begin);
                const uint8_t *line = begin;
                for (int32_t iy = y0; iy < y1; iy++, line += row) {
                    const uint8_t *from = line;
                    for (int32_t n = x1 - x0; n > 0; n--, from += channels)
                        best = mico_larger_bytes(best, mico_four_bytes(from), is_signed);
                }
                __builtin_memcpy(y, &best, sizeof best);
            }
        }
    }
}

#endif

/* Without a branch, so that cycles do not depend on the data. */
static inline int32_t larger(int32_t a, int32_t b)
{
#ifdef __ARM_ARCH /* a conditional move */
    return a > b ? a : b;
#else
    const int32_t difference = a - b; /* of bytes: cannot overflow */
    return a - (difference & difference >> 31);
#endif
}

/* Windows of 2 x 2 without padding: x0 and x1 are two rows, y one; (w->out_w, channels) at a time. */
static inline __attribute__((always_inline)) void row_of_four(const mico_window *w, const uint8_t *x0, const uint8_t *x1, uint8_t *y,
                                                              const int32_t xor_mask)
{
    const int32_t channels = w->channels, next = (w->stride_w - 1) * channels;

    for (int32_t ox = w->out_w; ox > 0; ox--, x0 += next, x1 += next) {
        const uint8_t *const end = x0 + channels;
        while (x0 != end) {
            int32_t a = x0[0] ^ xor_mask, b = x1[0] ^ xor_mask, c = x0[channels] ^ xor_mask, d = x1[channels] ^ xor_mask;
#ifdef __ARM_ARCH
            x0++;
            x1++;
            *y++ = (uint8_t)(larger(larger(a, b), larger(c, d)) ^ xor_mask);
#else
            b = a - b; /* two maxima side by side, so that nothing waits for a shift */
            d = c - d;
            const int32_t negative = b >> 31, other = d >> 31;
            x0++;
            x1++;
            a -= b & negative;
            c -= d & other;
            *y++ = (uint8_t)(larger(a, c) ^ xor_mask);
#endif
        }
    }
}

/* Bytes to bytes. `xor_mask` is 0x80 for signed ones, whose order it makes that of unsigned ones. */
static void bytes(const mico_window *w, const uint8_t *x, uint8_t *y, int32_t xor_mask)
{
    const int32_t channels = w->channels, row = w->in_w * channels, out_h = w->out_h, out_w = w->out_w;

#ifdef MICO_MVE
    if (xor_mask != 0)
        sixteens(w, x, y, 1);
    else
        sixteens(w, x, y, 0);
    return;
#elif defined MICO_DSP
    if (channels % 4 == 0) {
        if (xor_mask != 0)
            fours(w, x, y, 1);
        else
            fours(w, x, y, 0);
        return;
    }
#endif
    if (w->kernel_h == 2 && w->kernel_w == 2 && w->pad_h + w->pad_w == 0) {
        for (int32_t oy = 0; oy < out_h; oy++, x += w->stride_h * row, y += out_w * channels) {
            if (xor_mask == 0)
                row_of_four(w, x, x + row, y, 0);
            else
                row_of_four(w, x, x + row, y, 0x80);
        }
        return;
    }
    for (int32_t oy = 0; oy < out_h; oy++) {
        int32_t y0, y1;
        mico_span(oy, w->stride_h, w->pad_h, w->kernel_h, w->in_h, &y0, &y1);
        for (int32_t ox = 0; ox < out_w; ox++, y += channels) {
            int32_t x0, x1;
            mico_span(ox, w->stride_w, w->pad_w, w->kernel_w, w->in_w, &x0, &x1);
            const uint8_t *begin = x + y0 * row + x0 * channels;
            const int32_t taps = x1 - x0;
            for (int32_t c = 0; c < channels; c++) {
                const uint8_t *line = begin + c;
                int32_t best = 0; /* the smallest, masked */
                for (int32_t iy = y0; iy < y1; iy++, line += row) {
                    const uint8_t *from = line;
                    for (int32_t n = taps; n > 0; n--, from += channels)
                        best = larger(best, *from ^ xor_mask);
                }
                y[c] = (uint8_t)(best ^ xor_mask);
            }
        }
    }
}

#endif

void mico_max_pool2d(const mico_max_pool2d_t *p, const void *x, void *y)
{
    const mico_window *w = &p->window;

    if (p->input != MICO_S32 && p->output == p->input) {
        bytes(w, x, y, p->input == MICO_S8 ? 0x80 : 0);
        return;
    }
    for (int32_t oy = 0; oy < w->out_h; oy++) {
        int32_t y0, y1;
        mico_span(oy, w->stride_h, w->pad_h, w->kernel_h, w->in_h, &y0, &y1);
        for (int32_t ox = 0; ox < w->out_w; ox++) {
            int32_t x0, x1;
            mico_span(ox, w->stride_w, w->pad_w, w->kernel_w, w->in_w, &x0, &x1);
            for (int32_t c = 0; c < w->channels; c++) {
                int32_t best = INT32_MIN;
                for (int32_t iy = y0; iy < y1; iy++) {
                    for (int32_t ix = x0; ix < x1; ix++) {
                        const int32_t q = mico_load(x, (iy * w->in_w + ix) * w->channels + c, p->input);
                        best = q > best ? q : best;
                    }
                }
                mico_store(y, (oy * w->out_w + ox) * w->channels + c, p->output, best);
            }
        }
    }
}
