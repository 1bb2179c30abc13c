/* Sums S of values, and columns in other forms than they are gathered in. */
#ifndef MICO_PACK_H
#define MICO_PACK_H

#include "mico_turn.h"

#define MICO_EVEN 0x00ff00ffu /* bytes 0 and 2 of a word */

/* Four values of a word added to two lanes of 16 bits. */
MICO_INLINE uint32_t mico_lanes(uint32_t lanes, uint32_t values)
{
    uint32_t odd = values >> 8;
    MICO_ORDER(odd);
    values &= MICO_EVEN;
    odd &= MICO_EVEN;
    lanes += values;
    return lanes + odd;
}

MICO_INLINE uint32_t mico_sum_lanes(uint32_t lanes)
{
    return (lanes & 0xffffu) + (lanes >> 16);
}

/* S of one column in MICO_ROW. `small`: values are below 16. */
MICO_INLINE uint32_t mico_sum(const uint32_t *values, int32_t words, const int small)
{
    const int32_t most = small ? 16 : 128; /* words whose values fit bytes; halves of words */
    const uint32_t *const end = values + words;
    uint32_t sum = 0;

    while (values != end) {
        const uint32_t *const stop = end - values > most ? values + most : end;
        uint32_t lanes = 0;
        for (; values != stop; values++)
            lanes = small ? lanes + *values : mico_lanes(lanes, *values);
        sum += mico_sum_lanes(small ? mico_lanes(0, lanes) : lanes);
    }
    return sum;
}

#define MICO_FOUR(a, b, c, d, words)                                                                                   \
    uint32_t a = (words)[0], b = (words)[1], c = (words)[2], d = (words)[3];                                           \
    MICO_ORDER(a);                                                                                                     \
    MICO_ORDER(b);                                                                                                     \
    MICO_ORDER(c);                                                                                                     \
    MICO_ORDER(d);

/* S of four columns in MICO_WORDS, which become MICO_TAPS in place where they are to `turn`. */
MICO_INLINE void mico_sum_words(uint32_t *column, int32_t words, uint32_t *sums, const int small, const int turn)
{
    const int32_t most = small ? 4 * 16 : 4 * 128; /* words whose values fit bytes; halves of words */
    const uint32_t *const end = column + 4 * words;
    uint32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;

    while (column != end) {
        const uint32_t *const stop = end - column > most ? column + most : end;
        uint32_t l0 = 0, l1 = 0, l2 = 0, l3 = 0;
        for (; column != stop; column += 4) {
            MICO_FOUR(a, b, c, d, column)
            if (small) {
                l0 += a;
                l1 += b;
                l2 += c;
                l3 += d;
            } else if (!turn) {
                l0 = mico_lanes(l0, a);
                l1 = mico_lanes(l1, b);
                l2 = mico_lanes(l2, c);
                l3 = mico_lanes(l3, d);
            } else { /* with what is in common with turning */
                l0 += (a & MICO_EVEN) + (a >> 8 & MICO_EVEN);
                l1 += (b & MICO_EVEN) + (b >> 8 & MICO_EVEN);
                l2 += (c & MICO_EVEN) + (c >> 8 & MICO_EVEN);
                l3 += (d & MICO_EVEN) + (d >> 8 & MICO_EVEN);
            }
            if (turn)
                mico_turn_words(a, b, c, d, column, 1);
        }
        s0 += mico_sum_lanes(small ? mico_lanes(0, l0) : l0);
        s1 += mico_sum_lanes(small ? mico_lanes(0, l1) : l1);
        s2 += mico_sum_lanes(small ? mico_lanes(0, l2) : l2);
        s3 += mico_sum_lanes(small ? mico_lanes(0, l3) : l3);
    }
    sums[0] = s0;
    sums[1] = s1;
    sums[2] = s2;
    sums[3] = s3;
}

/* S of four columns of at most 255 taps in MICO_TAPS, which become MICO_WORDS in place where they are to `turn`. */
MICO_INLINE void mico_sum_taps(uint32_t *taps, int32_t words, uint32_t *sums, const int small, const int turn)
{
    const uint32_t *const end = taps + 4 * words;
    uint32_t even = 0, odd = 0;

    for (; taps != end; taps += 4) {
        MICO_FOUR(a, b, c, d, taps)
        if (small) {
            const uint32_t lanes = a + b + c + d;
            even += lanes & MICO_EVEN;
            odd += lanes >> 8 & MICO_EVEN;
        } else {
            even += (a & MICO_EVEN) + (b & MICO_EVEN) + (c & MICO_EVEN) + (d & MICO_EVEN);
            odd += (a >> 8 & MICO_EVEN) + (b >> 8 & MICO_EVEN) + (c >> 8 & MICO_EVEN) + (d >> 8 & MICO_EVEN);
        }
        if (turn)
            mico_turn_words(a, b, c, d, taps, 1);
    }
    sums[0] = even & 0xffffu;
    sums[1] = odd & 0xffffu;
    sums[2] = even >> 16;
    sums[3] = odd >> 16;
}

/* Four values per word of one column become two words of two lanes: values 0 and 2, then 1 and 3. Returns S. */
MICO_INLINE uint32_t mico_pack_halves(const uint32_t *values, int32_t words, int32_t positions, void *to)
{
    const uint32_t *const end = values + words;
    uint32_t *column = to;
    uint32_t sum = 0;

    (void)positions;

    while (values != end) {
        const uint32_t *const stop = end - values > 128 ? values + 128 : end;
        uint32_t lanes = 0; /* 128 times two values fit */
        for (; values != stop; values++, column += 2) {
            const uint32_t word = *values;
            uint32_t odd = word >> 8;
            MICO_ORDER(odd);
            const uint32_t even = word & MICO_EVEN;
            odd &= MICO_EVEN;
            column[0] = even;
            column[1] = odd;
            lanes += even;
            lanes += odd;
        }
        sum += mico_sum_lanes(lanes);
    }
    return sum;
}

#endif
