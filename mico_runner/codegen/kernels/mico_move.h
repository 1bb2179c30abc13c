/* Elements copied in nested loops: slices, permutations, zeros around a tensor. */
#ifndef MICO_MOVE_H
#define MICO_MOVE_H

#include "mico.h"

enum { MICO_LOOPS = 6 };

typedef struct {
    int32_t size; /* of the output */
    mico_type input, output;
    int32_t zeros;                  /* 1: what is not written is zero */
    int32_t to, from;               /* the first elements */
    int32_t counts[MICO_LOOPS];     /* of each loop, the innermost first */
    int32_t to_steps[MICO_LOOPS];   /* from one turn of a loop to the next, in elements */
    int32_t from_steps[MICO_LOOPS];
} mico_move_t;

/* x -> y (size,) */
void mico_move(const mico_move_t *p, const void *x, void *y);

#endif
