/* Patches go to the unit's buffer, the weights stream past them: no scratch, no unpacking.
 *
 * The unit takes no instruction while a load, a store or a branch is on its way, so that several loads come before several
 * instructions, with the counting in between. */
#include "mico_conv2d_dot.h"

#include "mico_dot.h"

#define MICO_INLINE static inline __attribute__((always_inline))

/* An aligned word that holds at least one byte of the array begin .. end - 1. A machine with sanitizers is given no other byte. */
MICO_INLINE uint32_t word_at(const void *at, const uint8_t *begin, const uint8_t *end)
{
    uint32_t word = 0;
#ifdef __riscv
    (void)begin;
    (void)end;
    __asm__ volatile("lw %0, %1" : "=r"(word) : "m"(*(const uint32_t *)at));
#else
    for (uint32_t i = 0; i < 4u; i++) {
        const uint8_t *byte = (const uint8_t *)((uintptr_t)at + i);
        if ((uintptr_t)byte >= (uintptr_t)begin && (uintptr_t)byte < (uintptr_t)end)
            word |= (uint32_t)*byte << 8u * i;
    }
#endif
    return word;
}

MICO_INLINE void push_zeros(int32_t count)
{
    if (count == 0)
        return;
    MICO_DOT_DO(MICO_DOT_RUN, 0, count);
    for (; count > 0; count -= 8)
        MICO_DOT_DO(MICO_DOT_PUSH, 0, 0);
}

/* The words that hold the current run, which begins at `from`. */
MICO_INLINE void push_words(const uint8_t *from, int32_t count, const uint8_t *x, const uint8_t *end)
{
    const uint32_t *at = (const uint32_t *)((uintptr_t)from & ~(uintptr_t)3);
    int32_t words = (int32_t)(((uintptr_t)from & 3u) + (uint32_t)count + 3u) >> 2;

    for (; words >= 8; words -= 8, at += 8) {
        const uint32_t a = word_at(at, x, end), b = word_at(at + 1, x, end);
        const uint32_t c = word_at(at + 2, x, end), d = word_at(at + 3, x, end);
        const uint32_t e = word_at(at + 4, x, end), f = word_at(at + 5, x, end);
        const uint32_t g = word_at(at + 6, x, end), h = word_at(at + 7, x, end);
        MICO_DOT_DO(MICO_DOT_PUSH, a, b);
        MICO_DOT_DO(MICO_DOT_PUSH, c, d);
        MICO_DOT_DO(MICO_DOT_PUSH, e, f);
        MICO_DOT_DO(MICO_DOT_PUSH, g, h);
    }
    for (; words >= 2; words -= 2, at += 2) {
        const uint32_t a = word_at(at, x, end), b = word_at(at + 1, x, end);
        MICO_DOT_DO(MICO_DOT_PUSH, a, b);
    }
    if (words != 0)
        MICO_DOT_DO(MICO_DOT_PUSH, word_at(at, x, end), 0);
}

MICO_INLINE void push_run(const uint8_t *from, int32_t count, const uint8_t *x, const uint8_t *end)
{
    if (count == 0)
        return;
    MICO_DOT_DO(MICO_DOT_RUN, (uintptr_t)from, count);
    push_words(from, count, x, end);
}

/* The taps under the output at (oy, ox), zeros outside the input. */
static void push_patch(const mico_conv2d_dot_t *p, const uint8_t *x, int32_t oy, int32_t ox)
{
    const int32_t depth = p->in_c, width = p->in_w * depth, height = p->in_h;
    const int32_t run = p->kernel_w * depth, step = p->dilation_h;
    const int32_t left = (ox * p->stride_w - p->pad_w) * depth; /* bytes from the row's begin to the first tap */
    const uint8_t *const end = x + height * width;
    int32_t iy = oy * p->stride_h - p->pad_h;

    if (p->dilation_w != 1) {
        const int32_t step_w = p->dilation_w * depth;
        for (int32_t ky = 0; ky < p->kernel_h; ky++, iy += step) {
            const int outside = iy < 0 || iy >= height;
            for (int32_t kx = 0, at = left; kx < p->kernel_w; kx++, at += step_w) {
                if (outside || at < 0 || at >= width)
                    push_zeros(depth);
                else
                    push_run(x + iy * width + at, depth, x, end);
            }
        }
        return;
    }
    const int32_t over = left + run - width;
    const int32_t before = left < 0 ? -left < run ? -left : run : 0; /* bytes of the run left of the image */
    const int32_t after = over <= 0 ? 0 : over < run - before ? over : run - before;
    const int32_t inside = run - before - after;
    for (int32_t ky = 0; ky < p->kernel_h; ky++, iy += step) {
        if (iy < 0 || iy >= height) {
            push_zeros(run);
            continue;
        }
        push_zeros(before);
        push_run(x + iy * width + left + before, inside, x, end);
        push_zeros(after);
    }
}

/* The constants of channels c .. c + count - 1. */
static void send_channels(const mico_weights *w, int32_t c, int32_t count)
{
    const int32_t *bias = w->bias + c, *multiplier = w->multiplier + c;
    const uint8_t *shift = w->shift + c;

    MICO_DOT_DO(MICO_DOT_BLOCK, 0, 0);
    for (; count > 0; count--) {
        const uint32_t b = (uint32_t)*bias++, s = *shift++, m = (uint32_t)*multiplier++;
        MICO_DOT_DO(MICO_DOT_CHANNEL, b, m | s << 22);
    }
}

#define LOAD(name, i)                                                                                                  \
    const uint32_t name = word_at(w + (i), (const uint8_t *)w, (const uint8_t *)(w + (i) + 1))

/* One channel's weights past the patches. */
MICO_INLINE const uint32_t *multiply(const uint32_t *w, int32_t words)
{
    for (; words >= 8; words -= 8) {
        LOAD(a, 0);
        LOAD(b, 1);
        LOAD(c, 2);
        LOAD(d, 3);
        LOAD(e, 4);
        LOAD(f, 5);
        LOAD(g, 6);
        LOAD(h, 7);
        w += 8;
        MICO_DOT_DO(MICO_DOT_MAC, a, b);
        MICO_DOT_DO(MICO_DOT_MAC, c, d);
        MICO_DOT_DO(MICO_DOT_MAC, e, f);
        MICO_DOT_DO(MICO_DOT_MAC, g, h);
    }
    if (words >= 4) {
        LOAD(a, 0);
        LOAD(b, 1);
        LOAD(c, 2);
        LOAD(d, 3);
        w += 4;
        words -= 4;
        MICO_DOT_DO(MICO_DOT_MAC, a, b);
        MICO_DOT_DO(MICO_DOT_MAC, c, d);
    }
    if (words >= 2) {
        LOAD(a, 0);
        LOAD(b, 1);
        w += 2;
        words -= 2;
        MICO_DOT_DO(MICO_DOT_MAC, a, b);
    }
    if (words != 0) {
        LOAD(a, 0);
        w++;
        MICO_DOT_DO(MICO_DOT_MAC, a, 0);
    }
    return w;
}

/* A group's four channels, or the `count` that are left, at `positions` positions `step` elements apart. */
static void store_words(int32_t *y, int32_t positions, int32_t step, int32_t count)
{
    for (; positions > 0; positions--, y += step) {
        const uint32_t a = MICO_DOT(MICO_DOT_RESULT, 0, 0, 0), b = MICO_DOT(MICO_DOT_RESULT, 1, 0, 0);
        const uint32_t c = MICO_DOT(MICO_DOT_RESULT, 2, 0, 0), d = MICO_DOT(MICO_DOT_RESULT, 3 + MICO_DOT_NEXT, 0, 0);
        y[0] = (int32_t)a;
        if (count > 1)
            y[1] = (int32_t)b;
        if (count > 2)
            y[2] = (int32_t)c;
        if (count > 3)
            y[3] = (int32_t)d;
    }
}

static void store_bytes(uint8_t *y, int32_t positions, int32_t step, int32_t count)
{
    if (count == 4 && (((uintptr_t)y | (uint32_t)step) & 3u) == 0u) {
        for (; positions > 0; positions--, y += step)
            *(uint32_t *)(void *)y = MICO_DOT(MICO_DOT_RESULT4, 0, 0, 0);
        return;
    }
    for (; positions > 0; positions--, y += step) {
        const uint32_t four = MICO_DOT(MICO_DOT_RESULT4, 0, 0, 0);
        y[0] = (uint8_t)four;
        if (count > 1)
            y[1] = (uint8_t)(four >> 8);
        if (count > 2)
            y[2] = (uint8_t)(four >> 16);
        if (count > 3)
            y[3] = (uint8_t)(four >> 24);
    }
}

/* `channels` channels, whose weights are at w, of the tile's positions, to y. While a group is multiplied, the one before is stored. */
static void channels_of_tile(const mico_conv2d_dot_t *p, const uint32_t *w, int32_t channels, int32_t positions, uint8_t *y)
{
    const int32_t words = p->weights.row_words, step = p->out_c;

    for (int32_t c = 0; c < channels + 4; c += 4) {
        for (int32_t i = c; i < c + 4 && i < channels; i++)
            w = multiply(w, words);
        if (c == 0)
            continue;
        const int32_t left = channels - c + 4, count = left < 4 ? left : 4;
        if (p->output.type == MICO_S32) {
            store_words((int32_t *)(void *)y, positions, step, count);
            y += 16;
        } else {
            store_bytes(y, positions, step, count);
            y += 4;
        }
    }
}

void mico_conv2d_dot(const mico_conv2d_dot_t *p, const void *x, void *y)
{
    const int32_t size = p->out_h * p->out_w, element = p->output.type == MICO_S32 ? 4 : 1;
    const int32_t blocks = (p->out_c + MICO_DOT_CHANNELS - 1) / MICO_DOT_CHANNELS;
    uint8_t *to = y;
    int32_t oy = 0, ox = 0;

    MICO_DOT_DO(MICO_DOT_CONFIG, p->modes, (uint32_t)p->weights.taps | (uint32_t)p->patch_words << 16);
    MICO_DOT_DO(MICO_DOT_RANGE, p->output.min, p->output.max);
    if (blocks == 1)
        send_channels(&p->weights, 0, p->out_c);
    for (int32_t begin = 0; begin < size; begin += p->positions) {
        const int32_t positions = size - begin < p->positions ? size - begin : p->positions;

        MICO_DOT_DO(MICO_DOT_TILE, positions, 0);
        for (int32_t t = 0; t < positions; t++) {
            push_patch(p, x, oy, ox);
            if (++ox == p->out_w) {
                ox = 0;
                oy++;
            }
        }
        for (int32_t c = 0; c < p->out_c; c += MICO_DOT_CHANNELS) {
            const int32_t count = p->out_c - c < MICO_DOT_CHANNELS ? p->out_c - c : MICO_DOT_CHANNELS;
            if (blocks != 1)
                send_channels(&p->weights, c, count);
            channels_of_tile(p, p->weights.words + c * p->weights.row_words, count, positions, to + c * element);
        }
        to += positions * p->out_c * element;
    }
}
