#include "mico_frame.h"

void mico_frame(const uint8_t *x, int32_t rows, int32_t bytes, int32_t first, int32_t count, int32_t side,
                uint8_t xor_mask, uint8_t *to)
{
    for (int32_t row = first; row < first + count; row++) {
        const int inside = row >= 0 && row < rows;
        const uint8_t *from = x + (inside ? row : 0) * bytes;
        const int32_t before = inside ? side : 2 * side + bytes;
        for (int32_t i = 0; i < before; i++)
            to[i] = xor_mask;
        to += before;
        if (!inside)
            continue;
        for (int32_t i = 0; i < bytes; i++)
            to[i] = from[i] ^ xor_mask;
        to += bytes;
        for (int32_t i = 0; i < side; i++)
            to[i] = xor_mask;
        to += side;
    }
}
