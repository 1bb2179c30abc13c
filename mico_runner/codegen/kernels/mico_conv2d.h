/* 2-D convolution with groups (depthwise: groups = in_c), stride, zero padding and dilation. */
#ifndef MICO_CONV2D_H
#define MICO_CONV2D_H

#include "mico.h"

typedef struct {
    mico_geometry size;
    int32_t groups;
    mico_type input; /* MICO_U8 or MICO_S8 */
    mico_range output;
    mico_weights weights; /* rows of (kernel_h, kernel_w, in_c / groups) */
} mico_conv2d_t;

/* x (in_h, in_w, in_c) -> y (out_h, out_w, out_c); row: scratch for one unpacked row of weights, int8 (taps,) */
void mico_conv2d(const mico_conv2d_t *p, const void *x, void *y, int8_t *row);

#endif
