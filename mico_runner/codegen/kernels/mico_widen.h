/* Weights as kernels for wide registers read them. */
#ifndef MICO_WIDEN_H
#define MICO_WIDEN_H

#include "mico_simd.h"

/* Unpacks a block of `count` channels: words of four taps as bytes, those of all channels side by side; each piece of `piece` taps ends with
 * zeros up to a whole word. In memory the patterns follow each other without a gap: piece by piece four taps of each channel, then the next
 * four, at last the one, two or three that are left. Up to 8 bytes behind the last one may be written. */
void mico_widen(const mico_weights *w, int32_t channel, int32_t count, int32_t piece, int8_t *to);

#endif
