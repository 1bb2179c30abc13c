/* The same integers in another order: HWC to the row-major order that a reshape needs, or back. */
#ifndef MICO_TRANSPOSE_H
#define MICO_TRANSPOSE_H

#include "mico.h"

typedef struct {
    int32_t rows, columns; /* one row: a plain copy */
    mico_type input, output;
} mico_transpose_t;

/* x (rows, columns) -> y (columns, rows) */
void mico_transpose(const mico_transpose_t *p, const void *x, void *y);

#endif
