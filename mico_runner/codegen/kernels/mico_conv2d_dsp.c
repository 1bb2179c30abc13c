#include "mico_conv2d_dsp.h"

#include "mico_dsp.h"
#include "mico_order.h"
#include "mico_store_block.h"

enum { SEGMENT = 256 }; /* taps of 2 and 4 bits whose products with 8 bits fit a word, scaled as they are: 256 * 255 * 2^15 < 2^31 */

/* Words of a column among those of `positions` columns, from n bytes in a row; n is a multiple of four. Returns the end. */
MICO_INLINE uint32_t *spread(uint32_t *to, const uint8_t *from, int32_t n, int32_t positions, const int is_signed)
{
    for (const uint8_t *const end = from + n; from != end; from += 4, to += 2 * positions) {
        const uint32_t word = mico_four_bytes(from);
        const uint32_t even = is_signed ? mico_sxtb16(word) : mico_uxtb16(word);
        const uint32_t odd = is_signed ? mico_sxtb16_odd(word) : mico_uxtb16_odd(word);
        to[0] = mico_low_halves(even, odd);
        to[positions] = mico_high_halves(even, odd);
    }
    return to;
}

MICO_INLINE uint32_t *zeros(uint32_t *to, int32_t n, int32_t positions)
{
    for (; n > 0; n -= 4, to += 2 * positions)
        to[0] = to[positions] = 0;
    return to;
}

/* The column whose first tap is at (iy, ix), where channels are a multiple of four. */
MICO_INLINE uint32_t *gather_words(const mico_conv2d_dsp_t *p, const uint8_t *x, int32_t iy, int32_t ix, uint32_t *to,
                                   int32_t positions, const int is_signed)
{
    const int32_t depth = p->size.in_c, run = p->size.kernel_w * depth, width = p->size.in_w * depth;
    const int32_t left = ix * depth, right = left + run;
    const int32_t before = left < 0 ? -left : 0, after = right > width ? right - width : 0;

    for (int32_t ky = 0; ky < p->size.kernel_h; ky++, iy += p->size.dilation_h) {
        if (iy < 0 || iy >= p->size.in_h) {
            to = zeros(to, run, positions);
        } else if (p->size.dilation_w == 1 && before + after < run) {
            const uint8_t *const row = x + iy * width + left;
            to = zeros(to, before, positions);
            to = spread(to, row + before, run - before - after, positions, is_signed);
            to = zeros(to, after, positions);
        } else {
            for (int32_t kx = 0, at = ix; kx < p->size.kernel_w; kx++, at += p->size.dilation_w) {
                if (at < 0 || at >= p->size.in_w)
                    to = zeros(to, depth, positions);
                else
                    to = spread(to, x + iy * width + at * depth, depth, positions, is_signed);
            }
        }
    }
    return to;
}

/* A column that is written half by half: where the next word goes, and the half that waits for the one above it. */
typedef struct {
    uint32_t *to;
    uint32_t odd, half;
} halves;

/* The next n taps: bytes in a row, or zeros where `from` is 0. */
MICO_INLINE halves append(halves at, const uint8_t *from, int32_t n, int32_t positions, uint32_t xor_mask)
{
    static const uint8_t nothing[2] = {0, 0};
    const int32_t step = from ? 1 : 0;

    if (from == 0) {
        from = nothing;
        xor_mask = 0;
    }
    if (at.odd && n > 0) {
        *at.to = mico_low_halves(at.half, (*from ^ xor_mask) - xor_mask);
        at.to += positions;
        from += step;
        n--;
        at.odd = 0;
    }
    for (; n >= 2; n -= 2, from += 2 * step) {
        const uint32_t low = (from[0] ^ xor_mask) - xor_mask, high = (from[step] ^ xor_mask) - xor_mask;
        *at.to = mico_low_halves(low, high);
        at.to += positions;
    }
    if (n > 0) {
        at.half = (*from ^ xor_mask) - xor_mask;
        at.odd = 1;
    }
    return at;
}

/* The same with any number of channels. */
MICO_INLINE uint32_t *gather_halves(const mico_conv2d_dsp_t *p, const uint8_t *x, int32_t iy, int32_t ix, uint32_t *to,
                                    int32_t positions)
{
    const int32_t depth = p->size.in_c, width = p->size.in_w * depth, near = p->size.dilation_w == 1;
    const int32_t whole = near && ix >= 0 && ix + p->size.kernel_w <= p->size.in_w;
    const int32_t pieces = whole ? 1 : p->size.kernel_w, run = whole ? p->size.kernel_w * depth : depth;
    const uint32_t xor_mask = p->xor_mask & 0x80u;
    halves at = {to, 0, 0};

    for (int32_t ky = 0; ky < p->size.kernel_h; ky++, iy += p->size.dilation_h) {
        const int inside = iy >= 0 && iy < p->size.in_h;
        for (int32_t kx = 0, image_x = ix; kx < pieces; kx++, image_x += p->size.dilation_w) {
            const int there = inside && image_x >= 0 && image_x < p->size.in_w;
            at = append(at, there ? x + iy * width + image_x * depth : 0, run, positions, xor_mask);
        }
    }
    if (at.odd) {
        *at.to = at.half & 0xffffu;
        at.to += positions;
    }
    return at.to;
}

/* The column as pairs of halves, among those of `positions` columns, zeros behind it up to whole words of weights. */
static __attribute__((noinline)) void gather(const mico_conv2d_dsp_t *p, const uint8_t *x, int32_t iy, int32_t ix, uint32_t *to,
                                             int32_t positions, const uint32_t *end)
{
    if (p->size.in_c % 4 != 0)
        to = gather_halves(p, x, iy, ix, to, positions);
    else if (p->xor_mask != 0u)
        to = gather_words(p, x, iy, ix, to, positions, 1);
    else
        to = gather_words(p, x, iy, ix, to, positions, 0);
    for (; to < end; to += positions)
        *to = 0;
}

/* Where the two weights of a pair lie: those of 2 and 4 bits at the top of a half, with their sign, 2^(16-bits) times as large; those of one
 * bit as 0 and 2, one more than they are. */
MICO_INLINE uint32_t mask_of(const int bits)
{
    return bits == 1 ? 0x00020002u : (0x10000u - (1u << (16 - bits))) * 0x10001u;
}

/* A pair of weights of a word. */
MICO_INLINE uint32_t pair_of(uint32_t word, int i, const int bits)
{
    if (bits == 8)
        return i ? mico_sxtb16_odd(word) : mico_sxtb16(word);
    if (bits == 1)
        return (i ? word >> (i - 1) : word << 1) & mask_of(1);
    return word << (16 - bits - bits * i) & mask_of(bits);
}

/* Sums d[channel * positions + position] of `rows` rows, whose words lie side by side, with the columns. */
MICO_INLINE void sums(const uint32_t *w, const uint32_t *x, int32_t words, uint32_t *d, const int rows, const int positions, const int bits)
{
    for (; words > 0; words--, w += rows) {
        for (int i = 0; i < 16 / bits; i++, x += positions) {
            for (int r = 0; r < rows; r++) {
                const uint32_t pair = pair_of(w[r], i, bits);
                for (int t = 0; t < positions; t++)
                    d[r * positions + t] = mico_smlad(pair, x[t], d[r * positions + t]);
            }
        }
    }
}

/* Words of a row of weights, and the end of the columns. */
typedef struct {
    int32_t words;
    const uint32_t *end;
} loop;

#ifdef MICO_DSP

/* The loops in assembly, where every register is in use: compilers would put sums on the stack. PAIR multiplies a pair of weights with those
 * of the positions; STEP is a word of weights of both rows. */
#define PAIR(row, pair, x0, x1)                                                                                        \
    "smlad %[" row "0], %[" pair "], " x0 ", %[" row "0]\n"                                                            \
    "smlad %[" row "1], %[" pair "], " x1 ", %[" row "1]\n"
#define LOAD_WEIGHTS "ldrd %[wa], %[wb], [%[w]], #8\n"
#define BYTES(row, word)                                                                                               \
    "sxtb16 %[t], %[" word "]\n" PAIR(row, "t", "r2", "r3")                                                            \
    "sxtb16 %[" word "], %[" word "], ror #8\n" PAIR(row, word, "r4", "r5")
#define STEP_8 LOAD_WEIGHTS "ldmia %[x]!, {r2-r5}\n" BYTES("a", "wa") BYTES("b", "wb")
#define VALUES(shift, x0, x1)                                                                                          \
    "and %[t], %[mask], %[wa], " shift "\n" PAIR("a", "t", x0, x1)                                               \
    "and %[t], %[mask], %[wb], " shift "\n" PAIR("b", "t", x0, x1)
#define FOUR_TAPS(first, second) "ldmia %[x]!, {r2-r5}\n" VALUES(first, "r2", "r3") VALUES(second, "r4", "r5")
#define TAKEN "r2", "r3", "r4", "r5"
#define STEP_4 LOAD_WEIGHTS FOUR_TAPS("lsl #12", "lsl #8") FOUR_TAPS("lsl #4", "lsl #0")
#define STEP_2 LOAD_WEIGHTS FOUR_TAPS("lsl #14", "lsl #12") FOUR_TAPS("lsl #10", "lsl #8") FOUR_TAPS("lsl #6", "lsl #4") \
    FOUR_TAPS("lsl #2", "lsl #0")
#define STEP_1 \
    LOAD_WEIGHTS FOUR_TAPS("lsl #1", "lsr #0") FOUR_TAPS("lsr #1", "lsr #2") FOUR_TAPS("lsr #3", "lsr #4") \
    FOUR_TAPS("lsr #5", "lsr #6") FOUR_TAPS("lsr #7", "lsr #8") FOUR_TAPS("lsr #9", "lsr #10") \
    FOUR_TAPS("lsr #11", "lsr #12") FOUR_TAPS("lsr #13", "lsr #14")
#define UNTIL_END(label) "ldr %[t], %[end]\n cmp %[x], %[t]\n " label "\n"
#define ONE_BY_ONE(STEP) "1:\n" STEP UNTIL_END("bne 1b")
#define BY_TWOS(STEP)                                                                                                  \
    "ldr %[t], %[words]\n lsls %[t], %[t], #31\n beq 1f\n" STEP UNTIL_END("beq 2f") "1:\n" STEP STEP UNTIL_END("bne 1b") "2:\n"

#define TWO_BY_TWO(LOOP, MASK, ...)                                                                                               \
    __asm__ volatile(LOOP                                                                                              \
                     : [a0] "+r"(a0), [a1] "+r"(a1), [b0] "+r"(b0), [b1] "+r"(b1), [x] "+r"(x), [w] "+r"(w),           \
                       [wa] "=&r"(wa), [wb] "=&r"(wb), [t] "=&r"(t)                                                    \
                     : [mask] MASK, [end] "m"(until->end), [words] "m"(until->words)                                  \
                     : __VA_ARGS__, "cc", "memory")

/* d[channel * 2 + position] += sums of two rows and two positions. */
MICO_INLINE void two_by_two(const uint32_t *w, const uint32_t *x, const loop *until, uint32_t *d, const int bits)
{
    const uint32_t mask = mask_of(bits);
    uint32_t a0 = d[0], a1 = d[1], b0 = d[2], b1 = d[3], wa, wb, t;

    switch (bits) {
    case 1: TWO_BY_TWO(ONE_BY_ONE(STEP_1), "r"(mask), TAKEN); break;
    case 2: TWO_BY_TWO(ONE_BY_ONE(STEP_2), "r"(mask), TAKEN); break;
    case 4: TWO_BY_TWO(BY_TWOS(STEP_4), "r"(mask), TAKEN); break;
    default: TWO_BY_TWO(BY_TWOS(STEP_8), "i"(0), "r2", "r3", "r4", "r5"); break;
    }
    d[0] = a0;
    d[1] = a1;
    d[2] = b0;
    d[3] = b1;
}

#define ALONE(row, pair, x0) "smlad %[" row "], %[" pair "], " x0 ", %[" row "]\n"
#define BYTES_ALONE(row, word)                                                                                         \
    "sxtb16 %[t], %[" word "]\n" ALONE(row, "t", "r2") "sxtb16 %[" word "], %[" word "], ror #8\n" ALONE(row, word, "r3")
#define NARROW_8 LOAD_WEIGHTS "ldrd r2, r3, [%[x]], #8\n" BYTES_ALONE("a", "wa") BYTES_ALONE("b", "wb")
#define CODES_ALONE(shift, x0)                                                                                         \
    "and %[t], %[mask], %[wa], " shift "\n" ALONE("a", "t", x0)                                                  \
    "and %[t], %[mask], %[wb], " shift "\n" ALONE("b", "t", x0)
#define FOUR_ALONE(first, second) "ldrd r2, r3, [%[x]], #8\n" CODES_ALONE(first, "r2") CODES_ALONE(second, "r3")
#define NARROW_4 LOAD_WEIGHTS FOUR_ALONE("lsl #12", "lsl #8") FOUR_ALONE("lsl #4", "lsl #0")
#define NARROW_2 LOAD_WEIGHTS FOUR_ALONE("lsl #14", "lsl #12") FOUR_ALONE("lsl #10", "lsl #8") FOUR_ALONE("lsl #6", "lsl #4") \
    FOUR_ALONE("lsl #2", "lsl #0")
#define NARROW_1 \
    LOAD_WEIGHTS FOUR_ALONE("lsl #1", "lsr #0") FOUR_ALONE("lsr #1", "lsr #2") FOUR_ALONE("lsr #3", "lsr #4") \
    FOUR_ALONE("lsr #5", "lsr #6") FOUR_ALONE("lsr #7", "lsr #8") FOUR_ALONE("lsr #9", "lsr #10") \
    FOUR_ALONE("lsr #11", "lsr #12") FOUR_ALONE("lsr #13", "lsr #14")
#define TWO_BY_ONE(LOOP)                                                                                               \
    __asm__ volatile(LOOP                                                                                              \
                     : [a] "+r"(a), [b] "+r"(b), [x] "+r"(x), [w] "+r"(w), [wa] "=&r"(wa), [wb] "=&r"(wb), [t] "=&r"(t) \
                     : [mask] "r"(mask), [end] "m"(until->end), [words] "m"(until->words)                                            \
                     : "r2", "r3", "cc", "memory")

/* d[channel] += sums of two rows and one position. */
MICO_INLINE void two_by_one(const uint32_t *w, const uint32_t *x, const loop *until, uint32_t *d, const int bits)
{
    const uint32_t mask = mask_of(bits);
    uint32_t a = d[0], b = d[1], wa, wb, t;

    switch (bits) {
    case 1: TWO_BY_ONE(ONE_BY_ONE(NARROW_1)); break;
    case 2: TWO_BY_ONE(ONE_BY_ONE(NARROW_2)); break;
    case 4: TWO_BY_ONE(BY_TWOS(NARROW_4)); break;
    default: TWO_BY_ONE(BY_TWOS(NARROW_8)); break;
    }
    d[0] = a;
    d[1] = b;
}

#else

MICO_INLINE void two_by_two(const uint32_t *w, const uint32_t *x, const loop *until, uint32_t *d, const int bits)
{
    sums(w, x, until->words, d, 2, 2, bits);
}

MICO_INLINE void two_by_one(const uint32_t *w, const uint32_t *x, const loop *until, uint32_t *d, const int bits)
{
    sums(w, x, until->words, d, 2, 1, bits);
}

#endif

/* d[channel * positions + position] += sums of `rows` rows with the columns. */
MICO_INLINE void add_sums(const uint32_t *w, const uint32_t *column, const loop *until, uint32_t *d, const int rows, const int positions,
                          const int bits)
{
    if (rows == 1)
        sums(w, column, until->words, d, 1, positions, bits);
    else if (positions == 2)
        two_by_two(w, column, until, d, bits);
    else
        two_by_one(w, column, until, d, bits);
}

/* d = the sums of weights of 2 or 4 bits, which are found 2^(16-bits) times as large. `until`: of a row, if it is no longer than a segment. */
MICO_INLINE void scaled_sums(const uint32_t *w, const uint32_t *column, const loop *until, uint32_t *d, const int rows, const int positions,
                             const int bits)
{
    const int32_t most = SEGMENT * bits / 32;
    const int count = rows * positions, shift = 16 - bits;

    for (int i = 0; i < count; i++)
        d[i] = 0;
    if (until->words <= most) {
        add_sums(w, column, until, d, rows, positions, bits);
        for (int i = 0; i < count; i++)
            d[i] = (uint32_t)((int32_t)d[i] >> shift);
        return;
    }
    for (int32_t left = until->words; left > 0; left -= most) {
        const int32_t words = left < most ? left : most;
        const loop part = {words, column + words * (16 / bits) * positions};
        uint32_t found[4] = {0};
        add_sums(w, column, &part, found, rows, positions, bits);
        for (int i = 0; i < count; i++)
            d[i] += (uint32_t)((int32_t)found[i] >> shift);
        w += rows * most;
        column = part.end;
    }
}

/* `rows` channels from c on, whose rows of weights begin at w. */
MICO_INLINE void block(const mico_conv2d_dsp_t *p, int32_t c, const uint32_t *w, const uint32_t *column, const loop *until,
                       const uint32_t *terms, const int rows, const int positions, uint8_t *y, const int bits)
{
    const int32_t *const bias = p->weights.bias + c;
    uint32_t d[4];

    if (bits == 1 || bits == 8) {
        for (int i = 0; i < rows * positions; i++)
            d[i] = (uint32_t)bias[i / positions] + (bits == 1 ? terms[i % positions] : 0u);
        add_sums(w, column, until, d, rows, positions, bits);
    } else {
        scaled_sums(w, column, until, d, rows, positions, bits);
        for (int i = 0; i < rows * positions; i++)
            d[i] += (uint32_t)bias[i / positions];
    }
    mico_store_block(p, c, d, rows, positions, y);
}

/* All channels at `positions` positions from their columns, y (positions, out_c). terms: what sums begin with beside the bias. */
MICO_INLINE void channels(const mico_conv2d_dsp_t *p, const uint32_t *column, const uint32_t *terms, const int positions, uint8_t *y,
                          const int bits)
{
    const loop until = {p->weights.row_words, column + p->weights.row_words * (16 / bits) * positions};
    const uint32_t *w = p->weights.words;
    int32_t c = 0;

    for (; c + 2 <= p->size.out_c; c += 2, w += 2 * until.words)
        block(p, c, w, column, &until, terms, 2, positions, y, bits);
    if (c < p->size.out_c)
        block(p, c, w, column, &until, terms, 1, positions, y, bits);
}

/* The start of sums of weights of one bit with the column: minus the sum of the column. */
MICO_INLINE uint32_t term(const mico_conv2d_dsp_t *p, const uint32_t *column, const int positions, const int bits)
{
    uint32_t sum = 0;

    if (bits != 1)
        return 0;
    for (int32_t i = 16 * p->weights.row_words; i > 0; i -= 4, column += 4 * positions) {
        sum = mico_smlad(column[0], 0x00010001u, sum);
        sum = mico_smlad(column[positions], 0x00010001u, sum);
        sum = mico_smlad(column[2 * positions], 0x00010001u, sum);
        sum = mico_smlad(column[3 * positions], 0x00010001u, sum);
    }
    return -sum;
}

MICO_INLINE void convolve(const mico_conv2d_dsp_t *p, const void *x, void *y, uint32_t *column, const int bits)
{
    const int32_t size = p->size.out_h * p->size.out_w, step = p->size.out_c * (p->output.type == MICO_S32 ? 4 : 1);
    const int32_t taps = p->weights.row_words * (32 / bits); /* of whole words */
    int32_t oy = 0, ox = 0;
    uint32_t terms[2];

    if (size == 1) {
        gather(p, x, -p->size.pad_h, -p->size.pad_w, column, 1, column + taps / 2);
        terms[0] = term(p, column, 1, bits);
        channels(p, column, terms, 1, y, bits);
        return;
    }
    for (int32_t begin = 0; begin < size; begin += 2) {
        int32_t first = begin;
        if (first + 2 > size) { /* the last tile overlaps the one before */
            first = size - 2;
            oy = first / p->size.out_w;
            ox = first % p->size.out_w;
        }
        for (int t = 0; t < 2; t++) {
            gather(p, x, oy * p->size.stride_h - p->size.pad_h, ox * p->size.stride_w - p->size.pad_w, column + t, 2, column + taps);
            terms[t] = term(p, column + t, 2, bits);
            if (++ox == p->size.out_w) {
                ox = 0;
                oy++;
            }
        }
        channels(p, column, terms, 2, (uint8_t *)y + first * step, bits);
    }
}

void mico_conv2d_dsp_1(const mico_conv2d_dsp_t *p, const void *x, void *y, uint32_t *scratch)
{
    convolve(p, x, y, scratch, 1);
}

void mico_conv2d_dsp_2(const mico_conv2d_dsp_t *p, const void *x, void *y, uint32_t *scratch)
{
    convolve(p, x, y, scratch, 2);
}

void mico_conv2d_dsp_4(const mico_conv2d_dsp_t *p, const void *x, void *y, uint32_t *scratch)
{
    convolve(p, x, y, scratch, 4);
}

void mico_conv2d_dsp_8(const mico_conv2d_dsp_t *p, const void *x, void *y, uint32_t *scratch)
{
    convolve(p, x, y, scratch, 8);
}
