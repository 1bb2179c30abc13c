/* Depthwise 2-D convolution: every channel has a kernel of its own. Sums of several output rows share a word. */
#ifndef MICO_DEPTHWISE_H
#define MICO_DEPTHWISE_H

#include "mico.h"

typedef struct {
    int32_t in_h, in_w, channels;
    int32_t out_h, out_w;
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w;
    int32_t pad_h, pad_w;
    int32_t dilation_h, dilation_w;
    int32_t row_tile;      /* output rows at a time: 4; 2 at a vertical stride of 2 if lanes < 4 */
    int32_t lanes;         /* those in one word: 4, 2 or 1, so that no sum leaves 8, 16 or 32 bits; out_h >= 4 or a multiple */
    int32_t column_words;  /* of scratch, per input column (codegen/depthwise.py) */
    int32_t channel_block; /* channels gathered at a time: 1; 4 for a kernel of 3 x 3 at strides 1 and 2 and a multiple of four channels */
    int32_t sum_words;     /* of scratch, per row of sums: out_w rounded up to four stores */
    int32_t low, high;     /* the least and the largest activation */
    int32_t xor_mask;      /* input xor mask: byte ^ xor_mask is the activation + xor_mask; 0x80 for int8_t, else 0 */
    int32_t rounding;      /* rounding constant: 2 * output.max + 1; of signed bits 1 */
    mico_range output;
    mico_weights weights; /* rows of (kernel_w, kernel_h); multiplier and shift as mico_conv2d_tiled_t's */
} mico_depthwise_t;

/* x (in_h, in_w, channels) -> y (out_h, out_w, channels)
 * scratch, in words: (channel_block, in_w + 2 * pad_w, column_words) inputs, (row_tile / lanes, sum_words) sums, (taps,) weights. */
typedef void mico_depthwise_kernel(const mico_depthwise_t *p, const void *x, void *y, uint32_t *scratch);
mico_depthwise_kernel mico_depthwise_any;                                                        /* of any size */
mico_depthwise_kernel mico_depthwise_nine_1, mico_depthwise_nine_2, mico_depthwise_nine_4;       /* 3 x 3 without dilation; by lanes */
mico_depthwise_kernel mico_depthwise_block_1, mico_depthwise_block_2, mico_depthwise_block_4; /* channel_block 4, x aligned to four bytes */
mico_depthwise_kernel mico_depthwise; /* block_ or, where x is not aligned, nine_: of channel_block 4 */

#endif
