/* Two products in one multiplication, as in mico_lanes.c, of weights whose 5, 6 or 7 bits do not fill a lane of 16.
 *
 * A lane of a word of weights holds whole codes from its lowest bit on, each of which a shift and a mask bring into place. A *group*
 * is as many words as have bits for whole codes left at their tops, which are such that the words, XORed after shifts, make up a word
 * of further codes: five words of 5 bits are 15 steps and one put together, three of 6 bits 6 + 2, seven of 7 bits 14 + 2. Rows are
 * whole groups (codegen/schemes.py). */
#include "mico_tile.h"

#define ONES(bits) ((1u << (bits)) - 1u)
#define LANES(code) (0x00010001u * (uint32_t)(code)) /* a code in each lane */
#define WHOLE(bits) (16 / (bits)) /* codes in a lane of a word */
#define SPARE(bits) (16 % (bits)) /* bits left at its top */
#define WORDS(bits) ((bits) % 2 ? (bits) : (bits) / 2) /* of a group */
#define STEPS(bits) (WORDS(bits) * 16 / (bits)) /* of a group: words of a patch */

/* Codes in lanes of `count` rows (2 or 4) times words `at` of the patches of `positions` (4 or 1), onto sums (row, position), which they
 * are where they come `first`. A word of four patches is for two steps: codes 0 and 2, then 1 and 3. */
MICO_INLINE void step(const uint32_t *patch, const int at, const uint32_t *words, const int shift, const int bits, const int count,
                      const int positions, const int first, uint32_t *sums)
{
    const uint32_t mask = LANES(ONES(bits)), even = MICO_EVEN;
    uint32_t x[MICO_WIDE], codes[MICO_NARROW], p[MICO_WIDE];

    for (int i = 0; i < count; i++) {
        codes[i] = words[i] >> shift;
        if (shift)
            MICO_ORDER(codes[i]);
    }
    patch += positions == 1 ? at : at / 2 * MICO_WIDE;
    for (int i = 0; i < positions; i++) {
        x[i] = patch[i];
        MICO_ORDER(x[i]);
    }
    for (int i = 0; i < positions && positions > 1 && at % 2; i++) {
        x[i] >>= 8;
        MICO_ORDER(x[i]);
    }
    for (int i = 0; i < positions && positions > 1; i++)
        x[i] &= even;
    if (positions == 1) {
        for (int i = 0; i < count; i++) {
            p[i] = (codes[i] & mask) * x[0];
            MICO_ORDER(p[i]);
        }
        for (int i = 0; i < count; i++) {
            if (first)
                sums[i] = p[i];
            else
                MICO_ADD(sums[i], p[i]);
        }
        return;
    }
    for (int row = 0; row < count; row++) {
        const uint32_t code = codes[row] & mask;
        for (int i = 0; i < positions; i++) {
            p[i] = x[i] * code;
            MICO_ORDER(p[i]);
        }
        for (int i = 0; i < positions; i++) {
            if (first)
                sums[positions * row + i] = p[i];
            else
                MICO_ADD(sums[positions * row + i], p[i]);
        }
    }
}

/* The first step of a word of the rows, which it loads. */
MICO_INLINE void begin(const uint32_t *patch, const int step_at, const uint32_t *const *rows, const int at, const int bits,
                       const int count, const int positions, const int first, uint32_t *words, uint32_t *sums)
{
    for (int i = 0; i < count; i++) {
        words[i] = rows[i][at];
        MICO_ORDER(words[i]);
    }
    step(patch, step_at, words, 0, bits, count, positions, first, sums);
}

/* A group's other steps. */
MICO_INLINE void finish(const uint32_t *patch, const uint32_t *const *rows, const int bits, const int count, const int positions,
                        uint32_t *words, uint32_t *sums)
{
    const int word_count = WORDS(bits), at = 16 - word_count * SPARE(bits); /* of what is left: one or two codes */
    uint32_t left[MICO_NARROW] = {0};

    int done = 0; /* steps of the group */

#pragma GCC unroll 7
    for (int i = 0; i < word_count; i++) {
        if (i > 0)
            begin(patch, done, rows, i, bits, count, positions, 0, words, sums);
        step(patch, done + 1, words, bits, bits, count, positions, 0, sums);
        done += 2;
        if (WHOLE(bits) == 3) {
            step(patch, done, words, 2 * bits, bits, count, positions, 0, sums);
            done++;
        }
        for (int k = 0; k < count; k++) {
            left[k] = (left[k] ^ words[k]) >> (i < word_count - 1 ? SPARE(bits) : at);
            MICO_ORDER(left[k]);
        }
    }
    step(patch, done, left, 0, bits, count, positions, 0, sums);
    if (at + bits < 16)
        step(patch, done + 1, left, bits, bits, count, positions, 0, sums);
}

/* Sums of lanes to those of words, with those that are held, if any. */
MICO_INLINE void empty(uint32_t *s, const uint32_t *held)
{
    for (int i = 0; i < 2 * MICO_WIDE; i++) {
        s[i] >>= 16;
        MICO_ORDER(s[i]);
    }
    if (held) {
        uint32_t more[MICO_WIDE];
#pragma GCC unroll 2
        for (int k = 0; k < 2 * MICO_WIDE; k += MICO_WIDE) {
            for (int i = 0; i < MICO_WIDE; i++) {
                more[i] = held[k + i];
                MICO_ORDER(more[i]);
            }
            for (int i = 0; i < MICO_WIDE; i++)
                MICO_ADD(s[k + i], more[i]);
        }
    }
}

/* Two rows, four positions. Lanes are emptied every `most` groups. */
MICO_INLINE void wide(const uint32_t *patch, const uint32_t *rows, int32_t row_words, const uint32_t *terms, uint32_t *d, const int bits,
                      const int32_t most)
{
    const uint32_t *at[2] = {rows, rows + row_words}, *const end = rows + row_words;
    uint32_t s[2 * MICO_WIDE] = {0}, held[2 * MICO_WIDE] = {0}, *h = held;
    int begun = 0;

    MICO_ORDER(h); /* stays in memory, which only long rows read */
    while (at[0] != end) {
        const uint32_t *const stop = end - at[0] > most * WORDS(bits) ? at[0] + most * WORDS(bits) : end;
        uint32_t words[2];
        if (begun) {
            for (int i = 0; i < 2 * MICO_WIDE; i++)
                h[i] = s[i];
            MICO_ORDER(h);
        }
        begin(patch, 0, at, 0, bits, 2, MICO_WIDE, 1, words, s);
        for (;;) {
            finish(patch, at, bits, 2, MICO_WIDE, words, s);
            at[0] += WORDS(bits);
            at[1] += WORDS(bits);
            patch += MICO_WIDE * STEPS(bits) / 2;
            if (most == 1 || at[0] == stop)
                break;
            begin(patch, 0, at, 0, bits, 2, MICO_WIDE, 0, words, s);
        }
        if (begun)
            empty(s, h);
        else
            empty(s, 0);
        begun = 1;
    }
    const uint32_t t0 = terms[0], t1 = terms[1], t2 = terms[2], t3 = terms[3];
    d[0] = t0 + s[0];
    d[1] = t1 + s[1];
    d[2] = t2 + s[2];
    d[3] = t3 + s[3];
    d[4] = t0 + s[4];
    d[5] = t1 + s[5];
    d[6] = t2 + s[6];
    d[7] = t3 + s[7];
}

/* Four rows, one position. Lanes are emptied after each group. */
MICO_INLINE void narrow(const uint32_t *patch, const uint32_t *rows, int32_t row_words, const uint32_t *terms, uint32_t *d, const int bits)
{
    const uint32_t *const end = rows + row_words;

    for (int i = 0; i < MICO_NARROW; i++)
        d[i] = terms[i];
    for (; rows != end; rows += WORDS(bits), patch += STEPS(bits)) {
        const uint32_t *const at[MICO_NARROW] = {rows, rows + row_words, rows + 2 * row_words, rows + 3 * row_words};
        uint32_t words[MICO_NARROW], s[MICO_NARROW];
        begin(patch, 0, at, 0, bits, MICO_NARROW, 1, 1, words, s);
        finish(patch, at, bits, MICO_NARROW, 1, words, s);
        for (int i = 0; i < MICO_NARROW; i++)
            d[i] += s[i] >> 16;
    }
}

/* Of 4 bits of activations; groups whose products a lane holds. */
#define SCHEME(name, bits, groups)                                                                                     \
    MICO_INLINE void wide_##name(const uint32_t *patch, const uint32_t *rows, int32_t row_words, int32_t code_words,   \
                                 const uint32_t *terms, uint32_t *d, uint32_t *spare)                                  \
    {                                                                                                                  \
        (void)code_words;                                                                                              \
        (void)spare;                                                                                                   \
        wide(patch, rows, row_words, terms, d, bits, groups);                                                          \
    }                                                                                                                  \
    MICO_INLINE void narrow_##name(const uint32_t *patch, const uint32_t *rows, int32_t row_words, int32_t code_words, \
                                   const uint32_t *terms, uint32_t *d, uint32_t *spare)                                \
    {                                                                                                                  \
        (void)code_words;                                                                                              \
        (void)spare;                                                                                                   \
        narrow(patch, rows, row_words, terms, d, bits);                                                                \
    }                                                                                                                  \
    MICO_CONV2D_FOUR(name, MICO_WIDE, MICO_WORDS, 0, 1, 1 << ((bits)-1), mico_pack_halves, 0, wide_##name,             \
                     narrow_##name, 0, 0)                                                                              \
    typedef char fits_##name[2u * (groups)*STEPS(bits) * ONES(4) * ONES(bits) < 1u << 16 ? 1 : -1];

SCHEME(lanes16_4x5, 5, 4)
SCHEME(lanes16_4x6, 6, 4)
SCHEME(lanes16_4x7, 7, 1)
