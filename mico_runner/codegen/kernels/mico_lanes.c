/* Several products in one 32-bit multiplication.
 *
 * With lanes of L bits, (x0 + x1 << L) * (u1 + u0 << L) has x0 * u0 + x1 * u1 in bits L .. 2L - 1: two products and their sum for
 * one multiplication. Four lanes of 8 bits give four, in bits 24 .. 31. Codes are unsigned, so that nothing borrows; lanes are
 * emptied into full words before they can overflow. The weights' codes lie in their words so that a shift and a mask bring them
 * into lanes, in reverse order of the patch's lanes (codegen/tiling.py). */
#include "mico_tile.h"

/* Four codes per word become two words of two: codes 0 and 2, then 1 and 3. */
static uint32_t pack16(const uint32_t *codes, int32_t words, int32_t positions, uint32_t *patch)
{
    uint32_t sum = 0;
    for (int32_t i = 0; i < words; i++, patch += 2 * positions) {
        const uint32_t even = codes[i] & 0x00ff00ffu, odd = codes[i] >> 8 & 0x00ff00ffu;
        const uint32_t both = even + odd;
        patch[0] = even;
        patch[positions] = odd;
        sum += (both & 0xffffu) + (both >> 16);
    }
    return sum;
}

/* Four codes per word are four lanes already; codes are below 16. */
static uint32_t pack8(const uint32_t *codes, int32_t words, int32_t positions, uint32_t *patch)
{
    uint32_t sum = 0;
    for (int32_t i = 0; i < words; i++, patch += positions) {
        patch[0] = codes[i];
        sum += codes[i] * 0x01010101u >> 24;
    }
    return sum;
}

/* One step: the codes of row `u` in lanes, times the patches, onto lanes s0 .. s3. */
#define WIDE_ROW(u, s0, s1, s2, s3, assign)                                                                            \
    {                                                                                                                  \
        const uint32_t codes = (u)&mask;                                                                               \
        s0 assign x0 * codes;                                                                                          \
        s1 assign x1 * codes;                                                                                          \
        s2 assign x2 * codes;                                                                                          \
        s3 assign x3 * codes;                                                                                          \
    }
#define WIDE_STEP(j, assign)                                                                                           \
    {                                                                                                                  \
        const uint32_t x0 = patch[4 * (j)], x1 = patch[4 * (j) + 1], x2 = patch[4 * (j) + 2], x3 = patch[4 * (j) + 3]; \
        WIDE_ROW(a >> bits * (j), s0, s1, s2, s3, assign)                                                              \
        WIDE_ROW(b >> bits * (j), t0, t1, t2, t3, assign)                                                              \
    }

/* Two rows, four positions. `top`: the lane with the sum starts there; lanes are emptied every `group` steps, 1, 2 or 4. */
static inline __attribute__((always_inline)) void wide(const uint32_t *patch, const uint32_t *rows, int32_t row_words,
                                                       uint32_t *d, const int bits, const uint32_t mask, const int top,
                                                       const int steps, const int group)
{
    const uint32_t *other = rows + row_words, *end = other;
    uint32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0, b0 = 0, b1 = 0, b2 = 0, b3 = 0;

    for (; rows != end; rows++, other++) {
        uint32_t a = *rows, b = *other;
        for (int step = 0; step < steps; step += group) {
            uint32_t s0, s1, s2, s3, t0, t1, t2, t3;
            WIDE_STEP(0, =)
            if (group > 1)
                WIDE_STEP(1, +=)
            if (group > 2) {
                WIDE_STEP(2, +=)
                WIDE_STEP(3, +=)
            }
            a0 += s0 >> top;
            a1 += s1 >> top;
            a2 += s2 >> top;
            a3 += s3 >> top;
            b0 += t0 >> top;
            b1 += t1 >> top;
            b2 += t2 >> top;
            b3 += t3 >> top;
            patch += 4 * group;
            if (steps > group) {
                a >>= bits * group;
                b >>= bits * group;
            }
        }
    }
    d[0] = a0;
    d[1] = a1;
    d[2] = a2;
    d[3] = a3;
    d[4] = b0;
    d[5] = b1;
    d[6] = b2;
    d[7] = b3;
}

/* Four rows, one position. */
static inline __attribute__((always_inline)) void narrow(const uint32_t *patch, const uint32_t *rows, int32_t row_words,
                                                         uint32_t *d, const int bits, const uint32_t mask,
                                                         const int top, const int steps, const int group)
{
    const uint32_t *end = rows + row_words;
    uint32_t d0 = 0, d1 = 0, d2 = 0, d3 = 0;

    for (; rows != end; rows++) {
        uint32_t a = rows[0], b = rows[row_words], c = rows[2 * row_words], e = rows[3 * row_words];
        for (int step = 0; step < steps; step += group) {
            uint32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
            for (int j = 0; j < group; j++) {
                const uint32_t x = patch[j];
                s0 += x * (a >> bits * j & mask);
                s1 += x * (b >> bits * j & mask);
                s2 += x * (c >> bits * j & mask);
                s3 += x * (e >> bits * j & mask);
            }
            d0 += s0 >> top;
            d1 += s1 >> top;
            d2 += s2 >> top;
            d3 += s3 >> top;
            patch += group;
            if (steps > group) {
                a >>= bits * group;
                b >>= bits * group;
                c >>= bits * group;
                e >>= bits * group;
            }
        }
    }
    d[0] = d0;
    d[1] = d1;
    d[2] = d2;
    d[3] = d3;
}

#define LANES(name, pack, activation, bits, mask, lane, top, group)                                                    \
    static void wide_##name(const uint32_t *patch, const uint32_t *rows, int32_t row_words, uint32_t *d)               \
    {                                                                                                                  \
        wide(patch, rows, row_words, d, bits, mask, top, (lane) / (bits), group);                                      \
    }                                                                                                                  \
    static void narrow_##name(const uint32_t *patch, const uint32_t *rows, int32_t row_words, uint32_t *d)             \
    {                                                                                                                  \
        narrow(patch, rows, row_words, d, bits, mask, top, (lane) / (bits), group);                                    \
    }                                                                                                                  \
    const mico_scheme mico_##name = {32 / (bits),                                                                      \
                                     (lane) / (bits),                                                                  \
                                     (bits) == 1 ? 2 : 1,                                                              \
                                     (bits) == 1 ? 1 : 1 << ((bits)-1),                                                \
                                     pack,                                                                             \
                                     wide_##name,                                                                      \
                                     narrow_##name};                                                                   \
    /* a lane holds the products of a whole group */                                                                   \
    typedef char fits_##name[(group) * (32 / (lane)) * ((1 << (activation)) - 1) * ((1 << (bits)) - 1) < 1 << (lane)   \
                                 ? 1                                                                                   \
                                 : -1];

LANES(lanes16_1, pack16, 8, 1, 0x00010001u, 16, 16, 4)
LANES(lanes16_2, pack16, 8, 2, 0x00030003u, 16, 16, 4)
LANES(lanes16_4, pack16, 8, 4, 0x000f000fu, 16, 16, 4)
LANES(lanes16_8, pack16, 4, 8, 0x00ff00ffu, 16, 16, 2)
LANES(lanes8_4x1, pack8, 4, 1, 0x01010101u, 8, 24, 4)
LANES(lanes8_4x2, pack8, 4, 2, 0x03030303u, 8, 24, 1)
LANES(lanes8_2x4, pack8, 2, 4, 0x0f0f0f0fu, 8, 24, 1)
LANES(lanes8_2x2, pack8, 2, 2, 0x03030303u, 8, 24, 4)
LANES(lanes8_2x1, pack8, 2, 1, 0x01010101u, 8, 24, 4)
