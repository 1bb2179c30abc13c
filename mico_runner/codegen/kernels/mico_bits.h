/* Columns of single bits. */
#ifndef MICO_BITS_H
#define MICO_BITS_H

#include "mico_tile.h"

/* The lowest bits of 32 bytes become a word. The multiplication brings the four of a word to bits 28 .. 31, without carries. */
MICO_INLINE uint32_t mico_pack_bits(const uint32_t *values, int32_t words, int32_t positions, void *to)
{
    uint32_t *column = to;
    uint32_t sum = 0;
    for (int32_t i = 0; i < words; i += 8, column += positions) {
        const int32_t n = words - i < 8 ? words - i : 8;
        uint32_t bits = 0, ones = 0; /* ones: byte by byte, at most 8 in each */
        for (int32_t j = 0; j < n; j++) {
            const uint32_t four = *values++;
            ones += four;
            bits = bits >> 4 | (four * 0x10204080u & 0xf0000000u);
        }
        *column = bits >> 4 * (8 - n);
        sum += ones * 0x01010101u >> 24;
    }
    return sum;
}

/* Four taps below the bits before, in each byte; counted in `ones`, byte by byte. */
MICO_INLINE uint32_t mico_four_bits(const uint32_t *taps, uint32_t bits, uint32_t *ones)
{
#pragma GCC unroll 4
    for (int j = 3; j >= 0; j--) {
        const uint32_t tap = taps[j];
        bits += bits;
        *ones += tap;
        bits += tap;
    }
    return bits;
}

/* The same of four positions: eight taps become a byte of each, then their bytes words. At most 255 taps. */
MICO_INLINE void mico_pack_four_bits(uint32_t *taps, int32_t words, uint32_t *sums)
{
    uint32_t ones = 0, *column = taps; /* ones: byte by byte */

    for (; words > 0; column += 4) {
        uint32_t bytes[4] = {0, 0, 0, 0};
        for (uint32_t *to = bytes; words > 0 && to != bytes + 4; words -= 2, taps += 8) {
            uint32_t bits = 0;
            if (words > 1)
                bits = mico_four_bits(taps + 4, bits, &ones);
            bits = mico_four_bits(taps, bits, &ones);
            *to++ = bits;
            MICO_ORDER(to); /* stays a loop */
        }
        mico_turn_words(bytes[0], bytes[1], bytes[2], bytes[3], column, 1);
    }
    for (int i = 0; i < MICO_WIDE; i++)
        sums[i] = ones >> 8 * i & 0xffu;
}

#endif
