/* Depthwise 2-D convolution, sixteen channels at a time, for processors with wide registers. */
#ifndef MICO_DEPTHWISE_SIMD_H
#define MICO_DEPTHWISE_SIMD_H

#include "mico.h"

typedef struct {
    mico_geometry size;
    int32_t xor_mask;   /* 0x80: signed activations, read as x + 128; the bias makes up for it; else 0 */
    int32_t row_tile;   /* output rows whose inputs are copied together; 0: inputs are read where they lie */
    int32_t offsets_at; /* words of scratch in front of the offsets of taps, and of the weights */
    int32_t weights_at;
    mico_range output;
    mico_weights weights; /* rows of (kernel_h, kernel_w) in blocks, see mico_simd.h and mico_widen.h; scaling as mico_requantise.h's */
} mico_depthwise_simd_t;

/* x (in_h, in_w, channels) -> y (out_h, out_w, channels)
 * scratch: the copy of inputs with padding, an offset for each tap (a multiple of four), weights of less than 8 bits as bytes. */
void mico_depthwise_simd(const mico_depthwise_simd_t *p, const void *x, void *y, uint32_t *scratch);

#endif
