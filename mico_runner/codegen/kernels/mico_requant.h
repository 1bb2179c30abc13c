/* Elementwise change of type. */
#ifndef MICO_REQUANT_H
#define MICO_REQUANT_H

#include "mico.h"

typedef struct {
    int32_t size;
    mico_type input;
    mico_scale scale;
    mico_range output;
} mico_requant_t;

/* x (size,) -> y (size,) */
void mico_requant(const mico_requant_t *p, const void *x, void *y);

#endif
