/* Causal attention to those keys that pass rounds of scores of few bits. */
#ifndef MICO_FILTERED_ATTENTION_H
#define MICO_FILTERED_ATTENTION_H

#include "mico.h"

typedef struct {
    int32_t tokens;
    int32_t heads, kv_heads, head; /* heads of queries, of keys and values; width of a head */
    mico_type q, k, v;
    int32_t multiplier, shift; /* from differences of scores to exponents to base 2, 15 bits behind the point */
    int32_t factor, out_shift; /* 2^out_shift * scale of the values / scale of the output */
    mico_range output;
    int32_t rounds;
    const int32_t *filters; /* (rounds, 3): bits dropped of queries, of keys; where between mean and greatest (or least) a score must be */
    const int32_t *power;   /* (33,): 2^-f, 30 bits behind the point */
} mico_filtered_attention_t;

/* q (tokens, heads * head), k and v (tokens, kv_heads * head) -> y (tokens, heads * head); words: (2, tokens), to work in */
void mico_filtered_attention(const mico_filtered_attention_t *p, const void *q, const void *k, const void *v, void *y,
                             uint32_t *words);

#endif
