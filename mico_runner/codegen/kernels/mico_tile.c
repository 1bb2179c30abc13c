#include "mico_tile.h"

/* Copy n bytes, words where the addresses allow. Returns the end of the target. */
static uint8_t *copy(uint8_t *to, const uint8_t *from, int32_t n)
{
    if ((((uintptr_t)to | (uintptr_t)from) & 3u) == 0u) {
        for (; n >= 4; n -= 4, to += 4, from += 4)
            *(uint32_t *)(void *)to = *(const uint32_t *)(const void *)from;
    }
    for (; n > 0; n--)
        *to++ = *from++;
    return to;
}

static uint8_t *zeros(uint8_t *to, int32_t n)
{
    for (; n > 0; n--)
        *to++ = 0;
    return to;
}

void mico_gather(const mico_conv2d_tiled_t *p, const uint8_t *x, int32_t oy, int32_t ox, uint32_t *row)
{
    uint8_t *to = (uint8_t *)row;
    const int32_t left = ox * p->stride_w - p->pad_w;
    const int32_t run = p->kernel_w * p->in_c;
    const int inside = left >= 0 && left + p->kernel_w <= p->in_w && p->dilation_w == 1;

    for (int32_t ky = 0; ky < p->kernel_h; ky++) {
        const int32_t iy = oy * p->stride_h - p->pad_h + ky * p->dilation_h;
        if (iy < 0 || iy >= p->in_h) {
            to = zeros(to, run);
            continue;
        }
        const uint8_t *from = x + iy * p->in_w * p->in_c;
        if (inside) {
            to = copy(to, from + left * p->in_c, run);
            continue;
        }
        for (int32_t kx = 0; kx < p->kernel_w; kx++) {
            const int32_t ix = left + kx * p->dilation_w;
            to = ix < 0 || ix >= p->in_w ? zeros(to, p->in_c) : copy(to, from + ix * p->in_c, p->in_c);
        }
    }
}

int32_t mico_rescale_any(int32_t acc, int32_t multiplier, int32_t shift, const mico_range *out)
{
    if (shift < 24 || out->sign)
        return mico_rescale(acc, multiplier, shift, out);
    const int32_t r = (mico_high_word((uint32_t)acc, multiplier << 9) + (1 << (shift - 24))) >> (shift - 23);
    return mico_clamp(r, out->min, (uint32_t)out->max - (uint32_t)out->min);
}
