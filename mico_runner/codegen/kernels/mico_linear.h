/* Fully connected layer, on one vector or on each row of a matrix. */
#ifndef MICO_LINEAR_H
#define MICO_LINEAR_H

#include "mico.h"

typedef struct {
    int32_t rows, inputs, outputs;
    mico_type input; /* MICO_U8 or MICO_S8 */
    mico_range output;
    mico_weights weights; /* rows of (inputs,) */
} mico_linear_t;

/* x (rows, inputs) -> y (rows, outputs); row: scratch for one unpacked row of weights, int8 (inputs,) */
void mico_linear(const mico_linear_t *p, const void *x, void *y, int8_t *row);

#endif
