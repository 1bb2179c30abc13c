/* Two blocks of sixteen output channels at a time, all positions of each: their weights are brought to bytes once. Words of four taps meet
 * the four activations of each of eight positions (four without AVX-512). */
#include "mico_conv2d_simd.h"

#include "mico_frame.h"
#include "mico_widen.h"

enum {
    FEWER = 4, /* positions of a tile */
#if defined MICO_AVX512
    MOST = 8, /* 16 sums of 32 registers: each waits five cycles for the last, and two begin in one */
#else
    MOST = 4,
#endif
    PAIR = 2 /* blocks */
};

/* Where the taps under an output lie: pieces of so many bytes, in rows and columns. */
typedef struct {
    int32_t rows, columns, bytes;
    int32_t row_step, column_step; /* bytes, too */
} window;

/* Computes the outputs of one or two blocks. */
typedef struct {
    mico_scaling scaling[PAIR];
    const uint32_t *words[PAIR];
} channels;

/* `positions` times `blocks`; of two the first is whole. */
MICO_INLINE void tile(const channels *of, const mico_range *out, const window *taps, const uint8_t *const *first, uint8_t *y, int32_t step,
                      const int positions, const int blocks)
{
    const mico_scaling *s = of->scaling;
    const int32_t count = blocks == PAIR ? MICO_LANES : s[0].count, next = s[1].count;
    const uint32_t *a = of->words[0], *b = of->words[1];
    mico_lanes_t sums[PAIR][MOST];

#pragma GCC unroll 8
    for (int t = 0; t < positions; t++) {
        sums[0][t] = s[0].bias;
        sums[1][t] = s[blocks - 1].bias;
    }
    for (int32_t row = 0; row < taps->rows; row++) {
        for (int32_t column = 0; column < taps->columns; column++) {
            const int32_t at = row * taps->row_step + column * taps->column_step;
            const uint8_t *x[MOST];
#pragma GCC unroll 8
            for (int t = 0; t < positions; t++)
                x[t] = first[t] + at;
            for (int32_t i = 0; i < taps->bytes; i += 4, a += count, b += next) {
                const mico_lanes_t u = mico_lanes_load(a, count), v = blocks == PAIR ? mico_lanes_load(b, next) : u;
#pragma GCC unroll 8
                for (int t = 0; t < positions; t++) {
                    const mico_lanes_t four = mico_lanes_all(x[t] + i);
                    sums[0][t] = mico_lanes_dot(sums[0][t], four, u);
                    if (blocks == PAIR)
                        sums[1][t] = mico_lanes_dot(sums[1][t], four, v);
                }
            }
        }
    }
#pragma GCC unroll 2
    for (int block = 0; block < blocks; block++)
        mico_lanes_store(&s[block], out, sums[block], positions, y, step);
}

/* One position, one block: four sums, so that no product need wait for the one before. */
MICO_INLINE void narrow(const mico_scaling *s, const uint32_t *words, const mico_range *out, const window *taps, const uint8_t *first,
                        uint8_t *y)
{
    const int32_t count = s->count;
    mico_lanes_t sum[4] = {s->bias, mico_lanes_zero(), mico_lanes_zero(), mico_lanes_zero()};

    for (int32_t row = 0; row < taps->rows; row++) {
        for (int32_t column = 0; column < taps->columns; column++) {
            const uint8_t *x = first + row * taps->row_step + column * taps->column_step;
            const uint8_t *const end = x + taps->bytes;
            for (; end - x >= 16; x += 16) {
#pragma GCC unroll 4
                for (int i = 0; i < 4; i++, words += count)
                    sum[i] = mico_lanes_dot(sum[i], mico_lanes_all(x + 4 * i), mico_lanes_load(words, count));
            }
            for (; x != end; x += 4, words += count)
                sum[0] = mico_lanes_dot(sum[0], mico_lanes_all(x), mico_lanes_load(words, count));
        }
    }
    const mico_lanes_t all = mico_lanes_add(mico_lanes_add(sum[0], sum[1]), mico_lanes_add(sum[2], sum[3]));
    mico_lanes_store(s, out, &all, 1, y, 0);
}

/* Outputs `at` and those behind it; x is the input with its padding, `pitch` bytes a row. */
MICO_INLINE void tile_at(const mico_conv2d_simd_t *p, const channels *of, const window *taps, const uint8_t *x, int32_t pitch, uint8_t *y,
                         int32_t at, const int positions, const int blocks)
{
    const mico_range out = p->output; /* y may be anywhere: nothing is read again behind a store */
    const int32_t step = p->size.out_c * (out.type == MICO_S32 ? 4 : 1);
    const uint8_t *first[MOST];
    int32_t oy = at / p->size.out_w, ox = at % p->size.out_w;

#pragma GCC unroll 8
    for (int t = 0; t < positions; t++) {
        first[t] = x + oy * p->size.stride_h * pitch + ox * p->size.stride_w * p->size.in_c;
        if (++ox == p->size.out_w) {
            ox = 0;
            oy++;
        }
    }
    if (positions > 1) {
        tile(of, &out, taps, first, y + at * step, step, positions, blocks);
        return;
    }
    for (int block = 0; block < blocks; block++)
        narrow(&of->scaling[block], of->words[block], &out, taps, first[0], y + at * step);
}

/* All positions of one or two blocks: MOST at a time, then four, whose last tile may overlap the one before; less than four one after
 * another. */
MICO_INLINE void positions_of(const mico_conv2d_simd_t *p, const channels *of, const window *taps, const uint8_t *x, int32_t pitch,
                              uint8_t *y, const int blocks)
{
    const int32_t size = p->size.out_h * p->size.out_w;
    int32_t at = 0;

    for (; MOST > FEWER && at + MOST <= size; at += MOST)
        tile_at(p, of, taps, x, pitch, y, at, MOST, blocks);
    if (size < FEWER) {
        for (; at < size; at++)
            tile_at(p, of, taps, x, pitch, y, at, 1, blocks);
    }
    for (; at < size; at += FEWER)
        tile_at(p, of, taps, x, pitch, y, at + FEWER > size ? size - FEWER : at, FEWER, blocks);
}

void mico_conv2d_simd(const mico_conv2d_simd_t *p, const void *x, void *y, uint32_t *scratch)
{
    const mico_weights *w = &p->weights;
    const int32_t width = p->size.in_w * p->size.in_c, side = p->size.pad_w * p->size.in_c, pitch = width + 2 * side;
    const int near = p->size.dilation_w == 1;
    const int32_t run = near ? p->size.kernel_w * p->size.in_c : p->size.in_c; /* taps side by side */
    const window taps = {p->size.kernel_h, near ? 1 : p->size.kernel_w, (run + 3) & ~3, p->size.dilation_h * pitch,
                         p->size.dilation_w * p->size.in_c};
    const int32_t words = taps.rows * taps.columns * taps.bytes / 4;
    const uint8_t *input = x;

    if (p->framed) {
        mico_frame(x, p->size.in_h, width, -p->size.pad_h, p->size.in_h + 2 * p->size.pad_h, side, (uint8_t)p->xor_mask,
                   (uint8_t *)scratch);
        input = (const uint8_t *)scratch;
    }
    for (int32_t c = 0; c < p->size.out_c; c += PAIR * MICO_LANES) {
        channels of = {.words = {0, 0}};
        int blocks = 0;
        for (int32_t d = c; blocks < PAIR && d < p->size.out_c; d += MICO_LANES, blocks++) {
            const int32_t count = p->size.out_c - d < MICO_LANES ? p->size.out_c - d : MICO_LANES;
            of.scaling[blocks] = mico_scaling_of(w, d, count, p->high_word);
            of.words[blocks] = w->words + d * w->row_words;
            if (p->widened_at >= 0) {
                uint32_t *const to = scratch + p->widened_at + (d - c) * words;
                mico_widen(w, d, count, p->piece, (int8_t *)to);
                of.words[blocks] = to;
            }
        }
        if (blocks == PAIR)
            positions_of(p, &of, &taps, input, pitch, y, PAIR);
        else
            positions_of(p, &of, &taps, input, pitch, y, 1);
    }
}
