/* Maximum over a window; taps outside the input do not take part. */
#ifndef MICO_MAX_POOL2D_H
#define MICO_MAX_POOL2D_H

#include "mico_pool.h"

typedef struct {
    mico_window window;
    mico_type input;
    mico_type output; /* differs from the input's at the network's end only */
} mico_max_pool2d_t;

/* x (in_h, in_w, channels) -> y (out_h, out_w, channels) */
void mico_max_pool2d(const mico_max_pool2d_t *p, const void *x, void *y);

#endif
