/* Elements copied by a table, where no loops say which. */
#ifndef MICO_PICK_H
#define MICO_PICK_H

#include "mico.h"

typedef struct {
    int32_t size;
    mico_type input, output;
    const int32_t *index; /* (size,): of the input element of each output element, -1 for zero */
} mico_pick_t;

/* x -> y (size,) */
void mico_pick(const mico_pick_t *p, const void *x, void *y);

#endif
