/* Shared by all kernels: how tensors are stored, requantisation, the dot product, packed weights.
 *
 * Integers only. Tensors are HWC, one byte per element (int32_t above 8 bits, int16_t of sound), real = scale * integer.
 * The arithmetic is defined in mico_runner/quant/qgraph.py; the same integers come out here, bit for bit. */
#ifndef MICO_H
#define MICO_H

#include <stdint.h>

/* Called before layer i, and once more after the last; compiled in by -DMICO_TIMING only. */
#ifdef MICO_TIMING
void mico_layer_hook(int layer);
#define MICO_LAYER_HOOK(i) mico_layer_hook(i)
#else
#define MICO_LAYER_HOOK(i) ((void)0)
#endif

/* A constant of a call. With -DMICO_PLACED those of a call lie together and it is known where, so that boards/bare.c can keep what is
 * read again and again from evicting each other from a small cache. */
#ifdef MICO_PLACED
#define MICO_CONSTANT(call) __attribute__((section(".rodata.mico." #call)))
#else
#define MICO_CONSTANT(call)
#endif

#define MICO_INLINE static inline __attribute__((always_inline))

/* Requantisation shifts negative int64_t: the compiler must do it arithmetically (all our targets' do). */
typedef char mico_assert_arithmetic_shift[((int64_t)-1 >> 1) == -1 ? 1 : -1];

/* Packed weights are read bytewise from little-endian words. */
#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "needs a little-endian target, and a compiler that says so (gcc, clang)"
#endif

/* How one element is stored. MICO_S16 is that of an input alone, as sound; the kernels that take such an input load it themselves. */
typedef enum { MICO_U8, MICO_S8, MICO_S32, MICO_S16 } mico_type;

/* The integers a layer may write. */
typedef struct {
    mico_type type;
    int32_t min, max;
    int32_t sign; /* 1: one signed bit, only -1 and +1 occur */
} mico_range;

/* Multiplier and shift that bring an accumulator to the output's scale. */
typedef struct {
    int32_t multiplier; /* 0 < multiplier < 2^22 */
    int32_t shift;      /* 1 .. 52 */
} mico_scale;

/* Sizes of a convolution, first in the struct of its kernels (mico_depthwise_t alone has its own). Of a linear layer the window is one pixel. */
typedef struct {
    int32_t in_h, in_w, in_c;
    int32_t out_h, out_w, out_c;
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w;
    int32_t pad_h, pad_w;
    int32_t dilation_h, dilation_w;
} mico_geometry;

/* The constants of a layer with weights. */
typedef struct {
    const uint32_t *words;     /* (rows, row_words): packed, little-endian, one row per output channel */
    const int32_t *bias;       /* (rows,) */
    const int32_t *multiplier; /* (rows,) */
    const uint8_t *shift;      /* (rows,) */
    int32_t row_words;
    int32_t taps; /* weights per row; the rest of the last word is padding and never read */
    int32_t bits; /* per weight in memory: 1 is -1 / +1, else two's complement */
} mico_weights;

/* Unpack row `r` of the weights into row[taps]. */
void mico_unpack(const mico_weights *w, int32_t r, int8_t *row);

static inline int32_t mico_load(const void *x, int32_t i, mico_type type)
{
    if (type == MICO_U8)
        return ((const uint8_t *)x)[i];
    if (type == MICO_S8)
        return ((const int8_t *)x)[i];
    int32_t value; /* memcpy, which needs no header so: the arena is declared as bytes */
    __builtin_memcpy(&value, (const uint8_t *)x + (int32_t)sizeof value * i, sizeof value);
    return value;
}

static inline void mico_store(void *y, int32_t i, mico_type type, int32_t value)
{
    if (type == MICO_U8)
        ((uint8_t *)y)[i] = (uint8_t)value;
    else if (type == MICO_S8)
        ((int8_t *)y)[i] = (int8_t)value;
    else
        __builtin_memcpy((uint8_t *)y + (int32_t)sizeof value * i, &value, sizeof value);
}

/* (acc + 2^(shift-1)) >> shift, clamped: acc is already multiplied, |acc| < 2^54. Rounds half up. */
static inline int32_t mico_round(int64_t acc, int32_t shift, const mico_range *out)
{
    if (out->sign)
        return acc >= 0 ? 1 : -1;
    int64_t r = (acc + ((int64_t)1 << (shift - 1))) >> shift;
    if (r < out->min)
        r = out->min;
    if (r > out->max)
        r = out->max;
    return (int32_t)r;
}

/* The integers low .. low + span. */
static inline int32_t mico_clamp(int32_t r, int32_t low, uint32_t span)
{
    if (__builtin_expect((uint32_t)r - (uint32_t)low > span, 0))
        r = r < low ? low : low + (int32_t)span;
    return r;
}

/* The same of a product of 64 bits. */
static inline int32_t mico_high_word(uint32_t acc, int32_t multiplier)
{
    return (int32_t)((int64_t)(int32_t)acc * multiplier >> 32);
}

static inline int32_t mico_rescale(int32_t acc, int32_t multiplier, int32_t shift, const mico_range *out)
{
    return mico_round((int64_t)acc * multiplier, shift, out);
}

/* Sum of x[i] * w[i]: x (n,) uint8_t or int8_t, w (n,). Export has checked that it fits an int32_t. */
static inline int32_t mico_dot(const void *x, mico_type type, const int8_t *w, int32_t n)
{
    int32_t acc = 0;
    if (type == MICO_U8) {
        const uint8_t *u = (const uint8_t *)x;
        for (int32_t i = 0; i < n; i++)
            acc += u[i] * w[i];
    } else {
        const int8_t *s = (const int8_t *)x;
        for (int32_t i = 0; i < n; i++)
            acc += s[i] * w[i];
    }
    return acc;
}

#endif
