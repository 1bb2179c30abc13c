/* Values that do not depend on the input, copied from flash. */
#ifndef MICO_CONSTANT_H
#define MICO_CONSTANT_H

#include "mico.h"

typedef struct {
    int32_t size;
    const uint8_t *bytes; /* (size,), of an output of bytes, signed or not */
    const int32_t *words; /* those of an output of words */
} mico_constant_t;

/* -> y (size,) */
void mico_constant(const mico_constant_t *p, void *y);

#endif
