/* Interpolation to another size: each output row and column is a sum of some input rows and columns. */
#ifndef MICO_RESIZE_H
#define MICO_RESIZE_H

#include "mico.h"

typedef struct {
    int32_t in_w, channels;
    int32_t out_h, out_w;
    int32_t rows_taps, columns_taps;
    mico_type input;
    mico_scale scale;
    mico_range output;
    const int32_t *rows_at, *rows_weight;       /* (out_h, rows_taps) */
    const int32_t *columns_at, *columns_weight; /* (out_w, columns_taps) */
} mico_resize_t;

/* x (in_h, in_w, channels) -> y (out_h, out_w, channels) */
void mico_resize(const mico_resize_t *p, const void *x, void *y);

#endif
