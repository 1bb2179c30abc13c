/* Shared by the kernels of attention: loads, scores, and powers in proportion to which values are added up. */
#ifndef MICO_ATTENTION_PARTS_H
#define MICO_ATTENTION_PARTS_H

#include "mico.h"

enum { MICO_TERMS = 128 }; /* products of 16 and 8 bits whose sum fits an int32_t */

/* A byte as an integer of its type: turn is 0 without a sign, 128 with one. */
static inline int32_t mico_value(uint8_t byte, int32_t turn)
{
    return (byte ^ turn) - turn;
}

static inline int32_t mico_turn_of(mico_type type)
{
    return type == MICO_S8 ? 128 : 0;
}

/* 2^-z with 16 bits behind the point, z in proportion to how far a score is below the greatest; table: 2^-f, 30 bits behind the point. */
static inline uint32_t mico_power(const int32_t *table, int32_t multiplier, int32_t shift, uint32_t distance)
{
    const int32_t most = 31 << 15, up = distance > INT32_MAX ? INT32_MAX : (int32_t)distance;
    const int64_t exact = ((int64_t)up * multiplier + ((int64_t)1 << (shift - 1))) >> shift;
    const int32_t z = exact < most ? (int32_t)exact : most;
    const int32_t entry = z >> 10 & 31, rest = z & 1023, drop = 14 + (z >> 15);
    const int32_t *t = table + entry;
    const int64_t found = t[0] - ((int64_t)(t[0] - t[1]) * rest >> 10);
    return (uint32_t)((found + ((int64_t)1 << (drop - 1))) >> drop);
}

/* The score of d elements of a query, the first of which is number `first`, and of a key: sizes up to 2^31 - 1. */
static inline int32_t mico_score(const void *q, mico_type type, int32_t first, const uint8_t *key, int32_t turn, int32_t d)
{
    const int32_t of_q = mico_turn_of(type);
    const uint8_t *query = (const uint8_t *)q + first;
    int32_t score = 0;

    if (type == MICO_S32)
        for (int32_t i = 0; i < d; i++)
            score += mico_load(q, first + i, MICO_S32) * mico_value(key[i], turn);
    else
        for (int32_t i = 0; i < d; i++)
            score += mico_value(query[i], of_q) * mico_value(key[i], turn);
    return score;
}

#endif
