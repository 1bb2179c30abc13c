/* Rotary position embedding of one token. */
#ifndef MICO_ROPE_STEP_H
#define MICO_ROPE_STEP_H

#include "mico_rope.h"

typedef mico_rope_t mico_rope_step_t;

/* x (1, width) at *place, 0 .. places - 1 -> y (1, width) */
void mico_rope_step(const mico_rope_step_t *p, const void *x, const void *place, void *y);

#endif
