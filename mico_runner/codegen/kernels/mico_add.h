/* Sum of two tensors, each with its own multiplier, one shift. */
#ifndef MICO_ADD_H
#define MICO_ADD_H

#include "mico.h"

typedef struct {
    int32_t size;
    mico_type input_a, input_b;
    int32_t multiplier_a, multiplier_b;
    int32_t shift;
    mico_range output;
} mico_add_t;

/* a (size,), b (size,) -> y (size,) */
void mico_add(const mico_add_t *p, const void *a, const void *b, void *y);

#endif
