#include "mico_depthwise_dsp.h"

#include "mico_dsp.h"
#include "mico_order.h"

enum { GROUP = 4 };

/* How a channel is requantised (mico_requantise.h). */
typedef struct {
    uint32_t bias;
    int32_t factor, from, left, shift;
} scale;

/* The weights of four channels: those of the first and third, then those of the second and fourth, tap after tap. */
static void unpack(const mico_weights *w, int32_t c, uint32_t *to)
{
    const uint32_t *words = w->words + c * w->row_words;
    const uint32_t bits = (uint32_t)w->bits, mask = (1u << bits) - 1u, sign = bits == 1u ? 0u : 1u << (bits - 1u);
    uint32_t at = 0;

    for (int32_t t = 0; t < w->taps; t++, to += 2) {
        uint32_t value[GROUP];
        for (int i = 0; i < GROUP; i++, at += bits) {
            const uint32_t pattern = words[at >> 5] >> (at & 31u) & mask;
            value[i] = bits == 1u ? 2u * pattern - 1u : (pattern ^ sign) - sign;
        }
        to[0] = mico_low_halves(value[0], value[2]);
        to[1] = mico_low_halves(value[1], value[3]);
    }
}

/* Adds the products of four channels at one tap to their sums. */
MICO_INLINE void add_tap(uint32_t *d, const uint8_t *x, const uint32_t *w, const int is_signed)
{
    const uint32_t word = mico_four_bytes(x), first = w[0], second = w[1];
    const uint32_t even = is_signed ? mico_sxtb16(word) : mico_uxtb16(word);
    const uint32_t odd = is_signed ? mico_sxtb16_odd(word) : mico_uxtb16_odd(word);

    d[0] = mico_smlabb(even, first, d[0]);
    d[2] = mico_smlatt(even, first, d[2]);
    d[1] = mico_smlabb(odd, second, d[1]);
    d[3] = mico_smlatt(odd, second, d[3]);
}

#ifdef MICO_DSP

/* A tap at x, whose weights are `offset` bytes behind w. */
#define TAP(extend, address, offset)                                                                                   \
    "ldr %[t], " address "\n"                                                                                          \
    "ldrd %[wa], %[wb], [%[w], #" offset "]\n" extend " %[e], %[t]\n"                                                  \
    "smlabb %[d0], %[e], %[wa], %[d0]\n"                                                                               \
    "smlatt %[d2], %[e], %[wa], %[d2]\n" extend " %[e], %[t], ror #8\n"                                                \
    "smlabb %[d1], %[e], %[wb], %[d1]\n"                                                                               \
    "smlatt %[d3], %[e], %[wb], %[d3]\n"
#define ROW(extend, first, second, third)                                                                              \
    TAP(extend, "[%[x]]", first) TAP(extend, "[%[x], %[next]]", second) TAP(extend, "[%[x], %[next], lsl #1]", third)
#define BELOW "add %[x], %[x], %[below]\n"
#define NINE(extend)                                                                                                   \
    __asm__ volatile(ROW(extend, "0", "8", "16") BELOW ROW(extend, "24", "32", "40") BELOW ROW(extend, "48", "56", "64") \
                     : [d0] "+r"(d0), [d1] "+r"(d1), [d2] "+r"(d2), [d3] "+r"(d3), [x] "+r"(x), [wa] "=&r"(wa),        \
                       [wb] "=&r"(wb), [t] "=&r"(t), [e] "=&r"(e)                                                      \
                     : [w] "r"(w), [next] "r"(next), [below] "r"(below)                                                \
                     : "memory")

/* Adds the products of nine taps: in assembly, as compilers load all of them before the first product, and have no registers for that. */
MICO_INLINE void add_nine(uint32_t *d, const uint8_t *x, const uint32_t *w, int32_t next, int32_t below, const int is_signed)
{
    uint32_t d0 = d[0], d1 = d[1], d2 = d[2], d3 = d[3], wa, wb, t, e;

    if (is_signed)
        NINE("sxtb16");
    else
        NINE("uxtb16");
    d[0] = d0;
    d[1] = d1;
    d[2] = d2;
    d[3] = d3;
}

#else

MICO_INLINE void add_nine(uint32_t *d, const uint8_t *x, const uint32_t *w, int32_t next, int32_t below, const int is_signed)
{
    for (int ky = 0; ky < 3; ky++, x += below) {
        for (int kx = 0; kx < 3; kx++, w += 2)
            add_tap(d, x + kx * next, w, is_signed);
    }
}

#endif

MICO_INLINE void store(const scale *scales, const uint32_t *d, uint8_t *y, int32_t low, int32_t span, int32_t wide)
{
    int32_t r[GROUP];

    for (int i = 0; i < GROUP; i++) {
        r[i] = (scales[i].from - mico_high_word(d[i] << scales[i].left, scales[i].factor)) >> scales[i].shift;
        r[i] = low + mico_positive_part(span - mico_positive_part(r[i]));
    }
    if (wide) {
        for (int i = 0; i < GROUP; i++)
            ((int32_t *)(void *)y)[i] = r[i];
    } else {
        for (int i = 0; i < GROUP; i++)
            y[i] = (uint8_t)r[i];
    }
}

/* Four channels from c on. */
MICO_INLINE void channels(const mico_depthwise_dsp_t *p, const uint8_t *x, uint8_t *y, const uint32_t *w, const scale *scales, const int is_signed)
{
    const int32_t pixel = p->size.in_c, row = p->size.in_w * pixel, kernel_h = p->size.kernel_h, kernel_w = p->size.kernel_w;
    const int32_t low = p->output.min, span = p->output.max - low, wide = p->output.type == MICO_S32;
    const int32_t step = pixel * (wide ? 4 : 1), next = p->size.dilation_w * pixel, below = p->size.dilation_h * row;
    const int nine = kernel_h == 3 && kernel_w == 3;

    for (int32_t oy = 0; oy < p->size.out_h; oy++) {
        const int32_t iy = oy * p->size.stride_h - p->size.pad_h;
        const int inside_h = iy >= 0 && iy + (kernel_h - 1) * p->size.dilation_h < p->size.in_h;
        for (int32_t ox = 0; ox < p->size.out_w; ox++, y += step) {
            const int32_t ix = ox * p->size.stride_w - p->size.pad_w;
            uint32_t d[GROUP] = {scales[0].bias, scales[1].bias, scales[2].bias, scales[3].bias};
            if (nine && inside_h && ix >= 0 && ix + 2 * p->size.dilation_w < p->size.in_w) {
                add_nine(d, x + iy * row + ix * pixel, w, next, below, is_signed);
            } else {
                const uint32_t *tap = w;
                for (int32_t ky = 0, r = iy; ky < kernel_h; ky++, r += p->size.dilation_h) {
                    if (r < 0 || r >= p->size.in_h) {
                        tap += 2 * kernel_w;
                        continue;
                    }
                    const uint8_t *from = x + r * row + ix * pixel;
                    for (int32_t kx = 0, column = ix; kx < kernel_w; kx++, column += p->size.dilation_w, from += next, tap += 2) {
                        if (column >= 0 && column < p->size.in_w)
                            add_tap(d, from, tap, is_signed);
                    }
                }
            }
            store(scales, d, y, low, span, wide);
        }
    }
}

void mico_depthwise_dsp(const mico_depthwise_dsp_t *p, const void *x, void *y, uint32_t *scratch)
{
    const int32_t element = p->output.type == MICO_S32 ? 4 : 1;

    for (int32_t c = 0; c < p->size.in_c; c += GROUP) {
        scale scales[GROUP];
        for (int32_t i = 0; i < GROUP; i++) {
            const int32_t multiplier = p->weights.multiplier[c + i], shift = p->weights.shift[c + i];
            scales[i].bias = (uint32_t)p->weights.bias[c + i];
            scales[i].left = multiplier & 31;
            scales[i].factor = multiplier & ~31;
            scales[i].shift = shift;
            scales[i].from = (p->rounding << (shift - 1)) - 1;
        }
        unpack(&p->weights, c, scratch);
        if (p->is_signed)
            channels(p, (const uint8_t *)x + c, (uint8_t *)y + c * element, scratch, scales, 1);
        else
            channels(p, (const uint8_t *)x + c, (uint8_t *)y + c * element, scratch, scales, 0);
    }
}
