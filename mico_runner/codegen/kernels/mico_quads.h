/* Patches of codes below 4, four in a byte. */
#ifndef MICO_QUADS_H
#define MICO_QUADS_H

#include "mico_tile.h"

/* Codes below 4: of four taps a byte, `positions` of them one after the other. */
MICO_INLINE uint32_t mico_pack_quads(const uint32_t *codes, int32_t words, int32_t positions, void *patch)
{
    const uint32_t *const end = codes + words;
    uint8_t *to = patch;
    uint32_t sum = 0;

    while (codes != end) {
        const uint32_t *const stop = end - codes > 64 ? codes + 64 : end;
        uint32_t lanes = 0; /* 64 times a code fits */
        for (; codes != stop; codes++, to += positions) {
            const uint32_t word = *codes;
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
