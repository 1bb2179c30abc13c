/* 2-D convolution without groups, in tiles of output channels x positions, several products at a time (mico_tile.h). A fully
 * connected layer is the 1 x 1 convolution of an image of one column. */
#ifndef MICO_CONV2D_TILED_H
#define MICO_CONV2D_TILED_H

#include "mico.h"

typedef struct {
    int32_t in_h, in_w, in_c;
    int32_t out_h, out_w, out_c; /* out_c >= 4 */
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w;
    int32_t pad_h, pad_w;
    int32_t dilation_h, dilation_w;
    uint32_t flip, less; /* codes of four activations: (bytes ^ flip) - less */
    int32_t code_words;  /* words of four codes that a patch takes as bytes */
    int32_t four_words;  /* of scratch to gather the patches of four positions together; 0: one by one */
    int32_t in_place;    /* 1: every patch lies in x in one piece, in whole words, and is not copied */
    int32_t middle;      /* 2 * output.max + 1; of signed bits 1 */
    mico_range output;
    mico_weights weights; /* rows of (kernel_h, kernel_w, in_c) as codes in the scheme's order; bias with the constant
                           terms; multiplier and shift of mico_requantise.h */
} mico_conv2d_tiled_t;

/* x (in_h, in_w, in_c) -> y (out_h, out_w, out_c)
 * scratch, in words: one patch as bytes, four_words, then the patches of a tile, 4 when there are 4 positions or more (codegen/schemes.py).
 * One function per scheme, named by the bits of activations x weights: weights as bytes; two lanes of 16 bits; four lanes of 8
 * bits; single bits. The bits of the activations may be fewer. */
typedef void mico_conv2d_tiled(const mico_conv2d_tiled_t *p, const void *x, void *y, uint32_t *scratch);
mico_conv2d_tiled mico_conv2d_bytes_8x8, mico_conv2d_bytes_8x7, mico_conv2d_bytes_8x6, mico_conv2d_bytes_8x5;
mico_conv2d_tiled mico_conv2d_bytes_8x4, mico_conv2d_bytes_8x3;
mico_conv2d_tiled mico_conv2d_bytes_4x8, mico_conv2d_bytes_4x7, mico_conv2d_bytes_4x6, mico_conv2d_bytes_4x5;
mico_conv2d_tiled mico_conv2d_lanes16_8x1, mico_conv2d_lanes16_8x2, mico_conv2d_lanes16_8x4;
mico_conv2d_tiled mico_conv2d_lanes16_4x3, mico_conv2d_lanes8_2x3;
mico_conv2d_tiled mico_conv2d_lanes16_4x5, mico_conv2d_lanes16_4x6, mico_conv2d_lanes16_4x7;
mico_conv2d_tiled mico_conv2d_lanes16_4x4, mico_conv2d_lanes16_4x8;
mico_conv2d_tiled mico_conv2d_lanes8_4x1, mico_conv2d_lanes8_4x2, mico_conv2d_lanes8_2x4;
mico_conv2d_tiled mico_conv2d_lanes8_2x2, mico_conv2d_lanes8_2x1;
mico_conv2d_tiled mico_conv2d_tables_8x1, mico_conv2d_tables_8x2, mico_conv2d_tables_2x1;
mico_conv2d_tiled mico_conv2d_bits, mico_conv2d_signs; /* signs: -1 and +1 */

#endif
