/* 2-D convolution without groups for small cores that multiply and add in one instruction (Cortex-M3): two output channels x two positions at
 * a time. */
#ifndef MICO_CONV2D_MLA_H
#define MICO_CONV2D_MLA_H

#include "mico_conv2d_tiled.h"

/* Weights: two's complement, rows one after another, tap after tap. There are two positions or more. `xor_mask` is not 0 for
 * signed activations; value_words: words of a row that are multiplied before the sums of two positions, in the halves of a word,
 * are taken apart; input_offset and zero_copy are not used. */
typedef mico_conv2d_tiled_t mico_conv2d_mla_t;

/* x (in_h, in_w, in_c) -> y (out_h, out_w, out_c); by the bits of weights.
 * scratch: two columns, one after the other as bytes (8), or their taps side by side in halves of words (4) */
typedef void mico_conv2d_mla(const mico_conv2d_mla_t *p, const void *x, void *y, uint32_t *scratch);
mico_conv2d_mla mico_conv2d_mla_4, mico_conv2d_mla_8;

#endif
