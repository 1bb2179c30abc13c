/* 2-D convolution without groups for processors with vectors of 16 bytes (mico_mve.h): two output channels x three positions at a time. A fully
 * connected layer is the 1 x 1 convolution of an image of one column. */
#ifndef MICO_CONV2D_MVE_H
#define MICO_CONV2D_MVE_H

#include "mico.h"

typedef struct {
    mico_geometry size;
    int32_t xor_mask;     /* 128: activations are unsigned and of 8 bits, and 128 is taken off them; else 0 */
    int32_t column_bytes; /* of a position, a multiple of 16 */
    mico_range output;
    mico_weights weights; /* rows of (kernel_h, kernel_w, in_c) as values of codegen/mve.py; bias with the constant terms; multiplier and
                             shift of mico_requantise.h */
} mico_conv2d_mve_t;

/* x (in_h, in_w, in_c) -> y (out_h, out_w, out_c); by the bits of weights, `narrow`: with activations of few bits
 * scratch: (positions, column_bytes) activations as signed bytes, of three positions if there are as many */
typedef void mico_conv2d_mve(const mico_conv2d_mve_t *p, const void *x, void *y, uint32_t *scratch);
mico_conv2d_mve mico_conv2d_mve_1, mico_conv2d_mve_2, mico_conv2d_mve_4, mico_conv2d_mve_8;
mico_conv2d_mve mico_conv2d_mve_1_narrow, mico_conv2d_mve_2_narrow;

#endif
