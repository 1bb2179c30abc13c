/* 2-D convolution without groups, sixteen output channels at a time, for processors with wide registers. A fully connected layer is the
 * 1 x 1 convolution of an image of one column. */
#ifndef MICO_CONV2D_SIMD_H
#define MICO_CONV2D_SIMD_H

#include "mico.h"

typedef struct {
    int32_t in_h, in_w, in_c;
    int32_t out_h, out_w, out_c;
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w;
    int32_t pad_h, pad_w;
    int32_t dilation_h, dilation_w;
    int32_t flip; /* 1: signed activations, read as x + 128; the bias makes up for it */
    int32_t high_word; /* 1: multiplier and shift are those of mico_requantise.h, which need only the product's high word */
    mico_range output;
    mico_weights weights; /* rows of (kernel_h, kernel_w, in_c) in blocks, see mico_conv2d_simd.c; 1, 2, 4 or 8 bits */
} mico_conv2d_simd_t;

/* x (in_h, in_w, in_c) -> y (out_h, out_w, out_c)
 * scratch: eight patches (fewer when there are fewer outputs) of row_words * 32 / bits bytes, and 16 bytes (codegen/simd.py) */
void mico_conv2d_simd(const mico_conv2d_simd_t *p, const void *x, void *y, uint32_t *scratch);

#endif
