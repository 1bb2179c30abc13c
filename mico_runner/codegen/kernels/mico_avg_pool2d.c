#include "mico_avg_pool2d.h"

void mico_avg_pool2d(const mico_avg_pool2d_t *p, const void *x, void *y)
{
    const mico_window *w = &p->window;

    for (int32_t oy = 0; oy < w->out_h; oy++) {
        int32_t y0, y1;
        mico_span(oy, w->stride_h, w->pad_h, w->kernel_h, w->in_h, &y0, &y1);
        for (int32_t ox = 0; ox < w->out_w; ox++) {
            int32_t x0, x1;
            mico_span(ox, w->stride_w, w->pad_w, w->kernel_w, w->in_w, &x0, &x1);
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
