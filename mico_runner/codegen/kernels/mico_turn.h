/* Four words of four bytes, transposed. */
#ifndef MICO_TURN_H
#define MICO_TURN_H

#include "mico_order.h"

/* Word i of the result, at to[i * step], has byte i of a, b, c and d. Of rows that are the constant 0 nothing is left. */
MICO_INLINE void mico_turn_words(uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t *to, int32_t step)
{
    const uint32_t mask = 0x00ff00ffu, low = 0xffffu;
    uint32_t b_up = (b & mask) << 8, d_up = (d & mask) << 8, a_down = a >> 8, c_down = c >> 8;
    const uint32_t even = (a & mask) | b_up, odd = (a_down & mask) | (b & ~mask);
    const uint32_t even_high = (c & mask) | d_up, odd_high = (c_down & mask) | (d & ~mask);

    to[0] = (even & low) | even_high << 16;
    to += step;
    to[0] = (odd & low) | odd_high << 16;
    to += step;
    to[0] = even >> 16 | (even_high & ~low);
    to += step;
    to[0] = odd >> 16 | (odd_high & ~low);
}

#endif
