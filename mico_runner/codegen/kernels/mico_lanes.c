/* Several products in one 32-bit multiplication.
 *
 * With lanes of L bits, (x0 + x1 << L) * (u1 + u0 << L) has x0 * u0 + x1 * u1 in bits L .. 2L - 1: two products and their sum for
 * one multiplication. Four lanes of 8 bits give four, in bits 24 .. 31. Codes are unsigned, so that nothing borrows; lanes are
 * emptied into full words before they can overflow. The weights' codes lie in their words so that a shift and a mask bring them
 * into lanes, in reverse order of the patch's lanes (codegen/schemes.py). */
#include "mico_tile.h"

#define SCALE(bits) ((bits) == 1 ? 2u : 1u) /* sw */

/* Positions i and k of a patch's words, in `at`. */
#define LOAD_TWO(x0, x1, i, k)                                                                                         \
    uint32_t x0 = at[i], x1 = at[k];                                                                                   \
    MICO_ORDER(x0);                                                                                                    \
    MICO_ORDER(x1);
#define PRODUCTS_OF_TWO(x0, x1, codes, others)                                                                         \
    uint32_t p0 = x0 * codes;                                                                                          \
    MICO_ORDER(p0);                                                                                                    \
    uint32_t p1 = x1 * codes;                                                                                          \
    MICO_ORDER(p1);                                                                                                    \
    uint32_t p2 = x0 * others;                                                                                         \
    MICO_ORDER(p2);                                                                                                    \
    uint32_t p3 = x1 * others;                                                                                         \
    MICO_ORDER(p3);
#define ADD_TWO(i, k)                                                                                                  \
    MICO_ADD(s##i, p0);                                                                                                \
    MICO_ADD(s##k, p1);                                                                                                \
    MICO_ADD(t##i, p2);                                                                                                \
    MICO_ADD(t##k, p3);

#define CODES(name, word, j)                                                                                           \
    uint32_t name = (word) >> bits * (j);                                                                              \
    if (j)                                                                                                             \
        MICO_ORDER(name);
#define MASK(name)                                                                                                     \
    name &= mask;                                                                                                      \
    MICO_ORDER(name);
/* Two steps of lanes of 16 bits: the codes of rows a and b in lanes, times a word of the patches of four positions, of which codes 0
 * and 2 are for step j and 1 and 3 for the next, onto lanes s0 .. s3 and t0 .. t3. `then`: what to load before the last sums. */
#define EVEN_AND_ODD(x0, x1, i, k, then)                                                                               \
    {                                                                                                                  \
        uint32_t odd0 = x0 >> 8, odd1 = x1 >> 8;                                                                       \
        MICO_ORDER(odd0);                                                                                              \
        MICO_ORDER(odd1);                                                                                              \
        x0 &= even;                                                                                                    \
        MICO_ORDER(x0);                                                                                                \
        x1 &= even;                                                                                                    \
        MICO_ORDER(x1);                                                                                                \
        {                                                                                                              \
            PRODUCTS_OF_TWO(x0, x1, codes, others)                                                                     \
            odd0 &= even;                                                                                              \
            MICO_ORDER(odd0);                                                                                          \
            odd1 &= even;                                                                                              \
            MICO_ORDER(odd1);                                                                                          \
            ADD_TWO(i, k)                                                                                              \
        }                                                                                                              \
        PRODUCTS_OF_TWO(odd0, odd1, codes2, others2)                                                                   \
        then;                                                                                                          \
        ADD_TWO(i, k)                                                                                                  \
    }
#define TWO_STEPS(j)                                                                                                   \
    {                                                                                                                  \
        const uint32_t *const at = patch + 2 * (j);                                                                    \
        LOAD_TWO(x0, x1, 0, 1)                                                                                         \
        CODES(codes, a, j)                                                                                             \
        CODES(others, b, j)                                                                                            \
        CODES(codes2, a, (j) + 1)                                                                                      \
        CODES(others2, b, (j) + 1)                                                                                     \
        MASK(codes)                                                                                                    \
        MASK(others)                                                                                                   \
        MASK(codes2)                                                                                                   \
        MASK(others2)                                                                                                  \
        uint32_t x2, x3;                                                                                               \
        EVEN_AND_ODD(x0, x1, 0, 1, {                                                                                   \
            x2 = at[2];                                                                                                \
            MICO_ORDER(x2);                                                                                            \
            x3 = at[3];                                                                                                \
            MICO_ORDER(x3);                                                                                            \
        })                                                                                                             \
        EVEN_AND_ODD(x2, x3, 2, 3, {})                                                                                 \
    }

/* Rows are read in groups of steps: as many as a word of weights has, at most eight; the REST one code word at a time. */
#define STEPS(bits, each) ((each)*8 / (bits)) /* of a word of weights; `each` words of the patch for one of codes */
#define GROUP(bits, each) (STEPS(bits, each) < 4 ? STEPS(bits, each) : STEPS(bits, each) < 8 ? 4 : 8)

#define FULL(bits, each, code_words) ((uint32_t)((code_words) / (GROUP(bits, each) / (each))))
#define REST(bits, each, code_words) ((uint32_t)((code_words) % (GROUP(bits, each) / (each)))) /* code words */

/* The weights of group g. */
MICO_INLINE uint32_t group_of(const uint32_t *row, uint32_t g, const int bits, const int each)
{
    const uint32_t per_word = (uint32_t)(STEPS(bits, each) / GROUP(bits, each));
    return row[g / per_word] >> g % per_word * (uint32_t)(bits * GROUP(bits, each));
}

/* Weights of 3 bits lie in nibbles. The fourth bits are such that three words, XORed, make up a fourth: the g-th word, whose steps
 * mask the fourth bit. */
MICO_INLINE uint32_t nibbles_of(const uint32_t *row, uint32_t g)
{
    const uint32_t *end = row + g - g / 4;
    if (g % 4 < 3)
        return *end;
    return ((end[-3] >> 1 ^ end[-2]) >> 1 ^ end[-1]) >> 1;
}

/* Sums, of whose lanes the high ones are kept, are added to those of four positions before. All are read before any is written, which
 * might be the same for all the compiler knows. */
#define PUT_SUMS(before, before2, top)                                                                                 \
    {                                                                                                                  \
        s0 >>= top;                                                                                                    \
        s1 >>= top;                                                                                                    \
        s2 >>= top;                                                                                                    \
        s3 >>= top;                                                                                                    \
        t0 >>= top;                                                                                                    \
        t1 >>= top;                                                                                                    \
        t2 >>= top;                                                                                                    \
        t3 >>= top;                                                                                                    \
        const uint32_t c0 = (before)[0], c1 = (before)[1], c2 = (before)[2], c3 = (before)[3];                         \
        const uint32_t e0 = (before2)[0], e1 = (before2)[1], e2 = (before2)[2], e3 = (before2)[3];                     \
        d[0] = c0 + s0;                                                                                                \
        d[1] = c1 + s1;                                                                                                \
        d[2] = c2 + s2;                                                                                                \
        d[3] = c3 + s3;                                                                                                \
        d[4] = e0 + t0;                                                                                                \
        d[5] = e1 + t1;                                                                                                \
        d[6] = e2 + t2;                                                                                                \
        d[7] = e3 + t3;                                                                                                \
    }

/* Two rows, four positions. Lanes are emptied every `words` words of weights. */
MICO_INLINE void wide2(const uint32_t *patch, const uint32_t *rows, int32_t row_words, int32_t code_words, const uint32_t *terms, uint32_t *d,
                       const int bits, const uint32_t mask, const int words)
{
    const uint32_t *other = rows + row_words, *from = terms, *from2 = terms;
    const uint32_t full = FULL(bits, 2, code_words);
    const uint32_t per_word = (uint32_t)(STEPS(bits, 2) / GROUP(bits, 2));
    const uint32_t most = (uint32_t)words * per_word; /* groups until lanes are emptied */
    uint32_t rest = REST(bits, 2, code_words);
    const uint32_t groups = full + (rest > 0);
    const uint32_t even = MICO_EVEN;
    const int top = 16 - (bits == 1); /* twice the high lanes: the low ones' highest bits are zero */
    uint32_t g = 0;

    for (;;) {
        const uint32_t stop = groups - g < most ? groups : g + most, end = stop < full ? stop : full;
        uint32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0, t0 = 0, t1 = 0, t2 = 0, t3 = 0, a = 0, b = 0;
        while (g != end) {
            a = *rows++;
            b = *other++;
            TWO_STEPS(0)
            if (GROUP(bits, 2) >= 4)
                TWO_STEPS(2)
            if (GROUP(bits, 2) == 8) {
                TWO_STEPS(4)
                TWO_STEPS(6)
            }
            g++;
            if (per_word == 2) {
                if (g == end) {
                    patch += 16;
                    break;
                }
                TWO_STEPS(8)
                TWO_STEPS(10)
                TWO_STEPS(12)
                TWO_STEPS(14)
                g++;
            }
            patch += 2 * STEPS(bits, 2);
        }
        if (g != stop) {
            if (g % per_word == 0) { /* a multiple of which is `most`, and with it the first one */
                a = *rows;
                b = *other;
            } else {
                a >>= 8;
                b >>= 8;
            }
            for (; rest > 0; rest--) {
                TWO_STEPS(0)
                a >>= bits * 2;
                b >>= bits * 2;
                patch += 4;
                MICO_ORDER(a); /* stays a loop */
            }
            g++;
        }
        PUT_SUMS(from, from2, top)
        if (g == groups)
            break;
        from = d;
        from2 = d + 4;
    }
}

/* Of four products the sums, in the highest lanes of 8 bits. */
#define TOPS_ONLY                                                                                                      \
    p0 >>= 24;                                                                                                         \
    MICO_ORDER(p0);                                                                                                    \
    p1 >>= 24;                                                                                                         \
    MICO_ORDER(p1);                                                                                                    \
    p2 >>= 24;                                                                                                         \
    MICO_ORDER(p2);                                                                                                    \
    p3 >>= 24;                                                                                                         \
    MICO_ORDER(p3);
#define ONE_OF_BOTH(i, k)                                                                                              \
    {                                                                                                                  \
        LOAD_TWO(x0, x1, i, k)                                                                                         \
        PRODUCTS_OF_TWO(x0, x1, codes, others)                                                                                 \
        TOPS_ONLY                                                                                                      \
        ADD_TWO(i, k)                                                                                                  \
    }

/* Two steps, whose products are emptied together; two positions (i, k) at a time. */
#define TWO_OF_BOTH(i, k)                                                                                              \
    {                                                                                                                  \
        LOAD_TWO(x0, x1, i, k)                                                                                         \
        uint32_t y0 = at[4 + i], y1 = at[4 + k];                                                                       \
        MICO_ORDER(y0);                                                                                                \
        MICO_ORDER(y1);                                                                                                \
        PRODUCTS_OF_TWO(x0, x1, codes, others)                                                                                 \
        uint32_t q0 = y0 * codes2;                                                                                     \
        MICO_ORDER(q0);                                                                                                \
        uint32_t q1 = y1 * codes2;                                                                                     \
        MICO_ORDER(q1);                                                                                                \
        uint32_t q2 = y0 * others2;                                                                                    \
        MICO_ORDER(q2);                                                                                                \
        uint32_t q3 = y1 * others2;                                                                                    \
        MICO_ORDER(q3);                                                                                                \
        p0 += q0;                                                                                                      \
        MICO_ORDER(p0);                                                                                                \
        p1 += q1;                                                                                                      \
        MICO_ORDER(p1);                                                                                                \
        p2 += q2;                                                                                                      \
        MICO_ORDER(p2);                                                                                                \
        p3 += q3;                                                                                                      \
        MICO_ORDER(p3);                                                                                                \
        TOPS_ONLY                                                                                                      \
        ADD_TWO(i, k)                                                                                                  \
    }
#define BOTH_STEPS(from)                                                                                               \
    {                                                                                                                  \
        const uint32_t *const at = from;                                                                               \
        TWO_OF_BOTH(0, 1)                                                                                              \
        TWO_OF_BOTH(2, 3)                                                                                              \
    }

/* Two rows, four positions; every product is emptied, or `two` at once. Codes of one bit are 0 and 2 here, so that nothing is left to be scaled. */
MICO_INLINE void wide_once(const uint32_t *patch, const uint32_t *rows, int32_t row_words, int32_t code_words, const uint32_t *terms, uint32_t *d,
                           const int bits, const uint32_t mask, const int two)
{
    const uint32_t *other = rows + row_words;
    const uint32_t groups = FULL(bits, 1, code_words), twice = bits == 1 ? mask << 1 : mask;
    uint32_t s0 = terms[0], s1 = terms[1], s2 = terms[2], s3 = terms[3], t0 = s0, t1 = s1, t2 = s2, t3 = s3;
    uint32_t rest = REST(bits, 1, code_words);

#define CODES_ONCE(name, word, j)                                                                                      \
    uint32_t name = bits > 1 ? (word) >> bits * (j) : (j) ? (word) >> ((j) > 0 ? (j)-1 : 0) : (word) << 1;            \
    if (bits == 1 || (j))                                                                                              \
        MICO_ORDER(name);
#define STEP_ONCE(j)                                                                                                   \
    {                                                                                                                  \
        const uint32_t *const at = patch + 4 * (j);                                                                    \
        CODES_ONCE(codes, a, j)                                                                                        \
        CODES_ONCE(others, b, j)                                                                                       \
        codes &= twice;                                                                                                \
        others &= twice;                                                                                               \
        ONE_OF_BOTH(0, 1)                                                                                              \
        ONE_OF_BOTH(2, 3)                                                                                              \
    }

#define TWO_STEPS_ONCE(j)                                                                                              \
    if (two) {                                                                                                         \
        CODES_ONCE(codes, a, j)                                                                                        \
        CODES_ONCE(others, b, j)                                                                                       \
        CODES_ONCE(codes2, a, (j) + 1)                                                                                 \
        CODES_ONCE(others2, b, (j) + 1)                                                                                \
        codes &= twice;                                                                                                \
        others &= twice;                                                                                               \
        codes2 &= twice;                                                                                               \
        others2 &= twice;                                                                                              \
        BOTH_STEPS(patch + 4 * (j))                                                                                    \
    } else {                                                                                                           \
        STEP_ONCE(j)                                                                                                   \
        STEP_ONCE((j) + 1)                                                                                             \
    }

    for (uint32_t g = 0; g != groups; g++) {
        const uint32_t a = group_of(rows, g, bits, 1), b = group_of(other, g, bits, 1);
        TWO_STEPS_ONCE(0)
        if (GROUP(bits, 1) >= 4) {
            TWO_STEPS_ONCE(2)
        }
        if (GROUP(bits, 1) == 8) {
            TWO_STEPS_ONCE(4)
            TWO_STEPS_ONCE(6)
        }
        patch += 4 * GROUP(bits, 1);
    }
    if (rest > 0) {
        uint32_t a = group_of(rows, groups, bits, 1), b = group_of(other, groups, bits, 1);
        do {
            STEP_ONCE(0)
            a >>= bits;
            b >>= bits;
            patch += 4;
            MICO_ORDER(a);
        } while (--rest > 0);
    }
    d[0] = s0;
    d[1] = s1;
    d[2] = s2;
    d[3] = s3;
    d[4] = t0;
    d[5] = t1;
    d[6] = t2;
    d[7] = t3;
}

/* Two rows of 3-bit weights, four positions: four words of nibbles at a time, then code word by code word. Lanes of 16 bits (`each`
 * 2) are emptied at the end (NIBBLE_TAPS of codegen/schemes.py), those of 8 bits at each product. */
MICO_INLINE void wide3(const uint32_t *patch, const uint32_t *rows, int32_t row_words, int32_t code_words,
                       const uint32_t *terms, uint32_t *d, const uint32_t mask, const int each)
{
    enum { bits = 4 };
    const uint32_t *other = rows + row_words, *const end = rows + (uint32_t)code_words / 8 * 3;
    const uint32_t twice = mask, even = MICO_EVEN;
    const int top = each == 2 ? 16 : 0;
    uint32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0, t0 = 0, t1 = 0, t2 = 0, t3 = 0;

    while (rows != end) {
        uint32_t left = 0, left2 = 0;
#pragma GCC unroll 4
        for (int g = 0; g < 4; g++) {
            const uint32_t a = g < 3 ? rows[g] : left, b = g < 3 ? other[g] : left2;
            if (each == 2) {
                TWO_STEPS(0)
                TWO_STEPS(2)
            } else {
                const uint32_t codes = a & mask, others = b & mask;
                uint32_t codes2 = a >> bits, others2 = b >> bits;
                MICO_ORDER(codes2);
                MICO_ORDER(others2);
                codes2 &= mask;
                others2 &= mask;
                BOTH_STEPS(patch)
            }
            patch += 8;
            if (g < 3) { /* nibbles_of */
                left = (left ^ a) >> 1;
                left2 = (left2 ^ b) >> 1;
                MICO_ORDER(left);
                MICO_ORDER(left2);
            }
        }
        rows += 3;
        other += 3;
    }
    const uint32_t rest = (uint32_t)code_words % 8;
    for (uint32_t g = 0; 2 * g < rest; g++) {
        uint32_t a = nibbles_of(rows, g), b = nibbles_of(other, g);
        for (uint32_t i = 2 * g; i < 2 * g + 2 && i < rest; i++) {
            if (each == 2)
                TWO_STEPS(0)
            else
                STEP_ONCE(0)
            a >>= bits * each;
            b >>= bits * each;
            patch += 4;
            MICO_ORDER(a); /* stays a loop */
        }
    }
    PUT_SUMS(terms, terms, top)
}

/* Four rows, one position; lanes are emptied every `full` steps. */
MICO_INLINE void narrow(const uint32_t *patch, const uint32_t *rows, int32_t row_words, int32_t code_words, const uint32_t *terms, uint32_t *d,
                        const int bits, const uint32_t mask, const int top, const int each, const int full)
{
    const int three = bits == 4 && (mask & 8u) == 0u, last = three && each == 2; /* only emptied at the end */
    uint32_t groups = FULL(bits, each, code_words);
    uint32_t d0 = 0, d1 = 0, d2 = 0, d3 = 0, s0 = 0, s1 = 0, s2 = 0, s3 = 0;

#define WORD_OF(row, g) (three ? nibbles_of(row, g) : group_of(row, g, bits, each))
#define STEP_NARROW(j)                                                                                                 \
    {                                                                                                                  \
        const uint32_t x = patch[j];                                                                                   \
        uint32_t p0 = a >> bits * (j), p1 = b >> bits * (j), p2 = c >> bits * (j), p3 = e >> bits * (j);               \
        MICO_ORDER(p0);                                                                                                \
        MICO_ORDER(p1);                                                                                                \
        MICO_ORDER(p2);                                                                                                \
        MICO_ORDER(p3);                                                                                                \
        p0 = (p0 & mask) * x;                                                                                          \
        MICO_ORDER(p0);                                                                                                \
        p1 = (p1 & mask) * x;                                                                                          \
        MICO_ORDER(p1);                                                                                                \
        p2 = (p2 & mask) * x;                                                                                          \
        MICO_ORDER(p2);                                                                                                \
        p3 = (p3 & mask) * x;                                                                                          \
        MICO_ORDER(p3);                                                                                                \
        MICO_ADD(s0, p0);                                                                                              \
        MICO_ADD(s1, p1);                                                                                              \
        MICO_ADD(s2, p2);                                                                                              \
        MICO_ADD(s3, p3);                                                                                              \
    }
#define EMPTY_NARROW                                                                                                   \
    d0 += s0 >> top;                                                                                                   \
    d1 += s1 >> top;                                                                                                   \
    d2 += s2 >> top;                                                                                                   \
    d3 += s3 >> top;                                                                                                   \
    s0 = s1 = s2 = s3 = 0;
#define GROUP_NARROW                                                                                                   \
    for (int j = 0; j < GROUP(bits, each); j++) {                                                                      \
        STEP_NARROW(j)                                                                                                 \
        if (!last && ((j + 1) % full == 0 || j == GROUP(bits, each) - 1)) {                                            \
            EMPTY_NARROW                                                                                               \
        }                                                                                                              \
    }                                                                                                                  \
    patch += GROUP(bits, each);
    for (; three && groups >= 4; groups -= 4, rows += 3) {
        uint32_t left[4] = {0};
#pragma GCC unroll 4
        for (int g = 0; g < 4; g++) {
            const uint32_t a = g < 3 ? rows[g] : left[0], b = g < 3 ? rows[row_words + g] : left[1];
            const uint32_t c = g < 3 ? rows[2 * row_words + g] : left[2], e = g < 3 ? rows[3 * row_words + g] : left[3];
            GROUP_NARROW
            left[0] = (left[0] ^ a) >> 1; /* nibbles_of */
            left[1] = (left[1] ^ b) >> 1;
            left[2] = (left[2] ^ c) >> 1;
            left[3] = (left[3] ^ e) >> 1;
            for (int i = 0; i < 4; i++)
                MICO_ORDER(left[i]);
        }
    }
    for (uint32_t g = 0; g < groups; g++) {
        const uint32_t a = WORD_OF(rows, g), b = WORD_OF(rows + row_words, g);
        const uint32_t c = WORD_OF(rows + 2 * row_words, g), e = WORD_OF(rows + 3 * row_words, g);
        GROUP_NARROW
    }
    const uint32_t rest_steps = REST(bits, each, code_words) * (uint32_t)each;
    if (rest_steps > 0) {
        uint32_t a = WORD_OF(rows, groups), b = WORD_OF(rows + row_words, groups);
        uint32_t c = WORD_OF(rows + 2 * row_words, groups), e = WORD_OF(rows + 3 * row_words, groups);
        for (uint32_t i = 0; i < rest_steps; i++) {
            STEP_NARROW(0)
            if (full < GROUP(bits, each)) {
                EMPTY_NARROW
            }
            a >>= bits;
            b >>= bits;
            c >>= bits;
            e >>= bits;
            patch++;
            MICO_ORDER(a);
        }
    }
    if (last || rest_steps > 0) {
        EMPTY_NARROW
    }
    d[0] = terms[0] + SCALE(bits) * d0;
    d[1] = terms[1] + SCALE(bits) * d1;
    d[2] = terms[2] + SCALE(bits) * d2;
    d[3] = terms[3] + SCALE(bits) * d3;
}

/* `activation` bits, `bits` of weights, lane width, the bit where the sum's lane begins, words of the patch for one of codes, steps
 * that a lane holds the products of. */
#define LANES(name, pack, activation, bits, mask, lane, top, each, full, wide_call)                                    \
    MICO_INLINE void wide_##name(const uint32_t *patch, const uint32_t *rows, int32_t row_words, int32_t code_words,   \
                                 const uint32_t *terms, uint32_t *d, uint32_t *spare)                                  \
    {                                                                                                                  \
        (void)spare;                                                                                                   \
        wide_call;                                                                                                     \
    }                                                                                                                  \
    MICO_INLINE void narrow_##name(const uint32_t *patch, const uint32_t *rows, int32_t row_words, int32_t code_words, \
                                   const uint32_t *terms, uint32_t *d, uint32_t *spare)                                \
    {                                                                                                                  \
        (void)spare;                                                                                                   \
        narrow(patch, rows, row_words, code_words, terms, d, (bits) == 3 ? 4 : (bits), mask, top, each, full);         \
    }                                                                                                                  \
    MICO_CONV2D_FOUR(name, MICO_WIDE, MICO_WORDS, 0, (activation) <= 4, 1 << ((bits)-1), pack, 0, wide_##name,         \
                     narrow_##name, 0, 0)                                                                              \
    typedef char fits_##name[(full) * (32 / (lane)) * ((1 << (activation)) - 1) * ((1 << (bits)) - 1) < 1 << (lane) \
                                 ? 1                                                                                   \
                                 : -1];
#define LANES16(name, activation, bits, mask, words)                                                                   \
    LANES(name, mico_pack_halves, activation, bits, mask, 16, 16, 2, (words) * (16 / (bits)),                          \
          wide2(patch, rows, row_words, code_words, terms, d, bits, mask, words))
#define LANES8(name, activation, bits, mask, full)                                                                     \
    LANES(name, 0, activation, bits, mask, 8, 24, 1, full,                                                             \
          wide_once(patch, rows, row_words, code_words, terms, d, bits, mask, 1))
#define LANES8_ONCE(name, activation, bits, mask)                                                                      \
    LANES(name, 0, activation, bits, mask, 8, 24, 1, 1,                                                                \
          wide_once(patch, rows, row_words, code_words, terms, d, bits, mask, 0))
LANES16(lanes16_8x1, 8, 1, 0x00010001u, 8)
LANES16(lanes16_8x2, 8, 2, 0x00030003u, 5)
LANES16(lanes16_8x4, 8, 4, 0x000f000fu, 2)
LANES(lanes16_4x3, mico_pack_halves, 4, 3, 0x00070007u, 16, 16, 2, 304,
      wide3(patch, rows, row_words, code_words, terms, d, 0x00070007u, 2))
LANES16(lanes16_4x4, 4, 4, 0x000f000fu, 36)
LANES16(lanes16_4x8, 4, 8, 0x00ff00ffu, 4)
LANES8(lanes8_4x1, 4, 1, 0x01010101u, 4)
LANES8(lanes8_2x1, 2, 1, 0x01010101u, 8)
LANES8_ONCE(lanes8_4x2, 4, 2, 0x03030303u)
LANES8_ONCE(lanes8_2x4, 2, 4, 0x0f0f0f0fu)
LANES8(lanes8_2x2, 2, 2, 0x03030303u, 4)
LANES(lanes8_2x3, 0, 2, 3, 0x07070707u, 8, 24, 1, 2,
      wide3(patch, rows, row_words, code_words, terms, d, 0x07070707u, 1))
