/* Causal attention of one token to those before it, whose keys and values are kept. */
#ifndef MICO_ATTENTION_STEP_H
#define MICO_ATTENTION_STEP_H

#include "mico_attention.h"

typedef mico_attention_t mico_attention_step_t;

/* q (1, heads * head), k and v (1, kv_heads * head) of the token at *place, 0 .. tokens - 1 -> y (1, heads * head);
 * keys, values: (tokens, kv_heads * head) each, kept from token to token; powers: (tokens,), to work in */
void mico_attention_step(const mico_attention_step_t *p, const void *q, const void *k, const void *v, const void *place,
                         void *keys, void *values, void *y, uint32_t *powers);

#endif
