#include "mico_depthwise_mve.h"

#include "mico_mve.h"

enum { GROUP = 4 };

/* The weights of four channels, tap after tap. */
static void unpack(const mico_weights *w, int32_t c, int8_t *to)
{
    const uint32_t *words = w->words + c * w->row_words;
    const uint32_t bits = (uint32_t)w->bits, mask = (1u << bits) - 1u, sign = bits == 1u ? 0u : 1u << (bits - 1u);
    uint32_t at = 0;

    for (int32_t i = GROUP * w->taps; i > 0; i--, at += bits) {
        const uint32_t pattern = words[at >> 5] >> (at & 31u) & mask;
        *to++ = (int8_t)(bits == 1u ? 2u * pattern - 1u : (pattern ^ sign) - sign);
    }
}

/* acc + the products of four channels at a tap. */
MICO_INLINE mico_words add_tap(mico_words acc, const uint8_t *x, const int8_t *w, const int is_signed)
{
    return mico_words_products(acc, is_signed ? mico_widen_signed(x) : mico_widen_unsigned(x, GROUP), mico_widen_signed(w));
}

/* The taps of the output at (iy, ix) that lie in the input. */
static __attribute__((noinline)) mico_words at_the_edge(const mico_depthwise_mve_t *p, mico_words acc, const uint8_t *x, int32_t iy, int32_t ix,
                                                        const int8_t *w)
{
    const int32_t pixel = p->size.in_c, row = p->size.in_w * pixel, is_signed = p->is_signed;

    for (int32_t ky = 0; ky < p->size.kernel_h; ky++, iy += p->size.dilation_h) {
        for (int32_t kx = 0, column = ix; kx < p->size.kernel_w; kx++, column += p->size.dilation_w, w += GROUP) {
            const uint8_t *const from = x + iy * row + column * pixel;
            if (iy >= 0 && iy < p->size.in_h && column >= 0 && column < p->size.in_w)
                acc = is_signed ? add_tap(acc, from, w, 1) : add_tap(acc, from, w, 0);
        }
    }
    return acc;
}

/* The numbers that make the outputs of four channels. */
typedef struct {
    mico_scales scales;
    mico_words bias, low, high;
} constants;

#ifdef MICO_MVE

/* The loop in assembly: all constants but the bias stay in registers. */
#define TAP(LOAD, w) LOAD " q1, [%[x]]\n vldrb.s32 q2, [%[w], #" w "]\n vmul.i32 q1, q1, q2\n vadd.i32 q0, q0, q1\n"
#define ROW(LOAD, first, second, third)                                                                                \
    TAP(LOAD, first) "add %[x], %[next]\n" TAP(LOAD, second) "add %[x], %[next]\n" TAP(LOAD, third)
#define OUTPUTS(LOAD, STORED)                                                                                          \
    __asm__ volatile("vldrw.32 q3, [%[by]]\n vldrw.32 q4, [%[by], #16]\n vldrw.32 q5, [%[by], #32]\n"                  \
                     "vldrw.32 q6, [%[by], #64]\n vldrw.32 q7, [%[by], #80]\n dls lr, %[n]\n"                           \
                     "1: vldrw.32 q0, [%[by], #48]\n" ROW(LOAD, "0", "4", "8") "add %[x], %[down]\n"                   \
                     ROW(LOAD, "12", "16", "20") "add %[x], %[down]\n" ROW(LOAD, "24", "28", "32") "add %[x], %[back]\n" \
                     STORED "vstrb.32 q0, [%[y]]\n add %[y], %[step]\n le lr, 1b\n"                                    \
                     : [x] "+&l"(x), [y] "+&l"(y)                                                                        \
                     : [w] "l"(w), [by] "r"(by), [n] "r"(n), [next] "r"(next), [down] "r"(down),  \
                       [back] "r"(back), [step] "r"(p->size.in_c)                   \
                     : "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "lr", "memory")
#define SCALED "vshl.s32 q0, q0, q3\n vmulh.s32 q0, q0, q4\n vrshl.s32 q0, q0, q5\n vmax.s32 q0, q0, q6\n vmin.s32 q0, q0, q7\n"
#define SIGN "vshr.s32 q0, q0, #31\n vorr q0, q0, q7\n" /* the largest is 1 */

#endif

/* n outputs of 3 x 3 taps, all inside the input, as bytes. */
static __attribute__((noinline)) void inside(const mico_depthwise_mve_t *p, const uint8_t *x, uint8_t *y, const int8_t *w, const constants *by,
                                             int32_t n)
{
    const int32_t next = p->size.dilation_w * p->size.in_c, below = p->size.dilation_h * p->size.in_w * p->size.in_c;
#ifdef MICO_MVE
    const int32_t down = below - 2 * next, back = p->size.stride_w * p->size.in_c - 2 * below - 2 * next;

    if (p->output.sign != 0) {
        if (p->is_signed)
            OUTPUTS("vldrb.s32", SIGN);
        else
            OUTPUTS("vldrb.u32", SIGN);
    } else if (p->is_signed) {
        OUTPUTS("vldrb.s32", SCALED);
    } else {
        OUTPUTS("vldrb.u32", SCALED);
    }
#else
    for (; n > 0; n--, x += p->size.stride_w * p->size.in_c, y += p->size.in_c) {
        mico_words acc = by->bias;
        for (int i = 0; i < 9; i++)
            acc = add_tap(acc, x + i / 3 * below + i % 3 * next, w + GROUP * i, p->is_signed);
        mico_store_requantised(y, acc, &by->scales, &p->output, GROUP);
    }
#endif
}

/* Outputs that need no more of a row than it has: the first, and the one behind the last. */
static int32_t first_inside(const mico_depthwise_mve_t *p)
{
    const int32_t first = (p->size.pad_w + p->size.stride_w - 1) / p->size.stride_w;
    return first < p->size.out_w ? first : p->size.out_w;
}

static int32_t end_inside(const mico_depthwise_mve_t *p, int32_t first)
{
    const int32_t room = p->size.in_w - 1 - 2 * p->size.dilation_w + p->size.pad_w, end = room < 0 ? 0 : room / p->size.stride_w + 1;
    return end < first ? first : end < p->size.out_w ? end : p->size.out_w;
}

/* Outputs first .. end of a row, at the edge or of other kernels or types than `inside` has; x: the row and channel of the first tap. */
static void others(const mico_depthwise_mve_t *p, const uint8_t *x, uint8_t *y, const int8_t *w, const constants *by, int32_t iy, int32_t first,
                   int32_t end)
{
    const int32_t step = p->size.in_c * (p->output.type == MICO_S32 ? 4 : 1);

    for (; first < end; first++)
        mico_store_requantised(y + first * step, at_the_edge(p, by->bias, x, iy, first * p->size.stride_w - p->size.pad_w, w), &by->scales, &p->output, GROUP);
}

/* Four channels, which begin at x and y. */
static void channels(const mico_depthwise_mve_t *p, const uint8_t *x, uint8_t *y, const int8_t *w, const constants *by)
{
    const int32_t row = p->size.in_w * p->size.in_c, step = p->size.in_c * (p->output.type == MICO_S32 ? 4 : 1);
    const int32_t nine = p->size.kernel_h == 3 && p->size.kernel_w == 3 && p->output.type != MICO_S32;
    const int32_t first = first_inside(p), end = end_inside(p, first);

    for (int32_t oy = 0; oy < p->size.out_h; oy++, y += p->size.out_w * step) {
        const int32_t iy = oy * p->size.stride_h - p->size.pad_h;
        if (!nine || first == end || iy < 0 || iy + 2 * p->size.dilation_h >= p->size.in_h) {
            others(p, x, y, w, by, iy, 0, p->size.out_w);
        } else {
            others(p, x, y, w, by, iy, 0, first);
            inside(p, x + iy * row + (first * p->size.stride_w - p->size.pad_w) * p->size.in_c, y + first * step, w, by, end - first);
            others(p, x, y, w, by, iy, end, p->size.out_w);
        }
    }
}

void mico_depthwise_mve(const mico_depthwise_mve_t *p, const void *x, void *y, uint32_t *scratch)
{
    const int32_t element = p->output.type == MICO_S32 ? 4 : 1;

    for (int32_t c = 0; c < p->size.in_c; c += GROUP) {
        const constants by = {mico_load_scales(p->weights.multiplier + c, p->weights.shift + c, GROUP),
                              mico_load_words(p->weights.bias + c, GROUP), mico_same_words(p->output.min),
                              mico_same_words(p->output.max)};
        unpack(&p->weights, c, (int8_t *)scratch);
        channels(p, (const uint8_t *)x + c, (uint8_t *)y + c * element, (const int8_t *)scratch, &by);
    }
}
