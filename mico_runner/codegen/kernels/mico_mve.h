/* Vectors of 16 bytes and of four words as Armv8.1-M has them (MVE, "Helium"; Cortex-M55): what kernels use of them, one function each. On
 * other processors the functions are plain C: the same integers, but slow. */
#ifndef MICO_MVE_H
#define MICO_MVE_H

#include "mico.h"

/* Shifts are by constants, which gcc has in inline functions when it optimises; what clang makes of plain C is right, too. */
#if defined __ARM_FEATURE_MVE && defined __OPTIMIZE__ && !defined __clang__
#define MICO_MVE
#include <arm_mve.h>
typedef int8x16_t mico_bytes;
typedef int32x4_t mico_words;
#else
typedef struct {
    int8_t at[16];
} mico_bytes;
typedef struct {
    int32_t at[4];
} mico_words;
#define MICO_LANES(type, n, value)                                                                                     \
    type r;                                                                                                            \
    for (int i = 0; i < n; i++)                                                                                        \
        r.at[i] = value;                                                                                               \
    return r
#define MICO_BYTES(value) MICO_LANES(mico_bytes, 16, (int8_t)(value))
#define MICO_WORDS(value) MICO_LANES(mico_words, 4, (int32_t)(value))
#endif

MICO_INLINE mico_bytes mico_load_bytes(const void *from)
{
#ifdef MICO_MVE
    return vldrbq_s8((const int8_t *)from);
#else
    MICO_BYTES(((const int8_t *)from)[i]);
#endif
}

/* The first n bytes, 0 behind them. */
MICO_INLINE mico_bytes mico_load_some(const void *from, int32_t n)
{
#ifdef MICO_MVE
    return vldrbq_z_s8((const int8_t *)from, vctp8q((uint32_t)n));
#else
    MICO_BYTES(i < n ? ((const int8_t *)from)[i] : 0);
#endif
}

/* The bytes without the first n, which are 0 and not read. */
MICO_INLINE mico_bytes mico_load_behind(const void *from, const int n)
{
#ifdef MICO_MVE
    return vldrbq_z_s8((const int8_t *)from, vpnot(vctp8q((uint32_t)n)));
#else
    MICO_BYTES(i < n ? 0 : ((const int8_t *)from)[i]);
#endif
}

/* Eight bytes twice, four bytes four times; from an address of a word. */
MICO_INLINE mico_bytes mico_load_repeated(const void *from, const int n)
{
#ifdef MICO_MVE
    if (n == 4)
        return vreinterpretq_s8_u32(vdupq_n_u32(*(const uint32_t *)from));
    return vreinterpretq_s8_s64(vldrdq_gather_offset_s64((const int64_t *)from, vreinterpretq_u64_u32(vdupq_n_u32(0))));
#else
    MICO_BYTES(((const int8_t *)from)[i % n]);
#endif
}

MICO_INLINE void mico_store_bytes(void *to, mico_bytes v)
{
#ifdef MICO_MVE
    vstrbq_s8((int8_t *)to, v);
#else
    for (int i = 0; i < 16; i++)
        ((int8_t *)to)[i] = v.at[i];
#endif
}

/* acc + the sum of a[i] * b[i]; acc + the sum of a[i]. */
MICO_INLINE int32_t mico_add_products(int32_t acc, mico_bytes a, mico_bytes b)
{
#ifdef MICO_MVE
    return vmladavaq_s8(acc, a, b);
#else
    uint32_t sum = (uint32_t)acc;
    for (int i = 0; i < 16; i++)
        sum += (uint32_t)(a.at[i] * b.at[i]);
    return (int32_t)sum;
#endif
}

MICO_INLINE int32_t mico_add_bytes(int32_t acc, mico_bytes a)
{
#ifdef MICO_MVE
    return vaddvaq_s8(acc, a);
#else
    for (int i = 0; i < 16; i++)
        acc += a.at[i];
    return acc;
#endif
}

/* a * 2^n, a >> n of each byte, n < 8. */
MICO_INLINE mico_bytes mico_bytes_up(mico_bytes a, const int n)
{
#ifdef MICO_MVE
    return n == 0 ? a : vshlq_n_s8(a, n);
#else
    MICO_BYTES((uint32_t)a.at[i] << n);
#endif
}

MICO_INLINE mico_bytes mico_bytes_down(mico_bytes a, const int n)
{
#ifdef MICO_MVE
    return n == 0 ? a : vshrq_n_s8(a, n);
#else
    MICO_BYTES(a.at[i] >> n);
#endif
}

/* Each byte by its own number of bits: up, or down if it is below 0. */
MICO_INLINE mico_bytes mico_bytes_each(mico_bytes a, mico_bytes n)
{
#ifdef MICO_MVE
    return vshlq_s8(a, n);
#else
    MICO_BYTES(n.at[i] >= 8 ? 0 : n.at[i] >= 0 ? (int32_t)((uint32_t)a.at[i] << n.at[i]) : a.at[i] >> (n.at[i] < -7 ? 7 : -n.at[i]));
#endif
}

MICO_INLINE mico_bytes mico_bytes_and(mico_bytes a, int32_t mask)
{
#ifdef MICO_MVE
    return vandq_s8(a, vdupq_n_s8((int8_t)mask));
#else
    MICO_BYTES(a.at[i] & mask);
#endif
}

MICO_INLINE mico_bytes mico_bytes_minus(mico_bytes a)
{
#ifdef MICO_MVE
    return vnegq_s8(a);
#else
    MICO_BYTES(-a.at[i]);
#endif
}

/* a + factor * b, of a byte. */
MICO_INLINE mico_bytes mico_bytes_plus(mico_bytes a, mico_bytes b, int32_t factor)
{
#ifdef MICO_MVE
    return vmlaq_n_s8(a, b, (int8_t)factor);
#else
    MICO_BYTES(a.at[i] + factor * b.at[i]);
#endif
}

/* Rows of n bytes, `step` bytes apart, one after another, each byte ^ `xor_mask`. */
MICO_INLINE void mico_copy_xored(int8_t *to, const uint8_t *from, int32_t n, int32_t rows, int32_t step, int32_t xor_mask)
{
#ifdef MICO_MVE
    int8_t *y;
    const uint8_t *x;
    __asm__ volatile("vdup.8 q1, %[xor_mask]\n"
                     "1: mov %[x], %[from]\n mov %[y], %[to]\n wlstp.8 lr, %[n], 3f\n"
                     "2: vldrb.8 q0, [%[x]], #16\n veor q0, q0, q1\n vstrb.8 q0, [%[y]], #16\n letp lr, 2b\n"
                     "3: add %[from], %[step]\n add %[to], %[n]\n subs %[rows], %[rows], #1\n bne 1b\n"
                     : [to] "+&r"(to), [from] "+&r"(from), [rows] "+&r"(rows), [x] "=&r"(x), [y] "=&r"(y)
                     : [n] "r"(n), [step] "r"(step), [xor_mask] "r"(xor_mask)
                     : "q0", "q1", "lr", "cc", "memory");
#else
    for (; rows > 0; rows--, from += step, to += n) {
        for (int32_t i = 0; i < n; i++)
            to[i] = (int8_t)(from[i] ^ xor_mask);
    }
#endif
}

MICO_INLINE void mico_fill(int8_t *to, int32_t n, int32_t value)
{
#ifdef MICO_MVE
    __asm__ volatile("vdup.8 q0, %[value]\n wlstp.8 lr, %[n], 2f\n 1: vstrb.8 q0, [%[to]], #16\n letp lr, 1b\n 2:\n"
                     : [to] "+&r"(to)
                     : [n] "r"(n), [value] "r"(value)
                     : "q0", "lr", "memory");
#else
    for (int32_t i = 0; i < n; i++)
        to[i] = (int8_t)value;
#endif
}

/* n <= 4 words; n bytes as words. */
MICO_INLINE mico_words mico_load_words(const int32_t *from, const int32_t n)
{
#ifdef MICO_MVE
    return n == 4 ? vldrwq_s32(from) : vldrwq_z_s32(from, vctp32q((uint32_t)n));
#else
    MICO_WORDS(i < n ? from[i] : 0);
#endif
}

MICO_INLINE mico_words mico_widen_unsigned(const uint8_t *from, const int32_t n)
{
#ifdef MICO_MVE
    return vreinterpretq_s32_u32(n == 4 ? vldrbq_u32(from) : vldrbq_z_u32(from, vctp32q((uint32_t)n)));
#else
    MICO_WORDS(i < n ? from[i] : 0);
#endif
}

MICO_INLINE mico_words mico_widen_signed(const void *from)
{
#ifdef MICO_MVE
    return vldrbq_s32((const int8_t *)from);
#else
    MICO_WORDS(((const int8_t *)from)[i]);
#endif
}

MICO_INLINE mico_words mico_same_words(int32_t a)
{
#ifdef MICO_MVE
    return vdupq_n_s32(a);
#else
    MICO_WORDS(a);
#endif
}

MICO_INLINE mico_words mico_words_plus(mico_words a, mico_words b)
{
#ifdef MICO_MVE
    return vaddq_s32(a, b);
#else
    MICO_WORDS((uint32_t)a.at[i] + (uint32_t)b.at[i]);
#endif
}

MICO_INLINE mico_words mico_words_plus_one(mico_words a, int32_t b)
{
#ifdef MICO_MVE
    return vaddq_n_s32(a, b);
#else
    MICO_WORDS((uint32_t)a.at[i] + (uint32_t)b);
#endif
}

/* a + b * c. */
MICO_INLINE mico_words mico_words_products(mico_words a, mico_words b, mico_words c)
{
#ifdef MICO_MVE
    return vaddq_s32(a, vmulq_s32(b, c));
#else
    MICO_WORDS((uint32_t)a.at[i] + (uint32_t)b.at[i] * (uint32_t)c.at[i]);
#endif
}

/* By as many bits up, or down if it is below 0. */
MICO_INLINE mico_words mico_words_shifted(mico_words a, int32_t n)
{
#ifdef MICO_MVE
    return vshlq_r_s32(a, n);
#else
    MICO_WORDS(n < 0 ? a.at[i] >> -n : (int32_t)((uint32_t)a.at[i] << n));
#endif
}

/* How four channels are requantised: mico_requantise.h. */
typedef struct {
    mico_words left, factor, down; /* down: minus the shift */
} mico_scales;

MICO_INLINE mico_scales mico_load_scales(const int32_t *multiplier, const uint8_t *shift, const int32_t n)
{
    const mico_words m = mico_load_words(multiplier, n), s = mico_widen_unsigned(shift, n);
    mico_scales r;
#ifdef MICO_MVE
    r.left = vandq_s32(m, vdupq_n_s32(31));
    r.factor = vbicq_s32(m, vdupq_n_s32(31));
    r.down = vnegq_s32(s);
#else
    for (int i = 0; i < 4; i++) {
        r.left.at[i] = m.at[i] & 31;
        r.factor.at[i] = m.at[i] & ~31;
        r.down.at[i] = -s.at[i];
    }
#endif
    return r;
}

/* Accumulators to n <= 4 elements of the output; of signed bits 1 or -1. */
MICO_INLINE void mico_store_requantised(void *y, mico_words acc, const mico_scales *by, const mico_range *output, const int32_t n)
{
#ifdef MICO_MVE
    mico_words r;
    if (output->sign != 0) {
        r = vorrq_s32(vshrq_n_s32(acc, 31), vdupq_n_s32(1));
    } else {
        r = vrshlq_s32(vmulhq_s32(vshlq_s32(acc, by->left), by->factor), by->down);
        r = vminq_s32(vmaxq_s32(r, vdupq_n_s32(output->min)), vdupq_n_s32(output->max));
    }
    if (output->type == MICO_S32) {
        if (n == 4)
            vstrwq_s32((int32_t *)y, r);
        else
            vstrwq_p_s32((int32_t *)y, r, vctp32q((uint32_t)n));
    } else {
        if (n == 4)
            vstrbq_s32((int8_t *)y, r);
        else
            vstrbq_p_s32((int8_t *)y, r, vctp32q((uint32_t)n));
    }
#else
    for (int32_t i = 0; i < n; i++) {
        const int32_t high = mico_high_word((uint32_t)acc.at[i] << by->left.at[i], by->factor.at[i]), down = -by->down.at[i];
        int32_t r = down == 0 ? high : (int32_t)(((int64_t)high + ((int64_t)1 << (down - 1))) >> down);
        r = r < output->min ? output->min : r > output->max ? output->max : r;
        mico_store(y, i, output->type, output->sign ? (acc.at[i] < 0 ? -1 : 1) : r);
    }
#endif
}

#endif
