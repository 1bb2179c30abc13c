/* Rows less their mean, divided by the root of their mean square, with a factor and a term of each element. */
#ifndef MICO_LAYER_NORM_H
#define MICO_LAYER_NORM_H

#include "mico.h"

typedef struct {
    int32_t rows, length;
    mico_type input;
    int32_t centred; /* 0: the mean stays */
    int32_t mean_bits; /* behind the point of a row's mean */
    int32_t shift;
    mico_range output;
    const int32_t *factor; /* (length,), in steps of the output shifted up */
    const int64_t *term;   /* (length,) */
    const int64_t *eps;    /* (1,), in steps of the input squared, 2 * mean_bits behind the point */
} mico_layer_norm_t;

/* x (rows, length) -> y (rows, length) */
void mico_layer_norm(const mico_layer_norm_t *p, const void *x, void *y);

#endif
