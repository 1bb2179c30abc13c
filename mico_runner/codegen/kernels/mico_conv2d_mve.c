#include "mico_conv2d_mve.h"

#include "mico_mve.h"

enum { POSITIONS = 3, CHANNELS = 4, VECTOR = 16 };

/* Steps of 16 taps that a piece of 16, 8 or 4 bytes of weights has. */
MICO_INLINE int steps_of(const int bytes, const int bits)
{
    return bytes * 8 / bits < VECTOR ? 1 : bytes / bits / 2;
}

/* The im2col column whose first tap is at (iy, ix), as signed bytes, and zeros behind it. Padding is what a zero is stored as. */
static __attribute__((noinline)) void gather(const mico_conv2d_mve_t *p, const uint8_t *x, int32_t iy, int32_t ix, int8_t *to)
{
    const int32_t depth = p->size.in_c, run = p->size.kernel_w * depth, row = p->size.in_w * depth, left = ix * depth;
    const int32_t xor_mask = p->xor_mask;
    const int32_t near = p->size.dilation_w == 1, inside_w = near && left >= 0 && left + run <= row;
    int8_t *const end = to + p->column_bytes;

    if (inside_w && iy >= 0 && iy + (p->size.kernel_h - 1) * p->size.dilation_h < p->size.in_h) {
        mico_copy_xored(to, x + iy * row + left, run, p->size.kernel_h, p->size.dilation_h * row, xor_mask);
        to += p->size.kernel_h * run;
    } else {
        const int32_t pieces = near ? 1 : p->size.kernel_w, piece = near ? run : depth;
        for (int32_t ky = 0; ky < p->size.kernel_h; ky++, iy += p->size.dilation_h) {
            int32_t from = left;
            for (int32_t kx = 0; kx < pieces; kx++, to += piece, from += p->size.dilation_w * depth) {
                const int32_t most = from < 0 ? -from : 0, before = most < piece ? most : piece;
                const int32_t until = row - from < piece ? row - from : piece, after = until > before ? until : before;
                if (iy < 0 || iy >= p->size.in_h) {
                    mico_fill(to, piece, xor_mask);
                } else {
                    mico_fill(to, before, xor_mask);
                    mico_copy_xored(to + before, x + iy * row + from + before, after - before, 1, 0, xor_mask);
                    mico_fill(to + after, piece - after, xor_mask);
                }
            }
        }
    }
    mico_fill(to, (int32_t)(end - to), 0);
}

/* Activations of a piece of weights of `bytes` bytes: from each is taken 2^bits times the one whose weight lies below its own in the same byte
 * (codegen/mve.py). Adds their sum to all[0], that of those whose weights lie at the top to all[1]. */
MICO_INLINE void take_off(int8_t *x, int32_t *all, const int bits, const int bytes)
{
    const int steps = steps_of(bytes, bits);

    all[1] = mico_add_bytes(all[1], bytes == VECTOR ? mico_load_bytes(x + VECTOR * (steps - 1))
                                                    : mico_load_behind(x + VECTOR * (steps - 1), VECTOR - bytes));
#pragma GCC unroll 8
    for (int j = steps - 1; j >= 0; j--) {
        int8_t *const at = x + VECTOR * j;
        const mico_bytes v = mico_load_bytes(at);
        all[0] = mico_add_bytes(all[0], v);
        if (j > 0)
            mico_store_bytes(at, mico_bytes_plus(v, mico_load_bytes(at - bytes), -(1 << bits)));
        else if (bytes < VECTOR)
            mico_store_bytes(at, mico_bytes_plus(v, mico_load_behind(at - bytes, bytes), -(1 << bits)));
    }
}

/* The sums of a position begin with this beside the bias: of weights of one bit, and where activations are changed for the sake of `narrow`. */
MICO_INLINE int32_t term_of(const mico_conv2d_mve_t *p, int8_t *x, const int bits, const int narrow)
{
    const int32_t words = p->weights.row_words;
    int32_t all[2] = {0, 0};

    if (bits > 2 || (bits == 2 && !narrow))
        return 0;
    if (!narrow) {
        for (int32_t i = 0; i < p->column_bytes; i += VECTOR)
            all[0] = mico_add_bytes(all[0], mico_load_bytes(x + i));
        return all[0];
    }
    for (int32_t n = words >> 2; n > 0; n--, x += VECTOR * 8 / bits)
        take_off(x, all, bits, 16);
    if (words & 2) {
        take_off(x, all, bits, 8);
        x += VECTOR * steps_of(8, bits);
    }
    if (words & 1)
        take_off(x, all, bits, 4);
    return 2 * all[1] - bits * all[0];
}

/* Two rows of weights and the columns of three positions, as far as they are multiplied, and their sums: of a position alone s0 and t0. */
typedef struct {
    const uint8_t *a, *b;
    const int8_t *x0, *x1, *x2;
    int32_t s0, s1, s2, t0, t1, t2;
} block;

#ifdef MICO_MVE

/* The loops in assembly, where every register is in use: compilers would put pointers and sums on the stack. Weights of a piece are in q0 and q1,
 * those of a step in q5 and q6, activations in q2 to q4, the mask in q7. THREE and ONE are the products of a step at as many positions. */
#define THREE(a, b)                                                                                                    \
    "vldrb.8 q2, [%[x0]], #16\n vldrb.8 q3, [%[x1]], #16\n vldrb.8 q4, [%[x2]], #16\n"                                 \
    "vmladava.s8 %[s0], " a ", q2\n vmladava.s8 %[t0], " b ", q2\n"                                                    \
    "vmladava.s8 %[s1], " a ", q3\n vmladava.s8 %[t1], " b ", q3\n"                                                    \
    "vmladava.s8 %[s2], " a ", q4\n vmladava.s8 %[t2], " b ", q4\n"
#define ONE(a, b) "vldrb.8 q2, [%[x0]], #16\n vmladava.s8 %[s0], " a ", q2\n vmladava.s8 %[t0], " b ", q2\n"
#define WHOLE(DOT) DOT("q0", "q1")
#define DOWN(DOT, n) "vshr.s8 q5, q0, #" n "\n vshr.s8 q6, q1, #" n "\n" DOT("q5", "q6")
#define TOP(DOT) "vand q5, q0, q7\n vand q6, q1, q7\n" DOT("q5", "q6")
#define UP(DOT, n) "vshl.i8 q5, q0, #" n "\n vshl.i8 q6, q1, #" n "\n vand q5, q5, q7\n vand q6, q6, q7\n" DOT("q5", "q6")
#define LOWEST(DOT, n) "vshl.i8 q5, q0, #" n "\n vshl.i8 q6, q1, #" n "\n" DOT("q5", "q6")
#define VECTORS(STEPS)                                                                                                 \
    "ldr %[t], %[words]\n lsrs %[t], %[t], #2\n wls lr, %[t], 2f\n"                                                    \
    "1: vldrb.8 q0, [%[a]], #16\n vldrb.8 q1, [%[b]], #16\n" STEPS "le lr, 1b\n2:\n"
/* A piece of 8 bytes, whose number of words has bit `mask`, repeated; its n-th copy is shifted by n weights: `EACH` of n. */
#define REPEATED(mask, LOAD, copies, EACH, STEPS, end)                                                                 \
    "ldr %[t], %[words]\n ands %[t], %[t], #" mask "\n beq " end "f\n"                                                 \
    "vmov.i32 q6, #0\n " LOAD " q0, [%[a], q6]\n " LOAD " q1, [%[b], q6]\n"                                            \
    "movs %[t], #0\n vidup.u8 q5, %[t], #1\n vshr.u8 q5, q5, #" copies "\n" EACH                                       \
    "vshl.s8 q0, q0, q5\n vshl.s8 q1, q1, q5\n" STEPS end ":\n"
#define PIECES(EACH, STEPS16, STEPS8, STEPS4)                                                                          \
    VECTORS(STEPS16)                                                                                                   \
    REPEATED("2", "vldrd.u64", "3", EACH, STEPS8 "adds %[a], %[a], #8\n adds %[b], %[b], #8\n", "3")                   \
    REPEATED("1", "vldrw.u32", "2", EACH, STEPS4, "4")
#define ROWS_8(DOT)                                                                                                    \
    VECTORS(WHOLE(DOT))                                                                                                \
    "ldr %[t], %[words]\n ands %[t], %[t], #3\n beq 3f\n lsls %[t], %[t], #2\n vctp.8 %[t]\n"                          \
    "vpstt\n vldrbt.8 q0, [%[a]]\n vldrbt.8 q1, [%[b]]\n" WHOLE(DOT) "3:\n"
#define MASK(mask) "movs %[t], #" mask "\n vdup.8 q7, %[t]\n"
#define ROWS_4(DOT) MASK("0xf0") PIECES("vshl.i8 q5, q5, #2\n", TOP(DOT) LOWEST(DOT, "4"), TOP(DOT), TOP(DOT))
#define ROWS_2(DOT)                                                                                                    \
    MASK("0xc0") PIECES("vshl.i8 q5, q5, #1\n", TOP(DOT) UP(DOT, "2") UP(DOT, "4") LOWEST(DOT, "6"), TOP(DOT) UP(DOT, "4"), TOP(DOT))
#define ROWS_1(DOT)                                                                                                    \
    MASK("0x80") PIECES("", TOP(DOT) UP(DOT, "1") UP(DOT, "2") UP(DOT, "3") UP(DOT, "4") UP(DOT, "5") UP(DOT, "6") LOWEST(DOT, "7"), \
                        TOP(DOT) UP(DOT, "2") UP(DOT, "4") UP(DOT, "6"), TOP(DOT) UP(DOT, "4"))
#define NARROW_2(DOT)                                                                                                  \
    PIECES("vshl.i8 q5, q5, #1\n vneg.s8 q5, q5\n", WHOLE(DOT) DOWN(DOT, "2") DOWN(DOT, "4") DOWN(DOT, "6"),           \
           WHOLE(DOT) DOWN(DOT, "4"), WHOLE(DOT))
#define NARROW_1(DOT)                                                                                                  \
    PIECES("vneg.s8 q5, q5\n", WHOLE(DOT) DOWN(DOT, "1") DOWN(DOT, "2") DOWN(DOT, "3") DOWN(DOT, "4") DOWN(DOT, "5") DOWN(DOT, "6") DOWN(DOT, "7"), \
           WHOLE(DOT) DOWN(DOT, "2") DOWN(DOT, "4") DOWN(DOT, "6"), WHOLE(DOT) DOWN(DOT, "4"))
#define TAKEN "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "lr", "cc", "memory" /* Te: registers of even numbers */
#define AT_THREE(ROWS)                                                                                                 \
    __asm__ volatile(ROWS(THREE)                                                                                       \
                     : [s0] "+Te"(d.s0), [s1] "+Te"(d.s1), [s2] "+Te"(d.s2), [t0] "+Te"(d.t0), [t1] "+Te"(d.t1), [t2] "+Te"(d.t2), \
                       [a] "+r"(d.a), [b] "+r"(d.b), [x0] "+r"(d.x0), [x1] "+r"(d.x1), [x2] "+r"(d.x2), [t] "=&Te"(t)  \
                     : [words] "m"(words)                                                                              \
                     : TAKEN)
#define AT_ONE(ROWS)                                                                                                   \
    __asm__ volatile(ROWS(ONE)                                                                                         \
                     : [s0] "+Te"(d.s0), [t0] "+Te"(d.t0), [a] "+r"(d.a), [b] "+r"(d.b), [x0] "+r"(d.x0), [t] "=&Te"(t) \
                     : [words] "m"(words)                                                                              \
                     : TAKEN)
#define AT(ROWS)                                                                                                       \
    if (positions == POSITIONS)                                                                                        \
        AT_THREE(ROWS);                                                                                                \
    else                                                                                                               \
        AT_ONE(ROWS)

/* Adds the products of whole rows of `words` words. */
MICO_INLINE block multiply_rows(block d, int32_t words, const int positions, const int bits, const int narrow)
{
    int32_t t;

    if (bits == 8) {
        AT(ROWS_8);
    } else if (bits == 4) {
        AT(ROWS_4);
    } else if (bits == 2 && narrow) {
        AT(NARROW_2);
    } else if (bits == 2) {
        AT(ROWS_2);
    } else if (narrow) {
        AT(NARROW_1);
    } else {
        AT(ROWS_1);
    }
    return d;
}

#else

/* 16 taps of both rows. */
MICO_INLINE block step(block d, mico_bytes a, mico_bytes b, const int positions)
{
    const mico_bytes x0 = mico_load_bytes(d.x0);

    d.x0 += VECTOR;
    d.s0 = mico_add_products(d.s0, a, x0);
    d.t0 = mico_add_products(d.t0, b, x0);
    if (positions == POSITIONS) {
        const mico_bytes x1 = mico_load_bytes(d.x1), x2 = mico_load_bytes(d.x2);
        d.x1 += VECTOR;
        d.x2 += VECTOR;
        d.s1 = mico_add_products(d.s1, a, x1);
        d.t1 = mico_add_products(d.t1, b, x1);
        d.s2 = mico_add_products(d.s2, a, x2);
        d.t2 = mico_add_products(d.t2, b, x2);
    }
    return d;
}

/* The weights of step j of a piece. */
MICO_INLINE mico_bytes weights_of(mico_bytes w, const int j, const int bits, const int narrow, const int bytes)
{
    const int apart = VECTOR / bytes * bits; /* bits from a step to the next */

    if (narrow)
        return mico_bytes_down(w, j * apart);
    w = mico_bytes_up(w, j * apart);
    return bits == 8 || (bytes == VECTOR && (j + 1) * bits == 8) ? w : mico_bytes_and(w, -(1 << (8 - bits)));
}

/* The products of `bytes` bytes of weights of each row: 16, 8 twice, or 4 four times, the copies shifted by a further weight each. */
MICO_INLINE block multiply(block d, const int positions, const int bits, const int narrow, const int bytes)
{
    static const int8_t second[VECTOR] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1};
    static const int8_t fourth[VECTOR] = {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3};
    mico_bytes a, b;

    if (bytes == VECTOR) {
        a = mico_load_bytes(d.a);
        b = mico_load_bytes(d.b);
    } else {
        mico_bytes by = mico_bytes_up(mico_load_bytes(bytes == 8 ? second : fourth), bits >> 1); /* log2 */
        by = narrow ? mico_bytes_minus(by) : by;
        a = mico_bytes_each(mico_load_repeated(d.a, bytes), by);
        b = mico_bytes_each(mico_load_repeated(d.b, bytes), by);
    }
    d.a += bytes;
    d.b += bytes;
#pragma GCC unroll 8
    for (int j = 0; j < steps_of(bytes, bits); j++) /* shifts by constants */
        d = step(d, weights_of(a, j, bits, narrow, bytes), weights_of(b, j, bits, narrow, bytes), positions);
    return d;
}

MICO_INLINE block multiply_rows(block b, int32_t words, const int positions, const int bits, const int narrow)
{
    for (int32_t n = words >> 2; n > 0; n--)
        b = multiply(b, positions, bits, narrow, 16);
    if (bits == 8) {
        if (words & 3)
            b = step(b, mico_load_some(b.a, (words & 3) * 4), mico_load_some(b.b, (words & 3) * 4), positions);
    } else {
        if (words & 2)
            b = multiply(b, positions, bits, narrow, 8);
        if (words & 1)
            b = multiply(b, positions, bits, narrow, 4);
    }
    return b;
}

#endif

/* d[position * CHANNELS + row] = sums of two rows of weights, w and the one `apart` words behind it, with the columns at x. */
typedef void sums_of(const mico_conv2d_mve_t *p, const uint32_t *w, int32_t apart, const int8_t *x, int32_t *d);

MICO_INLINE void sums(const mico_conv2d_mve_t *p, const uint32_t *w, int32_t apart, const int8_t *x, int32_t *d, const int positions,
                      const int bits, const int narrow)
{
    const int32_t next = p->column_bytes;
    const block begin = {(const uint8_t *)w, (const uint8_t *)(w + apart), x, x + next, x + 2 * next, 0, 0, 0, 0, 0, 0};
    const block b = multiply_rows(begin, p->weights.row_words, positions, bits, narrow);

    d[0] = b.s0;
    d[1] = b.t0;
    if (positions == POSITIONS) {
        d[CHANNELS] = b.s1;
        d[CHANNELS + 1] = b.t1;
        d[2 * CHANNELS] = b.s2;
        d[2 * CHANNELS + 1] = b.t2;
    }
}

/* Functions of their own, as the loops need all registers. */
#define SUMS(suffix, bits, narrow)                                                                                     \
    static __attribute__((noinline)) void three_##suffix(const mico_conv2d_mve_t *p, const uint32_t *w, int32_t apart, const int8_t *x, int32_t *d) \
    {                                                                                                                  \
        sums(p, w, apart, x, d, POSITIONS, bits, narrow);                                                              \
    }                                                                                                                  \
    static __attribute__((noinline)) void one_##suffix(const mico_conv2d_mve_t *p, const uint32_t *w, int32_t apart, const int8_t *x, int32_t *d) \
    {                                                                                                                  \
        sums(p, w, apart, x, d, 1, bits, narrow);                                                                      \
    }
SUMS(1, 1, 0)
SUMS(2, 2, 0)
SUMS(4, 4, 0)
SUMS(8, 8, 0)
SUMS(1_narrow, 1, 1)
SUMS(2_narrow, 2, 1)

/* The sums d of `count` channels from c on at `positions` positions, scaled by 2^up, to the output, y (positions, out_c). */
MICO_INLINE void finish(const mico_conv2d_mve_t *p, int32_t c, const int32_t *d, const int32_t *terms, int32_t positions, uint8_t *y,
                        const int32_t count, int32_t up)
{
    const mico_words bias = mico_load_words(p->weights.bias + c, count);
    const mico_scales scales = mico_load_scales(p->weights.multiplier + c, p->weights.shift + c, count);
    const int32_t element = p->output.type == MICO_S32 ? 4 : 1, step = p->size.out_c * element;
    const int plain = element == 1 && p->output.sign == 0;
    const mico_range bytes = {MICO_S8, p->output.min, p->output.max, 0};

    y += c * element;
    for (; positions > 0; positions--, d += CHANNELS, y += step) {
        const mico_words found = mico_words_shifted(mico_load_words(d, CHANNELS), up);
        const mico_words acc = mico_words_plus_one(mico_words_plus(found, bias), *terms++);
        if (plain)
            mico_store_requantised(y, acc, &scales, &bytes, count);
        else
            mico_store_requantised(y, acc, &scales, &p->output, count);
    }
}

/* All channels at `positions` positions from their columns, y (positions, out_c). */
static __attribute__((noinline)) void tile(const mico_conv2d_mve_t *p, const int8_t *column, const int32_t *terms, uint8_t *y,
                                           int32_t positions,
                                           sums_of *const sums_of_two, int32_t up)
{
    const int32_t words = p->weights.row_words;
    const uint32_t *w = p->weights.words;
    int32_t c = 0, d[POSITIONS * CHANNELS];

    for (; c + CHANNELS <= p->size.out_c; c += CHANNELS, w += CHANNELS * words) {
        sums_of_two(p, w, words, column, d);
        sums_of_two(p, w + 2 * words, words, column, d + 2);
        finish(p, c, d, terms, positions, y, CHANNELS, up);
    }
    if (c < p->size.out_c) { /* a row without another is multiplied twice */
        const int32_t count = p->size.out_c - c;
        sums_of_two(p, w, count == 1 ? 0 : words, column, d);
        sums_of_two(p, w + (count == 3 ? 2 : 0) * words, 0, column, d + 2);
        finish(p, c, d, terms, positions, y, count, up);
    }
}

MICO_INLINE void convolve(const mico_conv2d_mve_t *p, const void *x, void *y, uint32_t *scratch, const int bits, const int narrow,
                          sums_of *const of_three, sums_of *const of_one)
{
    const int32_t size = p->size.out_h * p->size.out_w, step = p->size.out_c * (p->output.type == MICO_S32 ? 4 : 1);
    const int tile_positions = size < POSITIONS ? 1 : POSITIONS;
    const int32_t up = bits == 8 || (bits == 2 && narrow) ? 0 : bits == 4 ? -4 : narrow ? 1 : -6;
    int8_t *const column = (int8_t *)scratch;
    int32_t oy = 0, ox = 0, terms[POSITIONS];

    for (int32_t begin = 0; begin < size; begin += tile_positions) {
        int32_t first = begin;
        if (first + tile_positions > size) { /* the last tile overlaps the one before */
            first = size - tile_positions;
            oy = first / p->size.out_w;
            ox = first % p->size.out_w;
        }
        for (int t = 0; t < tile_positions; t++) {
            int8_t *const to = column + t * p->column_bytes;
            gather(p, x, oy * p->size.stride_h - p->size.pad_h, ox * p->size.stride_w - p->size.pad_w, to);
            terms[t] = term_of(p, to, bits, narrow);
            if (++ox == p->size.out_w) {
                ox = 0;
                oy++;
            }
        }
        tile(p, column, terms, (uint8_t *)y + first * step, tile_positions, tile_positions == 1 ? of_one : of_three, up);
    }
}

void mico_conv2d_mve_1(const mico_conv2d_mve_t *p, const void *x, void *y, uint32_t *scratch)
{
    convolve(p, x, y, scratch, 1, 0, three_1, one_1);
}

void mico_conv2d_mve_2(const mico_conv2d_mve_t *p, const void *x, void *y, uint32_t *scratch)
{
    convolve(p, x, y, scratch, 2, 0, three_2, one_2);
}

void mico_conv2d_mve_4(const mico_conv2d_mve_t *p, const void *x, void *y, uint32_t *scratch)
{
    convolve(p, x, y, scratch, 4, 0, three_4, one_4);
}

void mico_conv2d_mve_8(const mico_conv2d_mve_t *p, const void *x, void *y, uint32_t *scratch)
{
    convolve(p, x, y, scratch, 8, 0, three_8, one_8);
}

void mico_conv2d_mve_1_narrow(const mico_conv2d_mve_t *p, const void *x, void *y, uint32_t *scratch)
{
    convolve(p, x, y, scratch, 1, 1, three_1_narrow, one_1_narrow);
}

void mico_conv2d_mve_2_narrow(const mico_conv2d_mve_t *p, const void *x, void *y, uint32_t *scratch)
{
    convolve(p, x, y, scratch, 2, 1, three_2_narrow, one_2_narrow);
}
