/* Softmax over rows, by a table of exp. */
#ifndef MICO_SOFTMAX_H
#define MICO_SOFTMAX_H

#include "mico.h"

typedef struct {
    int32_t rows, length;
    mico_type input;
    int32_t factor, shift; /* 2^shift / scale of the output */
    mico_range output;
    const int32_t *exp; /* (256,): 2^24 exp(-scale * i) */
    const uint8_t *kept; /* (kept_rows, length), repeated over the rows: elements of 0 are left out and give 0; 0: all are kept */
    int32_t kept_rows;
} mico_softmax_t;

/* x (rows, length) -> y (rows, length) */
void mico_softmax(const mico_softmax_t *p, const void *x, void *y);

#endif
