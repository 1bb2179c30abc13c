/* 64 bits by shifts and subtractions: no library's division, whose stack nobody knows. Once for a row, not for an element. */
#ifndef MICO_DIVIDE_H
#define MICO_DIVIDE_H

#include "mico.h"

/* floor(a / b), b > 0 and below 2^63. */
static inline uint64_t mico_divide(uint64_t a, uint64_t b)
{
    uint64_t quotient = 0, rest = 0;

    for (int32_t i = 0; i < 64; i++) {
        rest = rest << 1 | a >> 63;
        a <<= 1;
        quotient <<= 1;
        if (rest >= b) {
            rest -= b;
            quotient |= 1;
        }
    }
    return quotient;
}

/* floor(sqrt(a)), a < 2^62. */
static inline uint64_t mico_root(uint64_t a)
{
    uint64_t root = 0;

    for (uint64_t bit = (uint64_t)1 << 60; bit; bit >>= 2) {
        const uint64_t tried = root + bit;
        root >>= 1;
        if (a >= tried) {
            a -= tried;
            root += bit;
        }
    }
    return root;
}

#endif
