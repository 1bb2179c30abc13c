/* Sixteen output channels are the lanes of a register. The weights of a block of (at most) sixteen rows lie by words: word 0 of each
 * row, word 1 of each row, ... In a word of n-bit weights, tap 4 j + i is in byte i from bit n * j on, so that a shift and a mask
 * give four taps of sixteen channels as bytes. They meet the four activations of each of four or eight patches (the
 * taps under one output position).
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

enum {
    LANES = 16,
    SHORT = 16, /* bytes */
    FEWER = 4, /* positions of a tile */
#if defined MICO_AVX512
    MOST = 8 /* 16 sums of 32 registers: each waits five cycles for the last, and two begin in one */
#else
    MOST = 4
#endif
};

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

/* Sums of channels c .. c + count - 1 at `positions` to the outputs, y (out_c,) of the first and `step` bytes to the next. */
MICO_INLINE void lanes_store(const mico_conv2d_simd_t *p, int32_t c, int32_t count, const lanes *sums, const int positions, uint8_t *y,
                             int32_t step)
{
    const __mmask16 mask = (__mmask16)((1u << count) - 1u);
    const mico_weights *w = &p->weights;
    const mico_range out = p->output; /* y may be anywhere: nothing is read again behind a store */
    const int high = p->high_word;
    const lanes bias = _mm512_maskz_loadu_epi32(mask, w->bias + c), multiplier = _mm512_maskz_loadu_epi32(mask, w->multiplier + c);
    const lanes shift = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, w->shift + c));
    const lanes one = _mm512_set1_epi32(1), five = _mm512_set1_epi32(31), low = _mm512_set1_epi64(0xffffffff);
    const lanes left = _mm512_and_si512(multiplier, five), factor = _mm512_andnot_si512(five, multiplier);
    const lanes round = _mm512_sllv_epi32(one, _mm512_sub_epi32(shift, one)), odd_factor = _mm512_srli_epi64(factor, 32);

#pragma GCC unroll 8
    for (int32_t t = 0; t < positions; t++, y += step) {
        lanes r = _mm512_add_epi32(sums[t], bias);
        if (out.sign) {
            r = _mm512_mask_blend_epi32(_mm512_cmpge_epi32_mask(r, _mm512_setzero_si512()), _mm512_set1_epi32(-1), one);
        } else if (high) {
            r = _mm512_sllv_epi32(r, left);
            const lanes even = _mm512_mul_epi32(r, factor), odd = _mm512_mul_epi32(_mm512_srli_epi64(r, 32), odd_factor);
            r = _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 32), odd);
            r = _mm512_srav_epi32(_mm512_add_epi32(r, round), shift);
            r = _mm512_min_epi32(_mm512_max_epi32(r, _mm512_set1_epi32(out.min)), _mm512_set1_epi32(out.max));
        } else {
            const lanes even = rescale(r, multiplier, _mm512_and_si512(shift, low), &out);
            const lanes odd = rescale(_mm512_srli_epi64(r, 32), _mm512_srli_epi64(multiplier, 32), _mm512_srli_epi64(shift, 32), &out);
            r = _mm512_or_si512(_mm512_and_si512(even, low), _mm512_slli_epi64(odd, 32));
        }
        if (out.type == MICO_S32)
            _mm512_mask_storeu_epi32(y + 4 * c, mask, r);
        else
            _mm512_mask_cvtepi32_storeu_epi8(y + c, mask, r);
    }
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

MICO_INLINE void lanes_store(const mico_conv2d_simd_t *p, int32_t c, int32_t count, const lanes *sums, const int positions, uint8_t *y,
                             int32_t step)
{
    const mico_weights *w = &p->weights;
    for (int32_t t = 0; t < positions; t++, y += step) {
        int32_t of[LANES];
        __builtin_memcpy(of, sums + t, sizeof of);
        for (int32_t l = 0; l < count; l++) {
            const uint32_t sum = (uint32_t)of[l] + (uint32_t)w->bias[c + l]; /* wraps where x + 128 did */
            const int32_t multiplier = w->multiplier[c + l], shift = w->shift[c + l];
            int32_t r;
            if (p->high_word && !p->output.sign) {
                r = (mico_high_word(sum << (multiplier & 31), multiplier & ~31) + (1 << (shift - 1))) >> shift;
                r = mico_clamp(r, p->output.min, (uint32_t)(p->output.max - p->output.min));
            } else {
                r = mico_rescale((int32_t)sum, multiplier, shift, &p->output);
            }
            mico_store(y, c + l, p->output.type, r);
        }
    }
}

#endif

/* Where the taps of each position of a tile lie: a first kernel row, and bytes from one row to the next. */
typedef struct {
    const uint8_t *first[MOST];
    int32_t pitch[MOST];
    int32_t rows, row_words; /* words of weights of one row of taps */
} patches;

/* `positions` (at most MOST) times `blocks` of `count` rows; two blocks are whole ones. */
MICO_INLINE void tile(const mico_conv2d_simd_t *p, int32_t c, int32_t count, const patches *patch, uint8_t *y, int32_t step, int32_t bits,
                      const int positions, const int blocks)
{
    const uint32_t *words = p->weights.words + c * p->weights.row_words;
    const int32_t other = LANES * p->weights.row_words; /* from a block to the next */
    lanes sums[2][MOST];

#pragma GCC unroll 8
    for (int32_t t = 0; t < positions; t++)
        sums[0][t] = sums[1][t] = lanes_zero();
    for (int32_t row = 0; row < patch->rows; row++) {
        const uint8_t *x[MOST];
#pragma GCC unroll 8
        for (int32_t t = 0; t < positions; t++)
            x[t] = patch->first[t] + row * patch->pitch[t];
        for (int32_t k = 0, i = 0; k < patch->row_words; k++, words += count) {
            const lanes word = lanes_load(words, count), next = blocks == 2 ? lanes_load(words + other, count) : word;
            for (int32_t j = 0; j < 8 / bits; j++, i += 4) {
                const lanes u = lanes_weights(word, j, bits), v = blocks == 2 ? lanes_weights(next, j, bits) : u;
#pragma GCC unroll 8
                for (int32_t t = 0; t < positions; t++) {
                    const uint32_t four = word_at(x[t] + i);
                    sums[0][t] = lanes_dot(sums[0][t], four, u);
                    if (blocks == 2)
                        sums[1][t] = lanes_dot(sums[1][t], four, v);
                }
            }
        }
    }
    lanes_store(p, c, count, sums[0], positions, y, step);
    if (blocks == 2)
        lanes_store(p, c + LANES, count, sums[1], positions, y, step);
}

/* One block of `count` rows, one position: two sums, so that one product need not wait for the other. */
MICO_INLINE void narrow(const mico_conv2d_simd_t *p, int32_t c, int32_t count, const patches *patch, uint8_t *y, int32_t bits)
{
    const uint32_t *words = p->weights.words + c * p->weights.row_words;
    lanes a = lanes_zero(), b = a;

    for (int32_t row = 0; row < patch->rows; row++) {
        const uint8_t *x = patch->first[0] + row * patch->pitch[0];
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
    const lanes sum = lanes_add(a, b);
    lanes_store(p, c, count, &sum, 1, y, 0);
}

/* Copy n bytes, 64 or 16 at a time, the last ones again where n is no multiple. Short runs are copied as 16 bytes where the source has them:
 * what is too much is overwritten by the next run. */
MICO_INLINE uint8_t *copy(uint8_t *to, const uint8_t *from, int32_t n, const uint8_t *end)
{
    if (n >= 64) {
        for (int32_t i = 0; i < n - 64; i += 64)
            __builtin_memcpy(to + i, from + i, 64);
        __builtin_memcpy(to + n - 64, from + n - 64, 64);
    } else if (n > SHORT) {
        for (int32_t i = 0; i < n - SHORT; i += SHORT)
            __builtin_memcpy(to + i, from + i, SHORT);
        __builtin_memcpy(to + n - SHORT, from + n - SHORT, SHORT);
    } else if (end - from >= SHORT) {
        __builtin_memcpy(to, from, SHORT);
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

/* Whether no tap of the output at (oy, ox) is outside the input. */
MICO_INLINE int inside(const mico_conv2d_simd_t *p, int32_t oy, int32_t ox)
{
    const int32_t iy = oy * p->stride_h - p->pad_h, ix = ox * p->stride_w - p->pad_w;
    return iy >= 0 && iy + (p->kernel_h - 1) * p->dilation_h < p->in_h && ix >= 0 && ix + p->kernel_w <= p->in_w;
}

/* The taps under the output at (oy, ox), zeros outside the input. Returns where they end. */
MICO_INLINE uint8_t *gather_border(const mico_conv2d_simd_t *p, const uint8_t *x, int32_t oy, int32_t ox, uint8_t *to)
{
    const int32_t depth = p->in_c, width = p->in_w * depth, run = p->kernel_w * depth;
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
        const int32_t before = outside ? run : left >= 0 ? 0 : -left < run ? -left : run;
        const int32_t over = left + run - width;
        const int32_t after = over <= 0 ? 0 : over < run - before ? over : run - before;
        const int32_t within = run - before - after;
        to = zeros(to, before);
        if (within > 0)
            to = copy(to, x + iy * width + left + before, within, end);
        to = zeros(to, after);
    }
    return to;
}

/* The patch of the output at (oy, ox), with zeros up to a whole word of weights. */
static void gather(const mico_conv2d_simd_t *p, const uint8_t *x, int32_t oy, int32_t ox, uint8_t *to, int32_t bytes)
{
    uint8_t *const begin = to;
    const int32_t depth = p->in_c, width = p->in_w * depth, run = p->kernel_w * depth;
    const uint8_t *const end = x + p->in_h * width;

    if (p->dilation_w == 1 && inside(p, oy, ox)) {
        const uint8_t *from = x + (oy * p->stride_h - p->pad_h) * width + (ox * p->stride_w - p->pad_w) * depth;
        const int32_t pitch = p->dilation_h * width;
        if (run <= SHORT && end - from >= (p->kernel_h - 1) * pitch + SHORT) {
            for (int32_t ky = 0; ky < p->kernel_h; ky++, to += run)
                __builtin_memcpy(to, from + ky * pitch, SHORT);
        } else {
            for (int32_t ky = 0; ky < p->kernel_h; ky++)
                to = copy(to, from + ky * pitch, run, end);
        }
    } else {
        to = gather_border(p, x, oy, ox, to);
    }
    zeros(to, bytes - p->weights.taps);
    if (p->flip) {
        for (int32_t i = 0; i < bytes; i++)
            begin[i] ^= 0x80u;
    }
}

/* All output channels at `positions` outputs from `first` on. Where every row of taps is whole words of weights, patches inside the
 * input are read where they lie; all others are gathered. */
MICO_INLINE void tile_at(const mico_conv2d_simd_t *p, const uint8_t *x, uint8_t *y, uint8_t *scratch, int32_t bits, int32_t first,
                         const int positions)
{
    const int32_t in_word = 32 / bits, bytes = p->weights.row_words * in_word;
    const int32_t run = p->kernel_w * p->in_c, width = p->in_w * p->in_c;
    const int32_t step = p->out_c * (p->output.type == MICO_S32 ? 4 : 1);
    const int rows = run % in_word == 0;
    patches patch = {.rows = rows ? p->kernel_h : 1, .row_words = rows ? run / in_word : p->weights.row_words};
    const int direct = rows && !p->flip && p->dilation_w == 1;
    int32_t oy = first / p->out_w, ox = first % p->out_w, c = 0;

    for (int32_t t = 0; t < positions; t++) {
        if (direct && inside(p, oy, ox)) {
            patch.first[t] = x + (oy * p->stride_h - p->pad_h) * width + (ox * p->stride_w - p->pad_w) * p->in_c;
            patch.pitch[t] = p->dilation_h * width;
        } else {
            gather(p, x, oy, ox, scratch + t * bytes, bytes);
            patch.first[t] = scratch + t * bytes;
            patch.pitch[t] = run;
        }
        if (++ox == p->out_w) {
            ox = 0;
            oy++;
        }
    }
    y += first * step;
    if (positions == 1) {
        for (; c < p->out_c; c += LANES)
            narrow(p, c, p->out_c - c < LANES ? p->out_c - c : LANES, &patch, y, bits);
        return;
    }
    for (; c + 2 * LANES <= p->out_c; c += 2 * LANES)
        tile(p, c, LANES, &patch, y, step, bits, positions, 2);
    for (; c < p->out_c; c += LANES)
        tile(p, c, p->out_c - c < LANES ? p->out_c - c : LANES, &patch, y, step, bits, positions, 1);
}

/* MOST positions at a time, then four, whose last tile may overlap the one before; less than four one after another. */
MICO_INLINE void convolve(const mico_conv2d_simd_t *p, const uint8_t *x, uint8_t *y, uint8_t *scratch, int32_t bits)
{
    const int32_t size = p->out_h * p->out_w;
    int32_t at = 0;

    for (; MOST > FEWER && at + MOST <= size; at += MOST)
        tile_at(p, x, y, scratch, bits, at, MOST);
    if (size < FEWER) {
        for (; at < size; at++)
            tile_at(p, x, y, scratch, bits, at, 1);
    }
    for (; at < size; at += FEWER)
        tile_at(p, x, y, scratch, bits, at + FEWER > size ? size - FEWER : at, FEWER);
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
