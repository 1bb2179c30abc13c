/* 2-D convolution without groups, sixteen output channels at a time, for processors with wide registers. A fully connected layer is the
 * 1 x 1 convolution of an image of one column. */
#ifndef MICO_CONV2D_SIMD_H
#define MICO_CONV2D_SIMD_H

#include "mico.h"

typedef struct {
    mico_geometry size;
    int32_t xor_mask;   /* 0x80: signed activations, read as x + 128; the bias makes up for it; else 0 */
    int32_t framed;     /* 1: the input is copied, padding and all; 0: it is read where it lies */
    int32_t piece;      /* taps that lie side by side under an output; all, if that makes no difference */
    int32_t widened_at; /* words of scratch in front of the weights as bytes; -1: they are read where they lie */
    int32_t high_word;  /* 1: multiplier and shift are those of mico_requantise.h, which need only the product's high word */
    mico_range output;
    mico_weights weights; /* rows of (kernel_h, kernel_w, in_c) in blocks, see mico_simd.h and mico_widen.h */
} mico_conv2d_simd_t;

/* x (in_h, in_w, in_c) -> y (out_h, out_w, out_c)
 * scratch: the copied input; two blocks of weights as bytes, if these are fewer bits or pieces are no whole words (codegen/simd.py). */
void mico_conv2d_simd(const mico_conv2d_simd_t *p, const void *x, void *y, uint32_t *scratch);

#endif
