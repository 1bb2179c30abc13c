/* Depthwise 2-D convolution for processors with instructions on halves of words (mico_dsp.h): four channels side by side at a time. */
#ifndef MICO_DEPTHWISE_DSP_H
#define MICO_DEPTHWISE_DSP_H

#include "mico.h"

typedef struct {
    mico_geometry size; /* in_c: a multiple of four */
    int32_t is_signed;  /* 1: activations are int8_t */
    int32_t rounding;   /* rounding constant: 2 * output.max + 1; of signed bits 1 */
    mico_range output;
    mico_weights weights; /* 1, 2, 4 or 8 bits; of four channels tap after tap, the four beside each other; multiplier and shift as
                             mico_conv2d_tiled_t's */
} mico_depthwise_dsp_t;

/* x (in_h, in_w, channels) -> y (out_h, out_w, channels)
 * scratch: (taps, 2) words: weights of four channels as halves of words */
void mico_depthwise_dsp(const mico_depthwise_dsp_t *p, const void *x, void *y, uint32_t *scratch);

#endif
