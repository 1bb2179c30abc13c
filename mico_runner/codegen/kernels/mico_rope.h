/* Rotary position embedding: pairs of values, turned by an angle that grows with the place of their token. */
#ifndef MICO_ROPE_H
#define MICO_ROPE_H

#include "mico.h"

typedef struct {
    int32_t tokens, width, head; /* width: of a token, a multiple of head */
    mico_type input;
    int32_t places;  /* rows of the tables */
    mico_type place; /* of the step for one token */
    int32_t read_shift, shift;
    mico_range output;
    const int32_t *cosine, *sine; /* (places, head / 2), 20 bits behind the point */
    const int32_t *read_factor;   /* (width,) */
    const int64_t *read_term;     /* (width,) */
    const int32_t *factor;        /* (width,) */
    const int64_t *term;          /* (width,) */
} mico_rope_t;

/* x (tokens, width) -> y (tokens, width), the first token at place 0 */
void mico_rope(const mico_rope_t *p, const void *x, void *y);

/* Token `at` of x as one at this place, to token `at` of y. */
void mico_turn(const mico_rope_t *p, const void *x, int32_t at, int32_t place, void *y);

#endif
