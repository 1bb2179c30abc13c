/* An input with its padding, for kernels for wide registers. */
#ifndef MICO_FRAME_H
#define MICO_FRAME_H

#include "mico.h"

/* x (rows, bytes) from row `first` on to `to`, with `side` bytes of zeros beside each and rows of zeros where there is none; each byte
 * ^ xor_mask, so that zero is 128 where activations are signed. */
void mico_frame(const uint8_t *x, int32_t rows, int32_t bytes, int32_t first, int32_t count, int32_t side,
                uint8_t xor_mask, uint8_t *to);

#endif
