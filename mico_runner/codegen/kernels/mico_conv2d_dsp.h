/* 2-D convolution without groups for processors that multiply halves of words in pairs (mico_dsp.h): two output channels x two positions at a
 * time. A fully connected layer is the 1 x 1 convolution of an image of one column. */
#ifndef MICO_CONV2D_DSP_H
#define MICO_CONV2D_DSP_H

#include "mico_conv2d_tiled.h"

/* Weights: two's complement, at 1 bit 0 and 1 for -1 and +1. Rows lie in pairs, word by word: one
 * of the first, one of the second; the last of an odd number lies alone. In a word, tap 2 i has the bits from bits * i on, tap 2 i + 1 those
 * from 16 + bits * i on. `xor_mask` is not 0 for signed activations; input_offset, value_words and zero_copy are not used. */
typedef mico_conv2d_tiled_t mico_conv2d_dsp_t;

/* x (in_h, in_w, in_c) -> y (out_h, out_w, out_c); by the bits of weights.
 * scratch: (row_words * 32 / bits / 2, positions) pairs of taps as words, of two positions if there are as many (codegen/dsp.py) */
typedef void mico_conv2d_dsp(const mico_conv2d_dsp_t *p, const void *x, void *y, uint32_t *scratch);
mico_conv2d_dsp mico_conv2d_dsp_1, mico_conv2d_dsp_2, mico_conv2d_dsp_4, mico_conv2d_dsp_8;

#endif
