/* 2-D convolution without groups on the dot-product unit. A fully connected layer is the 1 x 1 convolution of an image of one column. */
#ifndef MICO_CONV2D_DOT_H
#define MICO_CONV2D_DOT_H

#include "mico.h"

typedef struct {
    mico_geometry size;
    uint32_t modes;       /* of MICO_DOT_CONFIG */
    int32_t column_words; /* words of the unit's buffer that an im2col column takes */
    int32_t positions;    /* columns in a tile: as many as fit */
    int32_t gathered;     /* columns side by side whose rows fit a segment; 0: a row is longer than a cut, or has gaps, and is cut in pieces */
    mico_range output;
    mico_weights weights; /* rows of (kernel_h, kernel_w, in_c), packed as for every kernel */
} mico_conv2d_dot_t;

/* x (in_h, in_w, in_c) -> y (out_h, out_w, out_c). The aligned words around x are read whole. */
void mico_conv2d_dot(const mico_conv2d_dot_t *p, const void *x, void *y);

#endif
