/* One channel of four output rows at a time: the input rows under them are gathered from x, which holds the channels side by side,
 * into columns of words; sums are products of these words and the weights; then sums become outputs.
 *
 * A word holds the inputs of 1, 2 or 4 output rows: times a weight it is as many products, and words add up as their lanes do, since no
 * sum leaves its lane. Weights are signed; a sum begins with minus the least that it can be, so that no lane borrows from the next.
 * Cycles do not depend on the data. */
#include "mico_depthwise.h"

#include "mico_order.h"
#include "mico_requantise.h"
#include "mico_turn.h"

#define MICO_ALONE static __attribute__((noinline)) /* a function of its own keeps loops short and side by side in the cache */

enum { MOST_INPUT = 9 }; /* input rows under four output rows of a kernel of three at stride 2 */

/* The weights of channel `c`, int32_t (taps,). */
MICO_INLINE void unpack(const mico_weights *w, int32_t c, const int32_t taps, int32_t *weights)
{
    const uint32_t *words = w->words + c * w->row_words;
    uint32_t word = 0;

#define EACH(bits, value)                                                                                              \
    for (int32_t t = 0; t < taps; t++) {                                                                               \
        word = t % (32 / (bits)) == 0 ? words[t / (32 / (bits))] : word >> (bits);                                     \
        weights[t] = value;                                                                                            \
    }
    switch (w->bits) {
    case 1: EACH(1, 2 * (int32_t)(word & 1u) - 1) break;
    case 2: EACH(2, (int32_t)(word << 30) >> 30) break;
    case 4: EACH(4, (int32_t)(word << 28) >> 28) break;
    case 8: EACH(8, (int32_t)(word << 24) >> 24) break;
    default: {
        int8_t *const bytes = (int8_t *)weights + 3 * taps; /* the last ones: each is read before it is overwritten */
        mico_unpack(w, c, bytes);
        for (int32_t t = 0; t < taps; t++)
            weights[t] = bytes[t];
    }
    }
#undef EACH
}

MICO_ALONE void unpack_any(const mico_weights *w, int32_t c, int32_t *weights)
{
    unpack(w, c, w->taps, weights);
}

/* A word with `value` in each lane. */
MICO_INLINE uint32_t in_each(uint32_t value, int32_t lanes)
{
    return value * (lanes == 4 ? 0x01010101u : lanes == 2 ? 0x00010001u : 1u);
}

/* The word that a sum begins with: in each lane `excess`, the negative of the least sum, and minus what the input xor mask adds. */
MICO_INLINE uint32_t begin_with(const mico_depthwise_t *p, const int32_t *weights, const int32_t taps, const int lanes, uint32_t *excess)
{
    uint32_t negative = 0, total = 0;

    *excess = 0;
    if (lanes == 1 && p->xor_mask == 0)
        return 0;
#pragma GCC unroll 9
    for (int32_t t = 0; t < taps; t++) {
        const int32_t w = weights[t];
        total += (uint32_t)w;
        negative += (uint32_t)(w & w >> 31);
    }
    if (lanes > 1)
        *excess = 0u - negative * (uint32_t)p->high - (total - negative) * (uint32_t)p->low;
    return in_each(*excess - total * (uint32_t)p->xor_mask, lanes);
}

/* Input row `iy`; if there is none such, the nearest. */
MICO_INLINE const uint8_t *row_of(const mico_depthwise_t *p, const uint8_t *x, int32_t iy)
{
    const int32_t row = iy < 0 ? 0 : iy < p->in_h ? iy : p->in_h - 1;
    return x + row * p->in_w * p->channels;
}

/* Ones in the lanes, row by row from `iy` on, whose input row there is. */
MICO_INLINE uint32_t inside(const mico_depthwise_t *p, int32_t iy, const int32_t lanes)
{
    const int32_t bits = 32 / lanes;
    uint32_t mask = 0;

    for (int32_t l = 0; l < lanes; l++, iy += p->stride_h)
        mask |= iy >= 0 && iy < p->in_h ? 0xffffffffu >> (32 - bits) << bits * l : 0u;
    return mask;
}

/* Inputs of one channel, from row `iy` on, to the columns: any kernel and stride. */
MICO_ALONE void gather_any(const mico_depthwise_t *p, const uint8_t *x, int32_t iy, uint32_t *columns)
{
    const int32_t channels = p->channels, step = p->column_words, bits = p->lanes == 4 ? 8 : 16; /* one lane: any */
    const uint32_t xor_mask = in_each((uint32_t)p->xor_mask, p->lanes);

    for (int32_t i = 0; i < step; i++, iy++) {
        const uint32_t mask = p->lanes == 4 ? inside(p, iy, 4) : p->lanes == 2 ? inside(p, iy, 2) : inside(p, iy, 1);
        uint32_t *to = columns + i;
        for (int32_t ix = 0; ix < p->in_w; ix++, to += step) {
            uint32_t word = 0;
            for (int32_t l = 0; l < p->lanes; l++)
                word |= (uint32_t)row_of(p, x, iy + l * p->stride_h)[ix * channels] << bits * l;
            *to = (word & mask) ^ xor_mask;
        }
    }
}

/* The same for a kernel of three rows at stride 1 or 2: rows that several lanes share are loaded once.
 * rows: pointers into x; masks: one per word of a column, or NULL where all inputs are inside and unsigned. */
MICO_INLINE void gather(const uint8_t *const *rows, const uint32_t *masks, uint32_t xor_mask, int32_t c, int32_t channels, int32_t in_w,
                        uint32_t *to, const int lanes, const int stride)
{
    const int row_tile = stride == 2 && lanes < 4 ? 2 : 4; /* as codegen/depthwise.py has it */
    const int count = (row_tile - 1) * stride + 3, words = (row_tile - lanes) * stride + 3;
    const uint32_t *const end = to + words * in_w;
    const uint8_t *x[MOST_INPUT];
    uint32_t mask[MOST_INPUT];

#pragma GCC unroll 9
    for (int i = 0; i < count; i++)
        x[i] = rows[i] + c;
#pragma GCC unroll 9
    for (int i = 0; i < words; i++)
        mask[i] = masks ? masks[i] : 0u;
    while (to != end) {
        uint32_t w[MOST_INPUT];
#pragma GCC unroll 9
        for (int i = 0; i < count; i++) {
            w[i] = *x[i];
            MICO_ORDER(w[i]);
            x[i] += channels;
            MICO_ORDER(x[i]);
        }
#pragma GCC unroll 9
        for (int i = 0; i < words; i++) {
            uint32_t word = w[i];
            if (lanes == 2)
                word |= w[i + stride] << 16;
            if (lanes == 4 && i >= stride)
                word = w[i - stride] >> 8 | w[i + 3 * stride] << 24;
            else if (lanes == 4)
                word |= w[i + stride] << 8 | w[i + 2 * stride] << 16 | w[i + 3 * stride] << 24;
            w[i] = word;
            to[i] = masks ? (word & mask[i]) ^ xor_mask : word;
        }
        to += words;
    }
}

/* gather() of four channels at a time, whose columns are `pitch` words apart: a cache line of x is read a quarter as often.
 * inside: all ones for each input row that there is, else 0; xor_mask: of four bytes. */
MICO_INLINE void gather_four(const uint8_t *const *rows, const uint32_t *inside_row, uint32_t xor_mask, int32_t c, int32_t channels,
                             int32_t in_w, uint32_t *to, int32_t pitch, const int lanes, const int stride)
{
    const int row_tile = stride == 2 && lanes < 4 ? 2 : 4;
    const int count = (row_tile - 1) * stride + 3, words = (row_tile - lanes) * stride + 3;
    const uint32_t *const end = to + words * in_w;

    for (; to != end; c += channels, to += words) {
        uint32_t w[MOST_INPUT];
#pragma GCC unroll 9
        for (int i = 0; i < count; i++) {
            w[i] = *(const mico_word *)(const void *)(rows[i] + c);
            MICO_ORDER(w[i]);
        }
#pragma GCC unroll 9
        for (int i = 0; i < count; i++)
            w[i] = (w[i] & inside_row[i]) ^ xor_mask;
#pragma GCC unroll 9
        for (int i = 0; i < words; i++) {
            const int j = i + stride, k = j + stride, l = k + stride; /* rows of a word's lanes */
            if (lanes == 4)
                mico_turn_words(w[i], w[j < count ? j : 0], w[k < count ? k : 0], w[l < count ? l : 0], to + i, pitch);
            else
                mico_turn_words(w[i], 0, lanes == 2 ? w[j < count ? j : 0] : 0u, 0, to + i, pitch);
        }
    }
}

/* Three products at a time, in the order in which the core does not wait. */
#define PRODUCTS(w0, w1, w2)                                                                                           \
    p = a * w0;                                                                                                        \
    MICO_ORDER(p);                                                                                                     \
    q = b * w1;                                                                                                        \
    MICO_ORDER(q);                                                                                                     \
    r = c * w2;                                                                                                        \
    MICO_ORDER(r);
#define COLUMN(at)                                                                                                     \
    a = (at)[0];                                                                                                       \
    MICO_ORDER(a);                                                                                                     \
    b = (at)[1];                                                                                                       \
    MICO_ORDER(b);                                                                                                     \
    c = (at)[2];                                                                                                       \
    MICO_ORDER(c);
#define ADD_UP(sum)                                                                                                    \
    sum += p;                                                                                                          \
    MICO_ORDER(sum);                                                                                                   \
    sum += q;                                                                                                          \
    MICO_ORDER(sum);                                                                                                   \
    sum += r;                                                                                                          \
    MICO_ORDER(sum);

/* Sums of a 3 x 3 kernel, each `start` plus words times weights. */
MICO_INLINE void sums_nine(const mico_depthwise_t *p_, const uint32_t *columns, int32_t count, const int32_t *weights, uint32_t start, uint32_t *sums,
                           const int lanes)
{
    const uint32_t u0 = (uint32_t)weights[0], u1 = (uint32_t)weights[1], u2 = (uint32_t)weights[2];
    const uint32_t u3 = (uint32_t)weights[3], u4 = (uint32_t)weights[4], u5 = (uint32_t)weights[5];
    const uint32_t u6 = (uint32_t)weights[6], u7 = (uint32_t)weights[7], u8 = (uint32_t)weights[8];
    const int32_t column = p_->column_words, step = p_->stride_w * column;

    for (int32_t row = 0; row < count; row += lanes) {
        const uint32_t *words = columns + row * p_->stride_h;
        uint32_t *to = sums;
        const uint32_t *const end = sums + p_->out_w;
        uint32_t a, b, c, p, q, r;

        sums += p_->sum_words;
        if (step == column) { /* a column is part of three outputs */
            uint32_t s0, s1;
            COLUMN(words)
            words += column;
            PRODUCTS(u0, u1, u2)
            s1 = start + p + q + r;
            COLUMN(words)
            words += column;
            PRODUCTS(u3, u4, u5)
            ADD_UP(s1)
            PRODUCTS(u0, u1, u2)
            s0 = start + p + q + r;
            do {
                COLUMN(words)
                words += column;
                PRODUCTS(u6, u7, u8)
                ADD_UP(s1)
                *to++ = s1;
                PRODUCTS(u3, u4, u5)
                s1 = s0 + p;
                MICO_ORDER(s1);
                s1 += q;
                MICO_ORDER(s1);
                s1 += r;
                PRODUCTS(u0, u1, u2)
                s0 = start + p;
                MICO_ORDER(s0);
                s0 += q;
                MICO_ORDER(s0);
                s0 += r;
            } while (to != end);
        } else {
            do {
                const uint32_t *next = words + column;
                uint32_t s = start;
                COLUMN(words)
                PRODUCTS(u0, u1, u2)
                COLUMN(next)
                next += column;
                ADD_UP(s)
                PRODUCTS(u3, u4, u5)
                COLUMN(next)
                ADD_UP(s)
                PRODUCTS(u6, u7, u8)
                words += step;
                ADD_UP(s)
                *to++ = s;
            } while (to != end);
        }
    }
}

/* The same for any kernel. */
MICO_ALONE void sums_any(const mico_depthwise_t *p, const uint32_t *columns, int32_t count, const int32_t *weights, uint32_t start, uint32_t *sums)
{
    for (int32_t row = 0; row < count; row += p->lanes, sums += p->sum_words) {
        const uint32_t *words = columns + row * p->stride_h;
        for (int32_t ox = 0; ox < p->out_w; ox++, words += p->stride_w * p->column_words) {
            const uint32_t *at = words;
            const int32_t *w = weights;
            uint32_t s = start;
            for (int32_t kx = 0; kx < p->kernel_w; kx++, at += p->dilation_w * p->column_words) {
                for (int32_t ky = 0; ky < p->kernel_h; ky++)
                    s += at[ky * p->dilation_h] * (uint32_t)*w++;
            }
            sums[ox] = s;
        }
    }
}

/* Sums of channel c at output rows from oy on to y, four at a time; `excess` is what a sum has too much. */
MICO_INLINE void store(const mico_depthwise_t *p, int32_t c, int32_t oy, int32_t count, const uint32_t *sums, uint32_t excess, uint8_t *y,
                       const int lanes)
{
    const int32_t low = p->output.min, span = p->output.max - low, wide = p->output.type == MICO_S32;
    const int32_t multiplier = p->weights.multiplier[c], shift = p->weights.shift[c], rounding = p->rounding;
    const int32_t bias = (int32_t)((uint32_t)p->weights.bias[c] - excess);
    const int32_t element = wide ? 4 : 1, column = p->channels * element, width = p->out_w * column;
    const int32_t positions = 4 / lanes; /* of each of the `lanes` rows */
    uint8_t *start = y + oy * width + c * element;

    for (int32_t row = 0; row < count; row += lanes, sums += p->sum_words, start += lanes * width) {
        const uint32_t *from = sums;
        uint8_t *to = start;

        for (int32_t left_over = p->out_w; left_over > 0; left_over -= positions, from += positions) {
            int32_t r[4];
            for (int32_t i = 0; i < 4; i++) {
                const uint32_t word = from[i / lanes] >> 32 / lanes % 32 * (i % lanes);
                r[i] = (int32_t)(lanes == 4 ? word & 0xffu : lanes == 2 ? word & 0xffffu : word);
                MICO_ORDER(r[i]);
            }
            mico_requantise(r, bias, multiplier, shift, rounding, low, span);
            for (int32_t i = 0; i < 4; i += lanes, to += column) {
                uint8_t *at = to;
                if (i > 0 && left_over <= i / lanes)
                    break;
                for (int32_t l = 0; l < lanes; l++, at += width) {
                    MICO_ORDER(at); /* one pointer, not four */
                    if (wide)
                        *(int32_t *)(void *)at = r[i + l]; /* aligned: buffers are, and so is the caller's int32_t */
                    else
                        *at = (uint8_t)r[i + l];
                }
            }
        }
    }
}

MICO_ALONE void store_any(const mico_depthwise_t *p, int32_t c, int32_t oy, int32_t count, const uint32_t *sums, uint32_t excess,
                          uint8_t *y)
{
    switch (p->lanes) {
    case 4: store(p, c, oy, count, sums, excess, y, 4); break;
    case 2: store(p, c, oy, count, sums, excess, y, 2); break;
    default: store(p, c, oy, count, sums, excess, y, 1); break;
    }
}

/* All rows, channel by channel: of any kernel, of `nine` taps (3 x 3 without dilation), and of these `four` channels at a time. The code
 * of one layer is one function, whose parts do not evict each other from a small cache. */
MICO_INLINE void depthwise(const mico_depthwise_t *p, const uint8_t *x, uint8_t *y, uint32_t *scratch, const int lanes, const int nine,
                           const int four)
{
    const int32_t columns = (p->in_w + 2 * p->pad_w) * p->column_words;
    const uint32_t xor_mask = in_each((uint32_t)p->xor_mask, lanes);
    uint32_t *const inner = scratch + p->pad_w * p->column_words, *const sums = scratch + p->channel_block * columns;
    int32_t *const weights = (int32_t *)(sums + p->row_tile / lanes * p->sum_words);

    for (uint32_t *word = scratch; word != (uint32_t *)weights; word++)
        *word = xor_mask;
    for (int32_t begin = 0, count; begin < p->out_h; begin += count) {
        const int32_t rest = p->out_h - begin;
        count = rest < p->row_tile ? (rest + lanes - 1) / lanes * lanes : p->row_tile;
        const int32_t oy = rest < count ? p->out_h - count : begin; /* the last word may overlap the one before */
        const int32_t iy = oy * p->stride_h - p->pad_h;
        const uint8_t *rows[MOST_INPUT];
        uint32_t masks[MOST_INPUT], inside_row[MOST_INPUT], all = 0xffffffffu;

#pragma GCC unroll 1
        for (int32_t i = 0; i < MOST_INPUT; i++) {
            rows[i] = row_of(p, x, iy + i);
            masks[i] = 0;
            inside_row[i] = four ? inside(p, iy + i, 1) : 0u;
            if (nine && i < p->column_words) {
                masks[i] = inside(p, iy + i, lanes);
                all &= masks[i];
            }
        }
        const int masked = all + 1u != 0u || p->xor_mask != 0;
        for (int32_t c = 0; c < p->channels; c++) {
            const uint32_t *const inputs = scratch + (four ? (c & 3) * columns : 0);
            uint32_t start, excess;

            if (nine) {
                unpack(&p->weights, c, 9, weights);
                start = begin_with(p, weights, 9, lanes, &excess);
            } else {
                unpack_any(&p->weights, c, weights);
                start = begin_with(p, weights, p->weights.taps, lanes, &excess);
            }
            if (four) {
                if (c & 3)
                    ; /* done with the first of the four */
                else if (p->stride_h == 1)
                    gather_four(rows, inside_row, in_each((uint32_t)p->xor_mask, 4), c, p->channels, p->in_w, inner, columns, lanes, 1);
                else
                    gather_four(rows, inside_row, in_each((uint32_t)p->xor_mask, 4), c, p->channels, p->in_w, inner, columns, lanes, 2);
            } else if (!nine || p->stride_h > 2)
                gather_any(p, x + c, iy, inner);
            else if (p->stride_h == 1 && !masked)
                gather(rows, 0, 0, c, p->channels, p->in_w, inner, lanes, 1);
            else if (p->stride_h == 1)
                gather(rows, masks, xor_mask, c, p->channels, p->in_w, inner, lanes, 1);
            else if (!masked)
                gather(rows, 0, 0, c, p->channels, p->in_w, inner, lanes, 2);
            else
                gather(rows, masks, xor_mask, c, p->channels, p->in_w, inner, lanes, 2);
            if (nine) {
                sums_nine(p, inputs, count, weights, start, sums, lanes);
                store(p, c, oy, count, sums, excess, y, lanes);
            } else {
                sums_any(p, inputs, count, weights, start, sums);
                store_any(p, c, oy, count, sums, excess, y);
            }
        }
    }
}

#define MICO_DEPTHWISE(name, lanes, nine, four)                                                                        \
    void mico_depthwise_##name(const mico_depthwise_t *p, const void *x, void *y, uint32_t *scratch)                   \
    {                                                                                                                  \
        depthwise(p, x, y, scratch, lanes, nine, four);                                                                \
    }
MICO_DEPTHWISE(any, p->lanes, 0, 0)
MICO_DEPTHWISE(nine_1, 1, 1, 0)
MICO_DEPTHWISE(nine_2, 2, 1, 0)
MICO_DEPTHWISE(nine_4, 4, 1, 0)
MICO_DEPTHWISE(block_1, 1, 1, 1)
MICO_DEPTHWISE(block_2, 2, 1, 1)
MICO_DEPTHWISE(block_4, 4, 1, 1)

void mico_depthwise(const mico_depthwise_t *p, const void *x, void *y, uint32_t *scratch)
{
    if (p->channel_block == 4 && ((uintptr_t)x & 3u) == 0u) /* the caller's buffer need not be aligned */
        (p->lanes == 4 ? mico_depthwise_block_4 : p->lanes == 2 ? mico_depthwise_block_2 : mico_depthwise_block_1)(p, x, y, scratch);
    else
        (p->lanes == 4 ? mico_depthwise_nine_4 : p->lanes == 2 ? mico_depthwise_nine_2 : mico_depthwise_nine_1)(p, x, y, scratch);
}
