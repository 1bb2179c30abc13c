/* Columns of values below 4, four in a byte. */
#ifndef MICO_QUADS_H
#define MICO_QUADS_H

#include "mico_tile.h"

/* Values below 4: of four taps a byte, `positions` of them one after the other. */
MICO_INLINE uint32_t mico_pack_quads(const uint32_t *values, int32_t words, int32_t positions, void *column)
{
    const uint32_t *const end = values + words;
    uint8_t *to = column;
    uint32_t sum = 0;

    while (values != end) {
        const uint32_t *const stop = end - values > 64 ? values + 64 : end;
        uint32_t lanes = 0; /* 64 times a value fits */
        for (; values != stop; values++, to += positions) {
            const uint32_t word = *values;
            uint32_t a = word >> 6, b = word >> 12, c = word >> 18;
            MICO_ORDER(a);
            MICO_ORDER(b);
            MICO_ORDER(c);
            lanes += word;
            a |= word;
            b |= c;
            *to = (uint8_t)(a | b);
        }
        sum += mico_sum_lanes(mico_lanes(0, lanes));
    }
    return sum;
}

#endif
