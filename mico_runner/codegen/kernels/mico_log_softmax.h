/* Logarithms of softmax over rows, by tables of exp and of logarithms. */
#ifndef MICO_LOG_SOFTMAX_H
#define MICO_LOG_SOFTMAX_H

#include "mico.h"

typedef struct {
    int32_t rows, length;
    mico_type input;
    int64_t factor, part; /* scale of the input, and 2^-24, in steps of the output times 2^shift */
    int32_t shift;
    mico_range output;
    const int32_t *exp; /* (256,): 2^24 exp(-scale * i) */
    const int32_t *log; /* (65,): 2^24 ln(1 + i / 64) */
} mico_log_softmax_t;

/* x (rows, length) -> y (rows, length) */
void mico_log_softmax(const mico_log_softmax_t *p, const void *x, void *y);

#endif
