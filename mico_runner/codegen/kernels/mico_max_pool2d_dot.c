#include "mico_max_pool2d_dot.h"

#include "mico_dot.h"

/* Pools units of one, two or four channels of unsigned or signed bytes; the window of 2 x 2 has its own loop. `pixel`, `row`: units. */
#define POOL(name, type, funct3)                                                                                       \
    static void name(const mico_window *w, const type *x, type *y, int32_t pixel)                                      \
    {                                                                                                                  \
        const int32_t row = w->in_w * pixel;                                                                           \
        for (int32_t oy = 0; oy < w->out_h; oy++) {                                                                    \
            int32_t y0, y1;                                                                                            \
            mico_span(oy, w->stride_h, w->pad_h, w->kernel_h, w->in_h, &y0, &y1);                                      \
            for (int32_t ox = 0; ox < w->out_w; ox++) {                                                                \
                int32_t x0, x1;                                                                                        \
                mico_span(ox, w->stride_w, w->pad_w, w->kernel_w, w->in_w, &x0, &x1);                                  \
                const type *from = x + y0 * row + x0 * pixel;                                                          \
                if (y1 - y0 == 2 && x1 - x0 == 2) {                                                                    \
                    for (int32_t u = 0; u < pixel; u++, from++) {                                                      \
                        const uint32_t a = from[0], b = from[pixel], c = from[row], d = from[row + pixel];             \
                        const uint32_t e = MICO_DOT(MICO_DOT_MAX, funct3, a, b);                                       \
                        const uint32_t f = MICO_DOT(MICO_DOT_MAX, funct3, c, d);                                       \
                        *y++ = (type)MICO_DOT(MICO_DOT_MAX, funct3, e, f);                                             \
                    }                                                                                                  \
                    continue;                                                                                          \
                }                                                                                                      \
                for (int32_t u = 0; u < pixel; u++, from++) {                                                          \
                    const type *line = from;                                                                           \
                    uint32_t best = *from;                                                                             \
                    for (int32_t iy = y0; iy < y1; iy++, line += row) {                                                \
                        for (int32_t i = 0; i < x1 - x0; i++)                                                          \
                            best = MICO_DOT(MICO_DOT_MAX, funct3, best, line[i * pixel]);                              \
                    }                                                                                                  \
                    *y++ = (type)best;                                                                                 \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }
POOL(unsigned_1, uint8_t, 0)
POOL(unsigned_2, uint16_t, 0)
POOL(unsigned_4, uint32_t, 0)
POOL(signed_1, uint8_t, 1)
POOL(signed_2, uint16_t, 1)
POOL(signed_4, uint32_t, 1)

void mico_max_pool2d_dot(const mico_max_pool2d_dot_t *p, const void *x, void *y)
{
    const mico_window *w = &p->window;
    const int32_t channels = w->channels;
    const uint32_t alignment = ((uint32_t)(uintptr_t)x | (uint32_t)(uintptr_t)y | (uint32_t)channels) & 3u;

    if (alignment == 0u)
        (p->is_signed ? signed_4 : unsigned_4)(w, x, y, channels / 4);
    else if (alignment == 2u)
        (p->is_signed ? signed_2 : unsigned_2)(w, x, y, channels / 2);
    else
        (p->is_signed ? signed_1 : unsigned_1)(w, x, y, channels);
}
