/* Sixteen output channels are the lanes of a register. The weights of a block of (at most) sixteen rows lie by words: word 0 of each
 * row, word 1 of each row, ... In a word of n-bit weights, tap 4 j + i is in byte i from bit n * j on, so that a shift and a mask
 * give four taps of sixteen channels as bytes. They meet the four activations of each of four patches (the taps under one
 * output position).
 *
 * What is needed of the processor is in three functions: lanes_dot, lanes_weights, lanes_store. Chosen by the compiler's flags:
 * AVX-512 VNNI, AVX2, or plain C. */
#include "mico_conv2d_simd.h"

#if defined __AVX512VNNI__ && defined __AVX512BW__ && defined __AVX512DQ__
#define MICO_AVX512 1
#include <immintrin.h>
#elif defined __AVX2__
#define MICO_AVX2 1
#include <immintrin.h>
#endif

#define MICO_INLINE static inline __attribute__((always_inline))

enum { LANES = 16, PATCHES = 4 };

MICO_INLINE uint32_t word_at(const uint8_t *bytes)
{
    uint32_t word;
    __builtin_memcpy(&word, bytes, sizeof word); /* the caller's buffer need not be aligned */
    return word;
}

#if defined MICO_AVX512

typedef __m512i lanes;

MICO_INLINE lanes lanes_zero(void)
{
    return _mm512_setzero_si512();
}

/* Words of `count` rows. */
MICO_INLINE lanes lanes_load(const uint32_t *words, int32_t count)
{
    return _mm512_maskz_loadu_epi32((__mmask16)((1u << count) - 1u), words);
}

/* Weights 4 j .. 4 j + 3 of each word as signed bytes. */
MICO_INLINE lanes lanes_weights(lanes word, int32_t j, int32_t bits)
{
    if (bits == 8)
        return word;
    const lanes code = _mm512_and_si512(_mm512_srl_epi32(word, _mm_cvtsi32_si128(bits * j)), _mm512_set1_epi8((char)((1 << bits) - 1)));
    if (bits == 1)
        return _mm512_sub_epi8(_mm512_add_epi8(code, code), _mm512_set1_epi8(1));
    const lanes sign = _mm512_set1_epi8((char)(1 << (bits - 1)));
    return _mm512_sub_epi8(_mm512_xor_si512(code, sign), sign);
}

/* acc + the four products of each lane. */
MICO_INLINE lanes lanes_dot(lanes acc, uint32_t x, lanes w)
{
    return _mm512_dpbusd_epi32(acc, _mm512_set1_epi32((int32_t)x), w);
}

MICO_INLINE lanes lanes_add(lanes a, lanes b)
{
    return _mm512_add_epi32(a, b);
}

/* (acc * multiplier + round) >> shift of the even lanes, clamped. */
MICO_INLINE __m512i rescale(__m512i acc, __m512i multiplier, __m512i shift, const mico_range *out)
{
    const __m512i one = _mm512_set1_epi64(1);
    const __m512i product = _mm512_mul_epi32(acc, multiplier);
    const __m512i round = _mm512_sllv_epi64(one, _mm512_sub_epi64(shift, one));
    const __m512i r = _mm512_srav_epi64(_mm512_add_epi64(product, round), shift);
    return _mm512_min_epi64(_mm512_max_epi64(r, _mm512_set1_epi64(out->min)), _mm512_set1_epi64(out->max));
}

/* Accumulators of channels c .. c + count - 1 to the output, y (out_c,). */
MICO_INLINE void lanes_store(const mico_conv2d_simd_t *p, int32_t c, int32_t count, lanes acc, uint8_t *y)
{
    const __mmask16 mask = (__mmask16)((1u << count) - 1u);
    const mico_weights *w = &p->weights;
    const lanes sum = _mm512_add_epi32(acc, _mm512_maskz_loadu_epi32(mask, w->bias + c));
    lanes r;
    if (p->output.sign) {
        r = _mm512_mask_blend_epi32(_mm512_cmpge_epi32_mask(sum, _mm512_setzero_si512()), _mm512_set1_epi32(-1),
                                    _mm512_set1_epi32(1));
    } else {
        const lanes multiplier = _mm512_maskz_loadu_epi32(mask, w->multiplier + c);
        const lanes shift = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, w->shift + c));
        const __m512i low = _mm512_set1_epi64(0xffffffff);
        const __m512i even = rescale(sum, multiplier, _mm512_and_si512(shift, low), &p->output);
        const __m512i odd = rescale(_mm512_srli_epi64(sum, 32), _mm512_srli_epi64(multiplier, 32),
                                    _mm512_srli_epi64(shift, 32), &p->output);
        r = _mm512_or_si512(_mm512_and_si512(even, low), _mm512_slli_epi64(odd, 32));
    }
    if (p->output.type == MICO_S32)
        _mm512_mask_storeu_epi32(y + 4 * c, mask, r);
    else
        _mm512_mask_cvtepi32_storeu_epi8(y + c, mask, r);
}

#else

typedef struct {
#if defined MICO_AVX2
    __m256i half[2];
#else
    int32_t lane[LANES];
#endif
} lanes;

MICO_INLINE lanes lanes_zero(void)
{
    const lanes zero = {0};
    return zero;
}

MICO_INLINE lanes lanes_load(const uint32_t *words, int32_t count)
{
    lanes all = {0};
    __builtin_memcpy(&all, words, sizeof *words * (uint32_t)count);
    return all;
}

#if defined MICO_AVX2

MICO_INLINE lanes lanes_weights(lanes word, int32_t j, int32_t bits)
{
    const __m256i mask = _mm256_set1_epi8((char)((1 << bits) - 1)), sign = _mm256_set1_epi8((char)(1 << (bits - 1)));
    if (bits == 8)
        return word;
    for (int i = 0; i < 2; i++) {
        const __m256i code = _mm256_and_si256(_mm256_srli_epi32(word.half[i], bits * j), mask);
        word.half[i] = bits == 1 ? _mm256_sub_epi8(_mm256_add_epi8(code, code), _mm256_set1_epi8(1))
                                 : _mm256_sub_epi8(_mm256_xor_si256(code, sign), sign);
    }
    return word;
}

/* Products of bytes 0 and 2, then of bytes 1 and 3, as 16 bits: _mm256_maddubs_epi16 would saturate. */
MICO_INLINE lanes lanes_dot(lanes acc, uint32_t x, lanes w)
{
    const __m256i even = _mm256_set1_epi32((int32_t)(x & 0x00ff00ffu));
    const __m256i odd = _mm256_set1_epi32((int32_t)(x >> 8 & 0x00ff00ffu));
    for (int i = 0; i < 2; i++) {
        const __m256i even_w = _mm256_srai_epi16(_mm256_slli_epi16(w.half[i], 8), 8);
        const __m256i odd_w = _mm256_srai_epi16(w.half[i], 8);
        acc.half[i] = _mm256_add_epi32(acc.half[i], _mm256_madd_epi16(even, even_w));
        acc.half[i] = _mm256_add_epi32(acc.half[i], _mm256_madd_epi16(odd, odd_w));
    }
    return acc;
}

MICO_INLINE lanes lanes_add(lanes a, lanes b)
{
    for (int i = 0; i < 2; i++)
        a.half[i] = _mm256_add_epi32(a.half[i], b.half[i]);
    return a;
}

#else

/* Weight i of four in a word. */
MICO_INLINE int32_t weight_of(uint32_t word, int32_t i, int32_t bits)
{
    const uint32_t code = word >> (8 * i) & ((1u << bits) - 1u);
    const uint32_t sign = 1u << (bits - 1);
    return bits == 1 ? 2 * (int32_t)code - 1 : (int32_t)(code ^ sign) - (int32_t)sign;
}

MICO_INLINE lanes lanes_weights(lanes word, int32_t j, int32_t bits)
{
    for (int32_t l = 0; l < LANES; l++) {
        const uint32_t codes = (uint32_t)word.lane[l] >> (bits * j);
        uint32_t bytes = 0;
        for (int32_t i = 0; i < 4; i++)
            bytes |= (uint32_t)(weight_of(codes, i, bits) & 0xff) << (8 * i);
        word.lane[l] = (int32_t)bytes;
    }
    return word;
}

MICO_INLINE lanes lanes_dot(lanes acc, uint32_t x, lanes w)
{
    for (int32_t l = 0; l < LANES; l++) {
        for (int32_t i = 0; i < 4; i++)
            acc.lane[l] += (int32_t)(x >> (8 * i) & 0xffu) * weight_of((uint32_t)w.lane[l], i, 8);
    }
    return acc;
}

MICO_INLINE lanes lanes_add(lanes a, lanes b)
{
    for (int32_t l = 0; l < LANES; l++)
        a.lane[l] += b.lane[l];
    return a;
}

#endif

MICO_INLINE void lanes_store(const mico_conv2d_simd_t *p, int32_t c, int32_t count, lanes acc, uint8_t *y)
{
    const mico_weights *w = &p->weights;
    int32_t sums[LANES];
    __builtin_memcpy(sums, &acc, sizeof sums);
    for (int32_t l = 0; l < count; l++) {
        const uint32_t sum = (uint32_t)sums[l] + (uint32_t)w->bias[c + l]; /* wraps where x + 128 did */
        mico_store(y, c + l, p->output.type, mico_rescale((int32_t)sum, w->multiplier[c + l], w->shift[c + l], &p->output));
    }
}

#endif

/* Where the taps of up to four positions lie: for each a first kernel row, and bytes from one row to the next. */
typedef struct {
    const uint8_t *first[PATCHES];
    int32_t pitch;
    int32_t rows, row_words; /* words of weights of one row of taps */
} patches;

/* Two whole blocks, four positions. */
MICO_INLINE void wide(const mico_conv2d_simd_t *p, int32_t c, const patches *patch, uint8_t *y, int32_t step, int32_t bits)
{
    const uint32_t *words = p->weights.words + c * p->weights.row_words;
    const int32_t other = LANES * p->weights.row_words; /* from a block to the next */
    lanes a0 = lanes_zero(), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;

    for (int32_t row = 0, at = 0; row < patch->rows; row++, at += patch->pitch) {
        const uint8_t *const x0 = patch->first[0] + at, *const x1 = patch->first[1] + at;
        const uint8_t *const x2 = patch->first[2] + at, *const x3 = patch->first[3] + at;
        for (int32_t k = 0, i = 0; k < patch->row_words; k++, words += LANES) {
            const lanes word = lanes_load(words, LANES), next = lanes_load(words + other, LANES);
            for (int32_t j = 0; j < 8 / bits; j++, i += 4) {
                const lanes u = lanes_weights(word, j, bits), v = lanes_weights(next, j, bits);
                const uint32_t w0 = word_at(x0 + i), w1 = word_at(x1 + i), w2 = word_at(x2 + i), w3 = word_at(x3 + i);
                a0 = lanes_dot(a0, w0, u);
                b0 = lanes_dot(b0, w0, v);
                a1 = lanes_dot(a1, w1, u);
                b1 = lanes_dot(b1, w1, v);
                a2 = lanes_dot(a2, w2, u);
                b2 = lanes_dot(b2, w2, v);
                a3 = lanes_dot(a3, w3, u);
                b3 = lanes_dot(b3, w3, v);
            }
        }
    }
    lanes_store(p, c, LANES, a0, y);
    lanes_store(p, c, LANES, a1, y + step);
    lanes_store(p, c, LANES, a2, y + 2 * step);
    lanes_store(p, c, LANES, a3, y + 3 * step);
    lanes_store(p, c + LANES, LANES, b0, y);
    lanes_store(p, c + LANES, LANES, b1, y + step);
    lanes_store(p, c + LANES, LANES, b2, y + 2 * step);
    lanes_store(p, c + LANES, LANES, b3, y + 3 * step);
}

/* One block of `count` rows, four positions. */
MICO_INLINE void block(const mico_conv2d_simd_t *p, int32_t c, int32_t count, const patches *patch, uint8_t *y,
                       int32_t step, int32_t bits)
{
    const uint32_t *words = p->weights.words + c * p->weights.row_words;
    lanes a0 = lanes_zero(), a1 = a0, a2 = a0, a3 = a0;

    for (int32_t row = 0, at = 0; row < patch->rows; row++, at += patch->pitch) {
        const uint8_t *const x0 = patch->first[0] + at, *const x1 = patch->first[1] + at;
        const uint8_t *const x2 = patch->first[2] + at, *const x3 = patch->first[3] + at;
        for (int32_t k = 0, i = 0; k < patch->row_words; k++, words += count) {
            const lanes word = lanes_load(words, count);
            for (int32_t j = 0; j < 8 / bits; j++, i += 4) {
                const lanes w = lanes_weights(word, j, bits);
                a0 = lanes_dot(a0, word_at(x0 + i), w);
                a1 = lanes_dot(a1, word_at(x1 + i), w);
                a2 = lanes_dot(a2, word_at(x2 + i), w);
                a3 = lanes_dot(a3, word_at(x3 + i), w);
            }
        }
    }
    lanes_store(p, c, count, a0, y);
    lanes_store(p, c, count, a1, y + step);
    lanes_store(p, c, count, a2, y + 2 * step);
    lanes_store(p, c, count, a3, y + 3 * step);
}

/* One block of `count` rows, one position: two sums, so that one product need not wait for the other. */
MICO_INLINE void narrow(const mico_conv2d_simd_t *p, int32_t c, int32_t count, const patches *patch, uint8_t *y, int32_t bits)
{
    const uint32_t *words = p->weights.words + c * p->weights.row_words;
    lanes a = lanes_zero(), b = a;

    for (int32_t row = 0; row < patch->rows; row++) {
        const uint8_t *x = patch->first[0] + row * patch->pitch;
        for (int32_t k = 0; k < patch->row_words; k++, words += count) {
            const lanes word = lanes_load(words, count);
            for (int32_t j = 0; j < 8 / bits; j++, x += 4) {
                const lanes w = lanes_weights(word, j, bits);
                if ((bits == 8 ? k : j) % 2 == 0)
                    a = lanes_dot(a, word_at(x), w);
                else
                    b = lanes_dot(b, word_at(x), w);
            }
        }
    }
    lanes_store(p, c, count, lanes_add(a, b), y);
}

/* Copy n bytes, 64 or 16 at a time, the last ones again where n is no multiple. Short runs are copied as 16 bytes where the source has them:
 * what is too much is overwritten by the next run. */
MICO_INLINE uint8_t *copy(uint8_t *to, const uint8_t *from, int32_t n, const uint8_t *end)
{
    if (n >= 64) {
        for (int32_t i = 0; i < n - 64; i += 64)
            __builtin_memcpy(to + i, from + i, 64);
        __builtin_memcpy(to + n - 64, from + n - 64, 64);
    } else if (n > 16) {
        for (int32_t i = 0; i < n - 16; i += 16)
            __builtin_memcpy(to + i, from + i, 16);
        __builtin_memcpy(to + n - 16, from + n - 16, 16);
    } else if (end - from >= 16) {
        __builtin_memcpy(to, from, 16);
    } else {
        for (int32_t i = 0; i < n; i++)
            to[i] = from[i];
    }
    return to + n;
}

MICO_INLINE uint8_t *zeros(uint8_t *to, int32_t n)
{
    for (; n > 0; n--)
        *to++ = 0;
    return to;
}

/* The taps under the output at (oy, ox), zeros outside the input, then zeros up to a whole word of weights. */
static void gather(const mico_conv2d_simd_t *p, const uint8_t *x, int32_t oy, int32_t ox, uint8_t *to, int32_t bytes)
{
    uint8_t *const begin = to;
    const int32_t depth = p->in_c, width = p->in_w * depth, taps = p->weights.taps;
    const uint8_t *const end = x + p->in_h * width;
    const int32_t left = (ox * p->stride_w - p->pad_w) * depth; /* bytes from the row's begin to the first tap */
    int32_t iy = oy * p->stride_h - p->pad_h;

    for (int32_t ky = 0; ky < p->kernel_h; ky++, iy += p->dilation_h) {
        const int outside = iy < 0 || iy >= p->in_h;
        if (p->dilation_w != 1) {
            for (int32_t kx = 0, at = left; kx < p->kernel_w; kx++, at += p->dilation_w * depth)
                to = outside || at < 0 || at >= width ? zeros(to, depth) : copy(to, x + iy * width + at, depth, end);
            continue;
        }
        const int32_t run = p->kernel_w * depth;
        if (!outside && left >= 0 && left + run <= width) {
            to = copy(to, x + iy * width + left, run, end);
            continue;
        }
        const int32_t before = outside ? run : left >= 0 ? 0 : -left < run ? -left : run;
        const int32_t over = left + run - width;
        const int32_t after = over <= 0 ? 0 : over < run - before ? over : run - before;
        const int32_t inside = run - before - after;
        to = zeros(to, before);
        if (inside > 0)
            to = copy(to, x + iy * width + left + before, inside, end);
        to = zeros(to, after);
    }
    zeros(to, bytes - taps);
    if (p->flip) {
        for (int32_t i = 0; i < bytes; i++)
            begin[i] ^= 0x80u;
    }
}

/* Whether no tap of the output at (oy, ox) is outside the input. */
MICO_INLINE int inside(const mico_conv2d_simd_t *p, int32_t oy, int32_t ox)
{
    const int32_t iy = oy * p->stride_h - p->pad_h, ix = ox * p->stride_w - p->pad_w;
    return iy >= 0 && iy + (p->kernel_h - 1) * p->dilation_h < p->in_h && ix >= 0 && ix + p->kernel_w <= p->in_w;
}

/* Four positions at a time; less than four of them one after another. Where every row of taps is whole words of weights, tiles inside
 * the input are read where they lie; all others are gathered. */
MICO_INLINE void convolve(const mico_conv2d_simd_t *p, const uint8_t *x, uint8_t *y, uint8_t *scratch, int32_t bits)
{
    const int32_t in_word = 32 / bits, bytes = p->weights.row_words * in_word, size = p->out_h * p->out_w;
    const int32_t run = p->kernel_w * p->in_c, width = p->in_w * p->in_c;
    const int32_t step = p->out_c * (p->output.type == MICO_S32 ? 4 : 1);
    const int32_t tile = size < PATCHES ? 1 : PATCHES;
    const int rows = run % in_word == 0;
    patches patch = {.rows = rows ? p->kernel_h : 1, .row_words = rows ? run / in_word : p->weights.row_words};

    for (int32_t begin = 0; begin < size; begin += tile) {
        const int32_t first = begin + tile > size ? size - tile : begin; /* the last tile may overlap the one before */
        int direct = rows && !p->flip && p->dilation_w == 1;
        int32_t oy = first / p->out_w, ox = first % p->out_w;
        int32_t ys[PATCHES], xs[PATCHES];
        for (int32_t t = 0; t < tile; t++) {
            ys[t] = oy;
            xs[t] = ox;
            direct = direct && inside(p, oy, ox);
            if (++ox == p->out_w) {
                ox = 0;
                oy++;
            }
        }
        for (int32_t t = 0; t < tile; t++) {
            patch.first[t] = scratch + t * bytes;
            if (direct)
                patch.first[t] = x + (ys[t] * p->stride_h - p->pad_h) * width + (xs[t] * p->stride_w - p->pad_w) * p->in_c;
            else
                gather(p, x, ys[t], xs[t], scratch + t * bytes, bytes);
        }
        patch.pitch = direct ? p->dilation_h * width : run;
        int32_t c = 0;
        if (tile == 1) {
            for (; c < p->out_c; c += LANES)
                narrow(p, c, p->out_c - c < LANES ? p->out_c - c : LANES, &patch, y + first * step, bits);
        } else {
            for (; c + 2 * LANES <= p->out_c; c += 2 * LANES)
                wide(p, c, &patch, y + first * step, step, bits);
            for (; c < p->out_c; c += LANES)
                block(p, c, p->out_c - c < LANES ? p->out_c - c : LANES, &patch, y + first * step, step, bits);
        }
    }
}

void mico_conv2d_simd(const mico_conv2d_simd_t *p, const void *x, void *y, uint32_t *scratch)
{
    switch (p->weights.bits) {
    case 1: convolve(p, x, y, (uint8_t *)scratch, 1); break;
    case 2: convolve(p, x, y, (uint8_t *)scratch, 2); break;
    case 4: convolve(p, x, y, (uint8_t *)scratch, 4); break;
    default: convolve(p, x, y, (uint8_t *)scratch, 8); break;
    }
}
