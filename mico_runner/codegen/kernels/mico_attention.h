/* Causal attention of grouped queries, from scores to weighted values. */
#ifndef MICO_ATTENTION_H
#define MICO_ATTENTION_H

#include "mico.h"

typedef struct {
    int32_t tokens; /* of queries; of the step for one token, of its cache */
    int32_t heads, kv_heads, head; /* heads of queries, of keys and values; width of a head */
    mico_type q, k, v, place;
    int32_t multiplier, shift;  /* from differences of scores to exponents to base 2, 15 bits behind the point */
    int32_t factor, out_shift;  /* 2^out_shift * scale of the values / scale of the output */
    mico_range output;
    const int32_t *power; /* (33,): 2^-f, 30 bits behind the point */
} mico_attention_t;

/* q (tokens, heads * head), k and v (tokens, kv_heads * head) -> y (tokens, heads * head); powers: (tokens,), to work in */
void mico_attention(const mico_attention_t *p, const void *q, const void *k, const void *v, void *y, uint32_t *powers);

/* Token `at` of q, of `count` keys and values, to token `at` of y. */
void mico_attend(const mico_attention_t *p, const void *q, int32_t at, const void *k, const void *v, int32_t count, void *y,
                 uint32_t *powers);

#endif
