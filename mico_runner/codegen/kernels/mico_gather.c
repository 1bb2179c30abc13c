#include "mico_gather.h"

void mico_gather_dilated(const mico_conv2d_tiled_t *p, const uint8_t *x, int32_t iy, int32_t ix, uint8_t *to, int layout)
{
    const int32_t depth = p->size.in_c;
    int32_t k = 0;

    for (int32_t ky = 0; ky < p->size.kernel_h; ky++) {
        const int32_t at_y = iy + ky * p->size.dilation_h;
        for (int32_t kx = 0; kx < p->size.kernel_w; kx++) {
            const int32_t at_x = ix + kx * p->size.dilation_w;
            const int inside = at_y >= 0 && at_y < p->size.in_h && at_x >= 0 && at_x < p->size.in_w;
            const uint8_t *from = x + (at_y * p->size.in_w + at_x) * depth;
            for (int32_t c = 0; c < depth; c++, k++)
                to[layout == MICO_ROW ? k : 4 * (k & ~3) + (k & 3)] = inside ? from[c] : 0;
        }
    }
}
