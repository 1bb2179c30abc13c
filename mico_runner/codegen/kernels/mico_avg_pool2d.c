#include "mico_avg_pool2d.h"

#ifdef __SSE2__

/* Sums of bytes, for wide registers: so many channels of a tap, then the next tap. */
enum { TOGETHER = 64 };

MICO_INLINE void sums(const mico_window *w, const uint8_t *x, int32_t xor_mask, int32_t count, int32_t rows, int32_t columns, int32_t *acc)
{
    for (int32_t c = 0; c < count; c++)
        acc[c] = 0;
    for (int32_t iy = 0; iy < rows; iy++, x += w->in_w * w->channels) {
        const uint8_t *from = x;
        for (int32_t ix = 0; ix < columns; ix++, from += w->channels) {
            for (int32_t c = 0; c < count; c++)
                acc[c] += (from[c] ^ xor_mask) - xor_mask;
        }
    }
}

#endif

void mico_avg_pool2d(const mico_avg_pool2d_t *p, const void *x, void *y)
{
    const mico_window *w = &p->window;

    for (int32_t oy = 0; oy < w->out_h; oy++) {
        int32_t y0, y1;
        mico_span(oy, w->stride_h, w->pad_h, w->kernel_h, w->in_h, &y0, &y1);
        for (int32_t ox = 0; ox < w->out_w; ox++) {
            int32_t x0, x1;
            mico_span(ox, w->stride_w, w->pad_w, w->kernel_w, w->in_w, &x0, &x1);
#ifdef __SSE2__
            for (int32_t c = 0; p->input != MICO_S32 && c < w->channels; c += TOGETHER) {
                const int32_t rest = w->channels - c, count = rest < TOGETHER ? rest : TOGETHER;
                const uint8_t *from = (const uint8_t *)x + (y0 * w->in_w + x0) * w->channels + c;
                int32_t acc[TOGETHER];
                if (count == TOGETHER)
                    sums(w, from, p->input == MICO_S8 ? 0x80 : 0, TOGETHER, y1 - y0, x1 - x0, acc);
                else
                    sums(w, from, p->input == MICO_S8 ? 0x80 : 0, count, y1 - y0, x1 - x0, acc);
                for (int32_t i = 0; i < count; i++)
                    mico_store(y, (oy * w->out_w + ox) * w->channels + c + i, p->output.type,
                               mico_rescale(acc[i], p->scale.multiplier, p->scale.shift, &p->output));
            }
            if (p->input != MICO_S32)
                continue;
#endif
            for (int32_t c = 0; c < w->channels; c++) {
                int32_t acc = 0;
                for (int32_t iy = y0; iy < y1; iy++) {
                    for (int32_t ix = x0; ix < x1; ix++)
                        acc += mico_load(x, (iy * w->in_w + ix) * w->channels + c, p->input);
                }
                mico_store(y, (oy * w->out_w + ox) * w->channels + c, p->output.type,
                           mico_rescale(acc, p->scale.multiplier, p->scale.shift, &p->output));
            }
        }
    }
}
