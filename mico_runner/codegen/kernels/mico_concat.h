/* Elementwise change of type into a part of the output: one input of a concatenation. */
#ifndef MICO_CONCAT_H
#define MICO_CONCAT_H

#include "mico.h"

typedef struct {
    int32_t rows;
    int32_t part;   /* elements per row of x */
    int32_t row;    /* elements per row of y */
    int32_t offset; /* of the part in a row of y */
    mico_type input;
    mico_scale scale;
    mico_range output;
} mico_concat_t;

/* x (rows, part) -> y[:, offset : offset + part], y (rows, row) */
void mico_concat(const mico_concat_t *p, const void *x, void *y);

#endif
