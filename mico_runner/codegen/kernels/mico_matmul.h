/* Product of two computed matrices, for each of a batch of them. */
#ifndef MICO_MATMUL_H
#define MICO_MATMUL_H

#include "mico.h"

typedef struct {
    int32_t batch, rows, inner, columns;
    int32_t a_batch, a_row, a_inner; /* elements from one to the next */
    int32_t b_batch, b_inner, b_column;
    int32_t y_batch, y_row, y_column;
    mico_type input_a, input_b;
    mico_scale scale;
    mico_range output;
} mico_matmul_t;

/* a (batch, rows, inner), b (batch, inner, columns) -> y (batch, rows, columns) */
void mico_matmul(const mico_matmul_t *p, const void *a, const void *b, void *y);

#endif
