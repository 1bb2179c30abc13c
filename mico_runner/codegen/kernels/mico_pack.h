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

/* Two taps at four positions: halves of words, `across`: both taps of a position, the first in the low half, else both positions of a
 * tap. to[0] .. to[3]: a position each; else the first tap's positions 0 and 1, 2 and 3, then the other's. */
MICO_INLINE void mico_halves(uint32_t a, uint32_t b, uint32_t *to, uint32_t *even, uint32_t *odd, const int across)
{
    const uint32_t mask = 0x00ff00ffu;
    uint32_t c = a >> 8, d = b >> 8;
    MICO_ORDER(c);
    MICO_ORDER(d);
    a &= mask;
    b &= mask;
    c &= mask;
    d &= mask;
    const uint32_t second = across ? b : c, third = across ? c : b;
    uint32_t a_high = a >> 16, third_high = third >> 16, second_up = second << 16, d_up = d << 16;
    MICO_ORDER(a_high);
    MICO_ORDER(third_high);
    MICO_ORDER(second_up);
    MICO_ORDER(d_up);
    *even += a + b;
    *odd += c + d;
    to[0] = (a & 0xffu) | second_up;
    to[across ? 2 : 1] = a_high | (second & ~0xffffu);
    to[across ? 1 : 2] = (third & 0xffu) | d_up;
    to[3] = third_high | (d & ~0xffffu);
}

/* Halves of words, tap by tap the positions. */
MICO_INLINE void mico_pack_halves_four(const uint32_t *taps, int32_t words, uint32_t *patch, uint32_t *sums)
{
    const uint32_t *const end = taps + 4 * words;
    uint32_t even = 0, odd = 0;

    for (; taps != end; taps += 2, patch += 4)
        mico_halves(taps[0], taps[1], patch, &even, &odd, 0);
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

/* Four codes per word become two words of two lanes: codes 0 and 2, then 1 and 3. */
MICO_INLINE uint32_t pack16(const uint32_t *codes, int32_t words, int32_t positions, void *to)
{
    const uint32_t mask = 0x00ff00ffu, *end = codes + words;
    uint32_t *patch = to;
    uint32_t sum = 0;

    while (codes != end) {
        const uint32_t *stop = end - codes > 64 ? codes + 64 : end;
        uint32_t lanes = 0; /* 64 times two codes fit */
        for (; codes != stop; codes++, patch += 2 * positions) {
            const uint32_t word = *codes;
            uint32_t odd = word >> 8;
            MICO_ORDER(odd);
            const uint32_t even = word & mask;
            odd &= mask;
            patch[0] = even;
            patch[positions] = odd;
            lanes += even;
            lanes += odd;
        }
        sum += (lanes & 0xffffu) + (lanes >> 16);
    }
    return sum;
}

/* The same of four positions. */
MICO_INLINE void pack16_four(const uint32_t *taps, int32_t words, uint32_t *patch, uint32_t *sums)
{
    const uint32_t *const end = taps + 4 * words;
    uint32_t even = 0, odd = 0;

    for (; taps != end; taps += 4, patch += 8) {
        mico_halves(taps[0], taps[2], patch, &even, &odd, 1);
        mico_halves(taps[1], taps[3], patch + 4, &even, &odd, 1);
    }
    mico_sums(even, odd, sums);
}

#endif
