/* A constant factor and term of each element, repeated over the tensor. */
#ifndef MICO_AFFINE_H
#define MICO_AFFINE_H

#include "mico.h"

typedef struct {
    int32_t size;
    mico_type input;
    int32_t shift;
    int32_t run, count; /* element i has the constants (i / run) % count */
    mico_range output;
    const int32_t *factor, *term; /* (count,), in steps of the output shifted up */
    const int32_t *below;         /* factors of what is negative; 0: the same */
} mico_affine_t;

/* x (size,) -> y (size,) */
void mico_affine(const mico_affine_t *p, const void *x, void *y);

#endif
