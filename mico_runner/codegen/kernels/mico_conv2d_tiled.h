/* 2-D convolution without groups, in tiles of output channels x positions, several products at a time (mico_tile.h). A fully
 * connected layer is the 1 x 1 convolution of an image of one column. */
#ifndef MICO_CONV2D_TILED_H
#define MICO_CONV2D_TILED_H

#include "mico_tile.h"

typedef struct {
    int32_t in_h, in_w, in_c;
    int32_t out_h, out_w, out_c; /* out_c >= 4 */
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w;
    int32_t pad_h, pad_w;
    int32_t dilation_h, dilation_w;
    uint32_t flip, less; /* codes of four activations: (bytes ^ flip) - less, */
    int32_t half;        /* halved when 1: -1 and +1 are 0 and 1 */
    const mico_scheme *scheme;
    mico_range output;
    mico_weights weights; /* rows of (kernel_h, kernel_w, in_c) as codes in the scheme's order; bias with the constant terms */
} mico_conv2d_tiled_t;

/* x (in_h, in_w, in_c) -> y (out_h, out_w, out_c)
 * scratch, in words: one patch as bytes (row_words * taps of the scheme / 4), then the patches of a tile
 * (row_words * patch_words of the scheme, times 4 when there are 4 positions or more) */
void mico_conv2d_tiled(const mico_conv2d_tiled_t *p, const void *x, void *y, uint32_t *scratch);

#endif
