/* Product of two tensors, the second repeated over the first. */
#ifndef MICO_MUL_H
#define MICO_MUL_H

#include "mico.h"

typedef struct {
    int32_t size;
    mico_type input_a, input_b;
    int32_t run, count; /* element i meets element (i / run) % count of the second */
    mico_scale scale;
    mico_range output;
} mico_mul_t;

/* a (size,), b (count,) -> y (size,) */
void mico_mul(const mico_mul_t *p, const void *a, const void *b, void *y);

#endif
