/* 2-D convolution without groups, in tiles of output channels x positions, several products at a time (mico_tile.h). A fully
 * connected layer is the 1 x 1 convolution of an image of one column. */
#ifndef MICO_CONV2D_TILED_H
#define MICO_CONV2D_TILED_H

#include "mico.h"

typedef struct {
    mico_geometry size;              /* out_c >= 4 */
    uint32_t xor_mask, input_offset; /* four activations as the products take them: (bytes ^ xor_mask) - input_offset */
    int32_t value_words;             /* words of four values that an im2col column takes as bytes */
    int32_t zero_copy;               /* 1: every im2col column lies in x in one piece, in whole words, and is not copied */
    int32_t rounding;                /* rounding constant: 2 * output.max + 1; of signed bits 1 */
    mico_range output;
    mico_weights weights; /* rows of (kernel_h, kernel_w, in_c) as values in the micro-kernel's order; bias with the constant
                             terms; multiplier and shift of mico_requantise.h */
} mico_conv2d_tiled_t;

/* x (in_h, in_w, in_c) -> y (out_h, out_w, out_c)
 * A function per micro-kernel that a program calls, named by the most bits of activations x the bits of weights:
 *   mico_conv2d_<micro-kernel>         four positions (tables_2x1: eight) at a time, of which there are as many
 *   mico_conv2d_<micro-kernel>_four    the same, gathered together: out_w >= 4, up to 255 taps, no dilation
 *   mico_conv2d_<micro-kernel>_narrow  one position after another
 * scratch: codegen/micro counts its words. Columns, a byte per tap or packed, take no more than two rows of 16 bits per tap. */
typedef void mico_conv2d_tiled(const mico_conv2d_tiled_t *p, const void *x, void *y, uint32_t *scratch);

#endif
