/* Sum over a window, requantised; padding counts as zeros, the multiplier holds 1 / (kernel_h * kernel_w). */
#ifndef MICO_AVG_POOL2D_H
#define MICO_AVG_POOL2D_H

#include "mico_pool.h"

typedef struct {
    mico_window window;
    mico_type input;
    mico_scale scale;
    mico_range output;
} mico_avg_pool2d_t;

/* x (in_h, in_w, channels) -> y (out_h, out_w, channels) */
void mico_avg_pool2d(const mico_avg_pool2d_t *p, const void *x, void *y);

#endif
