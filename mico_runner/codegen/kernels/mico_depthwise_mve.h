/* Depthwise 2-D convolution for processors with vectors of 16 bytes (mico_mve.h): four channels side by side at a time, as words. */
#ifndef MICO_DEPTHWISE_MVE_H
#define MICO_DEPTHWISE_MVE_H

#include "mico_depthwise_dsp.h"

typedef mico_depthwise_dsp_t mico_depthwise_mve_t;

/* x (in_h, in_w, channels) -> y (out_h, out_w, channels)
 * scratch: (taps, 4) weights of four channels as bytes */
void mico_depthwise_mve(const mico_depthwise_mve_t *p, const void *x, void *y, uint32_t *scratch);

#endif
