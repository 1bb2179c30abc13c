#include "mico_tile.h"

int32_t mico_rescale_any(int32_t acc, int32_t multiplier, int32_t shift, const mico_range *out)
{
    if (shift < 24 || out->sign)
        return mico_rescale(acc, multiplier, shift, out);
    const int32_t r = (mico_high_word((uint32_t)acc, multiplier << 9) + (1 << (shift - 24))) >> (shift - 23);
    return mico_clamp(r, out->min, (uint32_t)out->max - (uint32_t)out->min);
}
