/* Requantisation of accumulators in constant time, four at a time: the core waits for a shift or a product that the next instruction
 * needs.
 *
 * r = (acc * m + 2^(s-1)) >> s of mico_rescale, within low .. low + span, from the high word h of one product and without a branch, so
 * that cycles do not depend on the data. The multiplier is M = m << e, whose low five bits are zero and hold k instead, so that
 * acc << k fits; the shift is t = e + k + s - 32 >= 1 (codegen/tiling.py). With the rounding constant 2 * high + 1, high - r is
 * (rounding << (t - 1) - 1 - h) >> t: what is below 0 becomes 0, then the same of span minus it. */
#ifndef MICO_REQUANTISE_H
#define MICO_REQUANTISE_H

#include "mico_order.h"

enum { MICO_AT_ONCE = 4 };

/* A statement on each r[i], in the order written. */
#define MICO_EACH(statement)                                                                                           \
    for (int32_t i = 0; i < MICO_AT_ONCE; i++) {                                                                      \
        statement;                                                                                                     \
        MICO_ORDER(r[i]);                                                                                              \
    }

/* Values below 0 become 0. */
MICO_INLINE void mico_positive(int32_t *r)
{
    int32_t more[MICO_AT_ONCE];

    for (int32_t i = 0; i < MICO_AT_ONCE; i++) {
        more[i] = r[i] > 0;
        MICO_ORDER(more[i]); /* or the compiler makes a branch of it */
    }
    MICO_EACH(r[i] *= more[i])
}

/* From high - r to what is stored. */
MICO_INLINE void mico_between(int32_t *r, int32_t low, int32_t span)
{
    mico_positive(r);
    MICO_EACH(r[i] = span - r[i])
    mico_positive(r);
    MICO_EACH(r[i] += low)
}

/* Accumulators r of one channel, whose bias is not in them, to what is stored. */
MICO_INLINE void mico_requantise(int32_t *r, int32_t bias, int32_t multiplier, int32_t shift, int32_t rounding, int32_t low, int32_t span)
{
    const int32_t left = multiplier & 31, factor = multiplier & ~31, from = (rounding << (shift - 1)) - 1;

    MICO_EACH(r[i] = (int32_t)((uint32_t)bias + (uint32_t)r[i]))
    MICO_EACH(r[i] = (int32_t)((uint32_t)r[i] << left))
    MICO_EACH(r[i] = (int32_t)((int64_t)r[i] * factor >> 32))
    MICO_EACH(r[i] = from - r[i])
    MICO_EACH(r[i] >>= shift)
    mico_between(r, low, span);
}

#endif
