/* The taps of im2col columns, from the image: what lies under one output, or under four side by side, with zeros outside the image. */
#ifndef MICO_GATHER_H
#define MICO_GATHER_H

#include "mico_conv2d_tiled.h"
#include "mico_order.h"

/* Copy n bytes, in pieces of `size` bytes at most, of which n and the addresses are multiples. */
MICO_INLINE void mico_copy(uint8_t *to, const uint8_t *from, int32_t n, const int size)
{
#define MICO_MOVE(type)                                                                                                \
    {                                                                                                                  \
        type *t = (type *)(void *)to;                                                                                  \
        const type *f = (const type *)(const void *)from;                                                              \
        for (n /= (int32_t)sizeof(type); n >= 4; n -= 4, t += 4, f += 4) { /* four loads, then four stores: no waiting */ \
            const type a = f[0], b = f[1], c = f[2], d = f[3];                                                         \
            t[0] = a;                                                                                                  \
            t[1] = b;                                                                                                  \
            t[2] = c;                                                                                                  \
            t[3] = d;                                                                                                  \
            MICO_ORDER(n); /* a short loop: not to be unrolled or taken for a vector's */                              \
        }                                                                                                              \
        if (n >= 2) {                                                                                                  \
            const type a = f[0], b = f[1];                                                                             \
            t[0] = a;                                                                                                  \
            t[1] = b;                                                                                                  \
            t += 2;                                                                                                    \
            f += 2;                                                                                                    \
        }                                                                                                              \
        if (n & 1)                                                                                                     \
            *t = *f;                                                                                                   \
    }
    if (size == 4)
        MICO_MOVE(mico_word)
    else if (size == 2)
        MICO_MOVE(mico_half)
    else
        MICO_MOVE(uint8_t)
#undef MICO_MOVE
}

/* How columns lie in memory, a byte per tap. */
enum {
    MICO_ROW,  /* one: tap by tap */
    MICO_TAPS, /* four: a word per tap, a byte of it per position */
    MICO_WORDS /* four: a word per four taps and position, in the order of the positions */
};

/* n bytes to taps k .. of the column that begins at `to`, in MICO_ROW or among MICO_WORDS, in pieces of `size` bytes at most, of which n, k
 * and the address are multiples. */
MICO_INLINE void mico_spread(uint8_t *to, int32_t k, const uint8_t *from, int32_t n, const int size, const int layout)
{
    if (layout == MICO_ROW) {
        mico_copy(to + k, from, n, size);
    } else if (size == 4) {
        to += 4 * k;
        for (; n >= 16; n -= 16, from += 16, to += 64) {
            const mico_word *const f = (const mico_word *)(const void *)from;
            mico_word *const t = (mico_word *)(void *)to;
            const uint32_t a = f[0], b = f[1], c = f[2], d = f[3];
            t[0] = a;
            t[4] = b;
            t[8] = c;
            t[12] = d;
            MICO_ORDER(n);
        }
        for (; n > 0; n -= 4, from += 4, to += 16) {
            *(mico_word *)(void *)to = *(const mico_word *)(const void *)from;
            MICO_ORDER(n);
        }
    } else {
#define MICO_MOVE(type)                                                                                                \
    {                                                                                                                  \
        const type *f = (const type *)(const void *)from;                                                              \
        to += 4 * (k & ~3);                                                                                            \
        for (k &= 3; k != 0 && n > 0; k = (k + size) & 3, n -= size) {                                                 \
            *(type *)(void *)(to + k) = *f++;                                                                          \
            if (k + size == 4)                                                                                         \
                to += 16;                                                                                              \
        }                                                                                                              \
        for (; n >= 4; n -= 4, to += 16) {                                                                             \
            type *const t = (type *)(void *)to;                                                                        \
            const type a = f[0], b = f[1], c = size == 1 ? f[2] : 0, d = size == 1 ? f[3] : 0;                         \
            t[0] = a;                                                                                                  \
            t[1] = b;                                                                                                  \
            if (size == 1) {                                                                                           \
                t[2] = c;                                                                                              \
                t[3] = d;                                                                                              \
            }                                                                                                          \
            f += 4 / size;                                                                                             \
            MICO_ORDER(n);                                                                                             \
        }                                                                                                              \
        for (; n > 0; n -= size, to += size) {                                                                         \
            *(type *)(void *)to = *f++;                                                                                \
            MICO_ORDER(n);                                                                                             \
        }                                                                                                              \
    }
        if (size == 2)
            MICO_MOVE(mico_half)
        else
            MICO_MOVE(uint8_t)
#undef MICO_MOVE
    }
}

/* Zeros beyond the taps of the columns. */
MICO_INLINE void mico_clear(const mico_conv2d_tiled_t *p, uint32_t *column, const int layout)
{
    const int32_t words = layout == MICO_ROW ? p->value_words : 4 * p->value_words;
    int32_t i = layout == MICO_ROW ? p->weights.taps / 4 : layout == MICO_TAPS ? p->weights.taps : p->weights.taps & ~3;

    for (; i < words; i++) {
        column[i] = 0;
        MICO_ORDER(i); /* short loops: not to be unrolled */
    }
}

/* The same with dilation, which mico_gather calls. */
void mico_gather_dilated(const mico_conv2d_tiled_t *p, const uint8_t *x, int32_t iy, int32_t ix, uint8_t *to, int layout);

/* The taps under the output whose first tap is at (iy, ix), zeros outside the input, to the column that begins at `to`, in MICO_ROW or among
 * MICO_WORDS. */
MICO_INLINE void mico_gather(const mico_conv2d_tiled_t *p, const uint8_t *x, int32_t iy, int32_t ix, uint8_t *to,
                             const int layout)
{
    const int32_t depth = p->size.in_c, width = p->size.in_w * depth, run = p->size.kernel_w * depth;
    const int32_t begin = ix * depth;
    int32_t ky = 0, k = 0, rows = p->size.kernel_h, inside = run;
    const uint8_t *from = x + iy * width + begin;

    if (p->size.dilation_h * p->size.dilation_w != 1) {
        mico_gather_dilated(p, x, iy, ix, to, layout);
        return;
    }
    if (((iy | ix) < 0) | (iy + rows > p->size.in_h) | (begin + run > width)) { /* some taps are outside: they stay zero */
        for (int32_t i = 0; i < p->weights.taps; i += 4) {
            *(mico_word *)(void *)(to + (layout == MICO_ROW ? i : 4 * i)) = 0;
            MICO_ORDER(i);
        }
        if (iy < 0)
            ky = -iy;
        if (iy + rows > p->size.in_h)
            rows = p->size.in_h - iy;
        if (begin + run > width)
            inside = width - begin;
        from += ky * width;
        k = ky * run;
        if (ix < 0) {
            inside += begin;
            from -= begin;
            k -= begin;
        }
        if (inside <= 0)
            return;
    }
    const uintptr_t odd = (uintptr_t)x | (uintptr_t)depth; /* all lengths are multiples of the depth */
    if ((odd & 3u) == 0u) {
        for (; ky < rows; ky++, from += width, k += run)
            mico_spread(to, k, from, inside, 4, layout);
    } else if ((odd & 1u) == 0u) {
        for (; ky < rows; ky++, from += width, k += run)
            mico_spread(to, k, from, inside, 2, layout);
    } else {
        for (; ky < rows; ky++, from += width, k += run)
            mico_spread(to, k, from, inside, 1, layout);
    }
}

/* The taps under four outputs side by side, from the one whose first tap is at (iy, ix) on, as values in MICO_TAPS. What neighbours share
 * is loaded once. The bytes under the outputs in one row of the image are first collected, where some are outside, at the end of the
 * words that they become; where MICO_NEAR they are read before they are overwritten. */
#define MICO_NEAR(p) ((p)->size.kernel_w >= 2 * (p)->size.stride_w)
MICO_INLINE void mico_gather_four(const mico_conv2d_tiled_t *p, const uint8_t *x, int32_t iy, int32_t ix, uint32_t *taps, const int half)
{
    const int32_t depth = p->size.in_c, width = p->size.in_w * depth, run = p->size.kernel_w * depth, step = p->size.stride_w * depth;
    const int32_t reach = 3 * step + run, begin = ix * depth, alone = step < run ? step : run;
    const int32_t left = begin < 0 ? -begin : 0, right = begin + reach > width ? width - begin : reach;
    const uint8_t *row = x + iy * width + begin;
    uint32_t *to = taps;

    const int whole = right - left == reach;

    for (int32_t ky = 0; ky < p->size.kernel_h; ky++, iy++, row += width) {
        const uint8_t *a = row;
        uint32_t *const end = to + run, *const shared = to + alone;
        if (iy < 0 || iy >= p->size.in_h) {
            for (; to != end; to++) {
                *to = 0;
                MICO_ORDER(to);
            }
            continue;
        }
        if (!whole) {
            uint8_t *const line = (uint8_t *)end - reach;
            for (int32_t i = 0; i < left; i++) {
                line[i] = 0;
                MICO_ORDER(i); /* short loops: not to be unrolled */
            }
            for (int32_t i = right; i < reach; i++) {
                line[i] = 0;
                MICO_ORDER(i);
            }
            mico_copy(line + left, row + left, right - left, 1);
            a = line;
        }
        const uint8_t *b = a + step, *c = b + step, *d = c + step;
        for (; to != shared; to++) {
            uint32_t w0 = *a++, w1 = *b++, w2 = *c++, w3 = *d++;
            MICO_ORDER(w3);
            w1 <<= 8;
            MICO_ORDER(w1);
            w2 <<= 16;
            MICO_ORDER(w2);
            w3 <<= 24;
            MICO_ORDER(w3);
            *to = w0 | w1 | w2 | w3;
        }
        const uint32_t *before = to - step;
        uint32_t old = before[0], next;
        if (step == 1) { /* what was written last is not loaded again: the core would wait for it */
            for (; end - to >= 2; to += 2, d += 2) {
                uint32_t after = d[1];
                next = d[0];
                MICO_ORDER(after);
                old >>= 8;
                MICO_ORDER(old);
                next <<= 24;
                MICO_ORDER(next);
                after <<= 24;
                MICO_ORDER(after);
                old |= next;
                to[0] = old;
                old >>= 8;
                MICO_ORDER(old);
                old |= after;
                to[1] = old;
            }
            before = to - 1;
        }
        for (; to != end; to++) {
            next = *d++;
            old = *before++;
            MICO_ORDER(old);
            next <<= 24;
            MICO_ORDER(next);
            *to = old >> 8 | next;
        }
    }
    mico_clear(p, taps, MICO_TAPS);
    if (p->xor_mask != 0u) {
        for (int32_t i = 0; i < 4 * p->value_words; i++) {
            const uint32_t masked = (taps[i] ^ p->xor_mask) - p->input_offset;
            taps[i] = half ? masked >> 1 & 0x01010101u : masked;
            MICO_ORDER(i);
        }
    }
}

#endif
