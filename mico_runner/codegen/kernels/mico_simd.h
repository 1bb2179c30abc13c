/* Shared by the kernels for wide registers. Sixteen output channels are the lanes of a register, each a sum of 32 bits or a word of four
 * bytes; weights of a block of (at most) sixteen channels lie by words: word 0 of each channel, word 1 of each channel, ... Activations
 * are unsigned bytes: signed ones are read as x + 128, and the bias makes up for it.
 *
 * AVX-512 VNNI, AVX2 or plain C is chosen by the compiler's flags. Any of them gives the same integers. */
#ifndef MICO_SIMD_H
#define MICO_SIMD_H

#include "mico.h"

#if !defined __cplusplus /* what follows is for the kernels alone, which are C */

#if defined __AVX512VNNI__ && defined __AVX512BW__ && defined __AVX512DQ__ && defined __AVX512VL__
#define MICO_AVX512 1
#include <immintrin.h>
#elif defined __AVX2__
#define MICO_AVX2 1
#include <immintrin.h>
#endif

enum {
    MICO_LANES = 16,
    MICO_STORED = 4, /* positions whose outputs are brought to bytes together */
    MICO_SLACK = 16  /* bytes that may be read behind the last one */
};

#if defined MICO_AVX512

typedef __m512i mico_lanes_t;

MICO_INLINE mico_lanes_t mico_lanes_zero(void)
{
    return _mm512_setzero_si512();
}

/* The words of `count` channels. */
MICO_INLINE mico_lanes_t mico_lanes_load(const void *words, int32_t count)
{
    return _mm512_maskz_loadu_epi32((__mmask16)((1u << count) - 1u), words);
}

/* The same four bytes for all channels. */
MICO_INLINE mico_lanes_t mico_lanes_all(const uint8_t *bytes)
{
    int32_t word;
    __builtin_memcpy(&word, bytes, sizeof word); /* the caller's buffer need not be aligned */
    return _mm512_set1_epi32(word);
}

/* Takes of each channel its byte at each of four places. */
MICO_INLINE mico_lanes_t mico_lanes_four(const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d)
{
    const __m128i row[4] = {_mm_loadu_si128((const void *)a), _mm_loadu_si128((const void *)b), _mm_loadu_si128((const void *)c),
                            _mm_loadu_si128((const void *)d)};
    const __m512i turn = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i bytes = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    __m512i all = _mm512_castsi128_si512(row[0]);
    all = _mm512_inserti32x4(all, row[1], 1);
    all = _mm512_inserti32x4(all, row[2], 2);
    all = _mm512_inserti32x4(all, row[3], 3);
    return _mm512_shuffle_epi8(_mm512_permutexvar_epi32(turn, all), bytes);
}

/* acc + the four products of each lane: x unsigned, w signed bytes. */
MICO_INLINE mico_lanes_t mico_lanes_dot(mico_lanes_t acc, mico_lanes_t x, mico_lanes_t w)
{
    return _mm512_dpbusd_epi32(acc, x, w);
}

MICO_INLINE mico_lanes_t mico_lanes_add(mico_lanes_t a, mico_lanes_t b)
{
    return _mm512_add_epi32(a, b);
}

#elif defined MICO_AVX2

typedef struct {
    __m256i half[2];
} mico_lanes_t;

MICO_INLINE mico_lanes_t mico_lanes_all(const uint8_t *bytes)
{
    int32_t word;
    __builtin_memcpy(&word, bytes, sizeof word);
    const mico_lanes_t all = {{_mm256_set1_epi32(word), _mm256_set1_epi32(word)}};
    return all;
}

MICO_INLINE mico_lanes_t mico_lanes_four(const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d)
{
    const __m128i p = _mm_loadu_si128((const void *)a), q = _mm_loadu_si128((const void *)b);
    const __m128i r = _mm_loadu_si128((const void *)c), s = _mm_loadu_si128((const void *)d);
    const __m128i low = _mm_unpacklo_epi8(p, q), high = _mm_unpackhi_epi8(p, q);
    const __m128i more_low = _mm_unpacklo_epi8(r, s), more_high = _mm_unpackhi_epi8(r, s);
    const mico_lanes_t all = {{_mm256_set_m128i(_mm_unpackhi_epi16(low, more_low), _mm_unpacklo_epi16(low, more_low)),
                               _mm256_set_m128i(_mm_unpackhi_epi16(high, more_high), _mm_unpacklo_epi16(high, more_high))}};
    return all;
}

/* Products of bytes 0 and 2, then of bytes 1 and 3, as 16 bits: _mm256_maddubs_epi16 would saturate. */
MICO_INLINE mico_lanes_t mico_lanes_dot(mico_lanes_t acc, mico_lanes_t x, mico_lanes_t w)
{
    const __m256i even = _mm256_set1_epi16(0xff);
    for (int i = 0; i < 2; i++) {
        const __m256i even_w = _mm256_srai_epi16(_mm256_slli_epi16(w.half[i], 8), 8), odd_w = _mm256_srai_epi16(w.half[i], 8);
        acc.half[i] = _mm256_add_epi32(acc.half[i], _mm256_madd_epi16(_mm256_and_si256(x.half[i], even), even_w));
        acc.half[i] = _mm256_add_epi32(acc.half[i], _mm256_madd_epi16(_mm256_srli_epi16(x.half[i], 8), odd_w));
    }
    return acc;
}

MICO_INLINE mico_lanes_t mico_lanes_add(mico_lanes_t a, mico_lanes_t b)
{
    for (int i = 0; i < 2; i++)
        a.half[i] = _mm256_add_epi32(a.half[i], b.half[i]);
    return a;
}

#else

typedef struct {
    uint32_t lane[MICO_LANES];
} mico_lanes_t;

MICO_INLINE mico_lanes_t mico_lanes_all(const uint8_t *bytes)
{
    mico_lanes_t all;
    for (int32_t l = 0; l < MICO_LANES; l++)
        __builtin_memcpy(&all.lane[l], bytes, sizeof all.lane[l]);
    return all;
}

MICO_INLINE mico_lanes_t mico_lanes_four(const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d)
{
    mico_lanes_t all;
    for (int32_t l = 0; l < MICO_LANES; l++)
        all.lane[l] = a[l] | (uint32_t)b[l] << 8 | (uint32_t)c[l] << 16 | (uint32_t)d[l] << 24;
    return all;
}

MICO_INLINE mico_lanes_t mico_lanes_dot(mico_lanes_t acc, mico_lanes_t x, mico_lanes_t w)
{
    for (int32_t l = 0; l < MICO_LANES; l++) {
        for (int32_t bit = 0; bit < 32; bit += 8)
            acc.lane[l] += (uint32_t)((int32_t)(x.lane[l] >> bit & 0xffu) * (int8_t)(w.lane[l] >> bit & 0xffu));
    }
    return acc;
}

MICO_INLINE mico_lanes_t mico_lanes_add(mico_lanes_t a, mico_lanes_t b)
{
    for (int32_t l = 0; l < MICO_LANES; l++)
        a.lane[l] += b.lane[l];
    return a;
}

#endif

#if !defined MICO_AVX512

MICO_INLINE mico_lanes_t mico_lanes_zero(void)
{
#if defined MICO_AVX2
    const mico_lanes_t zero = {{_mm256_setzero_si256(), _mm256_setzero_si256()}};
#else
    const mico_lanes_t zero = {{0}};
#endif
    return zero;
}

MICO_INLINE mico_lanes_t mico_lanes_load(const void *words, int32_t count)
{
    mico_lanes_t all = mico_lanes_zero();
    if (count == MICO_LANES)
        __builtin_memcpy(&all, words, sizeof all);
    else
        __builtin_memcpy(&all, words, 4u * (uint32_t)count);
    return all;
}

#endif

/* How sums of a block of channels become outputs: the bias to begin with, and what mico_requantise.h does to the rest, whose
 * multiplier is split into `left` and a factor. */
typedef struct {
    mico_lanes_t bias, left, factor, shift;
    const mico_weights *weights; /* of a layer whose numbers are too large for it */
    int32_t channel, count;
    int32_t high_word; /* 1: multiplier and shift are those of mico_requantise.h, which need only the product's high word */
} mico_scaling;

/* That of channels c .. c + count - 1. */
MICO_INLINE mico_scaling mico_scaling_of(const mico_weights *w, int32_t c, int32_t count, int32_t high_word)
{
    mico_scaling s = {.weights = w, .channel = c, .count = count, .high_word = high_word};
    uint32_t left[MICO_LANES] = {0}, factor[MICO_LANES] = {0}, shift[MICO_LANES];

    for (int32_t l = 0; l < MICO_LANES; l++)
        shift[l] = 1;
    for (int32_t l = 0; l < count; l++) {
        left[l] = (uint32_t)w->multiplier[c + l] & 31u;
        factor[l] = (uint32_t)w->multiplier[c + l] & ~31u;
        shift[l] = w->shift[c + l];
    }
    s.bias = mico_lanes_load(w->bias + c, count);
    s.left = mico_lanes_load(left, MICO_LANES);
    s.factor = mico_lanes_load(factor, MICO_LANES);
    s.shift = mico_lanes_load(shift, MICO_LANES);
    return s;
}

/* Sums, whose bias is in them, to outputs before they are clamped, by the high word of the product; to signed bits, -1 and 1. */
#if defined MICO_AVX512

MICO_INLINE mico_lanes_t mico_lanes_rescale(mico_lanes_t r, const mico_scaling *s, const int sign)
{
    const __m512i one = _mm512_set1_epi32(1);
    if (sign)
        return _mm512_or_si512(_mm512_srai_epi32(r, 31), one);
    const __m512i round = _mm512_sllv_epi32(one, _mm512_sub_epi32(s->shift, one));
    r = _mm512_sllv_epi32(r, s->left);
    const __m512i even = _mm512_mul_epi32(r, s->factor);
    const __m512i odd = _mm512_mul_epi32(_mm512_shuffle_epi32(r, _MM_PERM_DDBB), _mm512_shuffle_epi32(s->factor, _MM_PERM_DDBB));
    r = _mm512_mask_shuffle_epi32(odd, 0x5555, even, _MM_PERM_DDBB); /* the high words of both */
    return _mm512_srav_epi32(_mm512_add_epi32(r, round), s->shift);
}

#elif defined MICO_AVX2

MICO_INLINE mico_lanes_t mico_lanes_rescale(mico_lanes_t r, const mico_scaling *s, const int sign)
{
    const __m256i one = _mm256_set1_epi32(1);
    for (int i = 0; i < 2; i++) {
        if (sign) {
            r.half[i] = _mm256_or_si256(_mm256_srai_epi32(r.half[i], 31), one);
            continue;
        }
        const __m256i round = _mm256_sllv_epi32(one, _mm256_sub_epi32(s->shift.half[i], one));
        const __m256i up = _mm256_sllv_epi32(r.half[i], s->left.half[i]), factor = s->factor.half[i];
        const __m256i even = _mm256_mul_epi32(up, factor);
        const __m256i odd = _mm256_mul_epi32(_mm256_srli_epi64(up, 32), _mm256_srli_epi64(factor, 32));
        const __m256i high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
        r.half[i] = _mm256_srav_epi32(_mm256_add_epi32(high, round), s->shift.half[i]);
    }
    return r;
}

#else

MICO_INLINE mico_lanes_t mico_lanes_rescale(mico_lanes_t r, const mico_scaling *s, const int sign)
{
    for (int32_t l = 0; l < MICO_LANES; l++) {
        const int32_t shift = (int32_t)s->shift.lane[l], round = 1 << (shift - 1);
        const uint32_t up = r.lane[l] << s->left.lane[l];
        r.lane[l] = (uint32_t)(sign ? (int32_t)r.lane[l] >> 31 | 1 : (mico_high_word(up, (int32_t)s->factor.lane[l]) + round) >> shift);
    }
    return r;
}

#endif

/* Clamped sums to outputs one by one: what lanes of 32 bits cannot hold, and what is not stored as bytes. */
static inline void mico_lanes_store_words(const mico_scaling *s, const mico_range *out, const mico_lanes_t *sums, int32_t positions, uint8_t *y,
                                   int32_t step)
{
    for (int32_t t = 0; t < positions; t++, y += step) {
        int32_t of[MICO_LANES];
        if (s->high_word) {
            const mico_lanes_t r = out->sign ? mico_lanes_rescale(sums[t], s, 1) : mico_lanes_rescale(sums[t], s, 0);
            __builtin_memcpy(of, &r, sizeof of);
        } else {
            __builtin_memcpy(of, sums + t, sizeof of);
        }
        for (int32_t l = 0; l < s->count; l++) {
            const int32_t c = s->channel + l;
            const int32_t r = s->high_word ? mico_clamp(of[l], out->min, (uint32_t)out->max - (uint32_t)out->min)
                                           : mico_rescale(of[l], s->weights->multiplier[c], s->weights->shift[c], out);
            mico_store(y, c, out->type, r);
        }
    }
}

#if defined MICO_AVX512

/* Outputs of four positions to bytes; y is where those of the first lie, and `step` bytes on those of the next. */
MICO_INLINE void mico_lanes_store_four(const mico_scaling *s, const mico_range *out, const mico_lanes_t *r, uint8_t *y, int32_t step)
{
    const __m512i a = _mm512_packs_epi32(r[0], r[1]), b = _mm512_packs_epi32(r[2], r[3]);
    const __m512i low = _mm512_set1_epi8((char)out->min), high = _mm512_set1_epi8((char)out->max);
    const __m512i turn = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m512i bytes = out->type == MICO_U8 ? _mm512_min_epu8(_mm512_max_epu8(_mm512_packus_epi16(a, b), low), high)
                                         : _mm512_min_epi8(_mm512_max_epi8(_mm512_packs_epi16(a, b), low), high);
    bytes = _mm512_permutexvar_epi32(turn, bytes);
    y += s->channel;
    if (s->count == MICO_LANES) {
        _mm_storeu_si128((void *)y, _mm512_castsi512_si128(bytes));
        _mm_storeu_si128((void *)(y + step), _mm512_extracti32x4_epi32(bytes, 1));
        _mm_storeu_si128((void *)(y + 2 * step), _mm512_extracti32x4_epi32(bytes, 2));
        _mm_storeu_si128((void *)(y + 3 * step), _mm512_extracti32x4_epi32(bytes, 3));
    } else {
        const __mmask16 mask = (__mmask16)((1u << s->count) - 1u);
        _mm_mask_storeu_epi8(y, mask, _mm512_castsi512_si128(bytes));
        _mm_mask_storeu_epi8(y + step, mask, _mm512_extracti32x4_epi32(bytes, 1));
        _mm_mask_storeu_epi8(y + 2 * step, mask, _mm512_extracti32x4_epi32(bytes, 2));
        _mm_mask_storeu_epi8(y + 3 * step, mask, _mm512_extracti32x4_epi32(bytes, 3));
    }
}

/* Sums of the block's channels at `positions` outputs (one, or a multiple of four), whose bias is in them, to y (out_c,) of the first
 * and, `step` bytes on, of the next. */
MICO_INLINE void mico_lanes_store(const mico_scaling *s, const mico_range *out, const mico_lanes_t *sums, const int positions, uint8_t *y,
                                  int32_t step)
{
    if (!s->high_word || out->type == MICO_S32) {
        mico_lanes_t in_memory[8]; /* a copy, so that sums stay in registers */
#pragma GCC unroll 8
        for (int t = 0; t < positions; t++)
            in_memory[t] = sums[t];
        mico_lanes_store_words(s, out, in_memory, positions, y, step);
        return;
    }
    if (positions == 1) {
        const __m512i r = out->sign ? mico_lanes_rescale(sums[0], s, 1) : mico_lanes_rescale(sums[0], s, 0);
        const __m512i kept = _mm512_min_epi32(_mm512_max_epi32(r, _mm512_set1_epi32(out->min)), _mm512_set1_epi32(out->max));
        _mm512_mask_cvtepi32_storeu_epi8(y + s->channel, (__mmask16)((1u << s->count) - 1u), kept);
        return;
    }
#pragma GCC unroll 4
    for (int t = 0; t < positions; t += MICO_STORED, y += MICO_STORED * step) {
        mico_lanes_t r[MICO_STORED];
#pragma GCC unroll 4
        for (int i = 0; i < MICO_STORED; i++)
            r[i] = out->sign ? mico_lanes_rescale(sums[t + i], s, 1) : mico_lanes_rescale(sums[t + i], s, 0);
        mico_lanes_store_four(s, out, r, y, step);
    }
}

#else

MICO_INLINE void mico_lanes_store(const mico_scaling *s, const mico_range *out, const mico_lanes_t *sums, const int positions, uint8_t *y,
                                  int32_t step)
{
    mico_lanes_store_words(s, out, sums, positions, y, step);
}

#endif

#endif

#endif
