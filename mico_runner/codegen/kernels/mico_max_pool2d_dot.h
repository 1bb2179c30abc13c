/* Max-pooling of bytes on the dot-product unit's MAX: as many channels at a time as lie in an aligned word. */
#ifndef MICO_MAX_POOL2D_DOT_H
#define MICO_MAX_POOL2D_DOT_H

#include "mico_pool.h"

typedef struct {
    mico_window window;
    int32_t is_signed; /* the bytes, of x and of y */
} mico_max_pool2d_dot_t;

/* x (in_h, in_w, channels) -> y (out_h, out_w, channels), bytes */
void mico_max_pool2d_dot(const mico_max_pool2d_dot_t *p, const void *x, void *y);

#endif
