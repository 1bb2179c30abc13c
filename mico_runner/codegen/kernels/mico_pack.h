/* Codes of gathered taps to the words of patches, where several schemes have the same words. */
#ifndef MICO_PACK_H
#define MICO_PACK_H

#include "mico_turn.h"

/* From sums of positions 0 and 2 in halves of a word, and of 1 and 3. */
MICO_INLINE void mico_sums(uint32_t even, uint32_t odd, uint32_t *sums)
{
    sums[0] = even & 0xffffu;
    sums[1] = odd & 0xffffu;
    sums[2] = even >> 16;
    sums[3] = odd >> 16;
}

/* Halves of words, tap by tap the positions. */
MICO_INLINE void mico_pack_halves_four(const uint32_t *taps, int32_t words, uint32_t *patch, uint32_t *sums)
{
    const uint32_t mask = 0x00ff00ffu, *const end = taps + 4 * words;
    uint32_t even = 0, odd = 0;

    for (; taps != end; taps += 2, patch += 4) {
        uint32_t a = taps[0], b = taps[1], c = a >> 8, d = b >> 8;
        MICO_ORDER(c);
        MICO_ORDER(d);
        a &= mask;
        b &= mask;
        c &= mask;
        d &= mask;
        uint32_t a_high = a >> 16, b_high = b >> 16, c_up = c << 16, d_up = d << 16;
        MICO_ORDER(a_high);
        MICO_ORDER(b_high);
        MICO_ORDER(c_up);
        MICO_ORDER(d_up);
        even += a + b;
        odd += c + d;
        patch[0] = (a & 0xffu) | c_up;
        patch[1] = a_high | (c & ~0xffffu);
        patch[2] = (b & 0xffu) | d_up;
        patch[3] = b_high | (d & ~0xffffu);
    }
    mico_sums(even, odd, sums);
}

/* Halves of words, tap by tap the positions; of one position bytes. */
MICO_INLINE uint32_t mico_pack_halves(const uint32_t *codes, int32_t words, int32_t positions, void *patch)
{
    const uint32_t *end = codes + words;
    uint32_t sum = 0;

    if (positions == 1) {
        uint32_t *to = patch;
        for (; codes != end; codes++) {
            const uint32_t word = *codes;
            *to++ = word;
            const uint32_t pairs = (word & 0x00ff00ffu) + (word >> 8 & 0x00ff00ffu);
            sum += (pairs & 0xffffu) + (pairs >> 16);
        }
        return sum;
    }
    const uint32_t mask = 0x00ff00ffu;
    uint16_t *to = patch;
    while (codes != end) {
        const uint32_t *stop = end - codes > 64 ? codes + 64 : end;
        uint32_t lanes = 0; /* 64 times two codes fit */
        for (; codes != stop; codes++, to += 4 * positions) {
            uint32_t even = *codes, odd = even >> 8, high, higher;
            MICO_ORDER(odd);
            even &= mask;
            odd &= mask;
            high = even >> 16;
            MICO_ORDER(high);
            higher = odd >> 16;
            MICO_ORDER(higher);
            lanes += even;
            lanes += odd;
            to[0] = (uint16_t)even;
            to[positions] = (uint16_t)odd;
            to[2 * positions] = (uint16_t)high;
            to[3 * positions] = (uint16_t)higher;
        }
        sum += (lanes & 0xffffu) + (lanes >> 16);
    }
    return sum;
}

#endif
