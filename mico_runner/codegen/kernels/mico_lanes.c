/* Several products in one 32-bit multiplication.
 *
 * With lanes of L bits, (x0 + x1 << L) * (u1 + u0 << L) has x0 * u0 + x1 * u1 in bits L .. 2L - 1: two products and their sum for
 * one multiplication. Four lanes of 8 bits give four, in bits 24 .. 31. Codes are unsigned, so that nothing borrows; lanes are
 * emptied into full words before they can overflow. The weights' codes lie in their words so that a shift and a mask bring them
 * into lanes, in reverse order of the patch's lanes (codegen/tiling.py). */
#include "mico_tile.h"

/* Four codes per word become two words of two: codes 0 and 2, then 1 and 3. */
MICO_INLINE uint32_t pack16(const uint32_t *codes, int32_t words, int32_t positions, uint32_t *patch)
{
    const uint32_t mask = 0x00ff00ffu, *end = codes + words;
    uint32_t sum = 0;

    while (codes != end) {
        const uint32_t *stop = end - codes > 64 ? codes + 64 : end;
        uint32_t lanes = 0; /* 64 times two codes fit */
        for (; codes != stop; codes++, patch += 2 * positions) {
            const uint32_t word = *codes;
            uint32_t odd = word >> 8;
            MICO_ORDER(odd);
            const uint32_t even = word & mask;
            odd &= mask;
            patch[0] = even;
            patch[positions] = odd;
            lanes += even;
            lanes += odd;
        }
        sum += (lanes & 0xffffu) + (lanes >> 16);
    }
    return sum;
}

/* Four codes per word are four lanes already; codes are below 16, or 17 words of them would not fit a byte. */
MICO_INLINE uint32_t pack8(const uint32_t *codes, int32_t words, int32_t positions, uint32_t *patch)
{
    const uint32_t mask = 0x00ff00ffu, *end = codes + words;
    uint32_t sum = 0;

    while (codes != end) {
        const uint32_t *stop = end - codes > 16 ? codes + 16 : end;
        uint32_t lanes = 0;
        for (; codes != stop; codes++, patch += positions) {
            const uint32_t word = *codes;
            patch[0] = word;
            lanes += word;
        }
        lanes = (lanes & mask) + (lanes >> 8 & mask);
        sum += (lanes & 0xffffu) + (lanes >> 16);
    }
    return sum;
}

/* One step: the codes of rows a and b in lanes, times the patches of four positions, onto lanes s0 .. s3 and t0 .. t3. */
#define LOAD_PATCHES(j)                                                                                                \
    uint32_t x0 = patch[4 * (j)], x1 = patch[4 * (j) + 1], x2 = patch[4 * (j) + 2], x3 = patch[4 * (j) + 3];           \
    MICO_ORDER(x0);                                                                                                    \
    MICO_ORDER(x1);                                                                                                    \
    MICO_ORDER(x2);                                                                                                    \
    MICO_ORDER(x3);
#define PRODUCTS(codes)                                                                                                \
    uint32_t p0 = x0 * codes;                                                                                          \
    MICO_ORDER(p0);                                                                                                    \
    uint32_t p1 = x1 * codes;                                                                                          \
    MICO_ORDER(p1);                                                                                                    \
    uint32_t p2 = x2 * codes;                                                                                          \
    MICO_ORDER(p2);                                                                                                    \
    uint32_t p3 = x3 * codes;                                                                                          \
    MICO_ORDER(p3);
#define ADD_TO(s)                                                                                                      \
    s##0 += p0;                                                                                                        \
    MICO_ORDER(s##0);                                                                                                  \
    s##1 += p1;                                                                                                        \
    MICO_ORDER(s##1);                                                                                                  \
    s##2 += p2;                                                                                                        \
    MICO_ORDER(s##2);                                                                                                  \
    s##3 += p3;                                                                                                        \
    MICO_ORDER(s##3);
#define ROW_STEP(codes, s)                                                                                             \
    {                                                                                                                  \
        PRODUCTS(codes)                                                                                                \
        ADD_TO(s)                                                                                                      \
    }
#define STEP(j)                                                                                                       \
    {                                                                                                                 \
        LOAD_PATCHES(j)                                                                                               \
        uint32_t codes = a >> bits * (j);                                                                             \
        MICO_ORDER(codes);                                                                                            \
        uint32_t others = b >> bits * (j);                                                                            \
        MICO_ORDER(others);                                                                                           \
        codes &= mask;                                                                                                \
        ROW_STEP(codes, s)                                                                                            \
        others &= mask;                                                                                               \
        ROW_STEP(others, t)                                                                                           \
    }

/* Two rows, four positions. Lanes are 16 bits wide and emptied every `words` words of weights. */
MICO_INLINE void wide16(const uint32_t *patch, const uint32_t *rows, int32_t row_words, uint32_t *d, const int bits,
                        const uint32_t mask, const int32_t words)
{
    const int steps = 16 / bits;
    const uint32_t *other = rows + row_words, *end = other;

    for (int i = 0; i < 8; i++)
        d[i] = 0;
    do {
        const uint32_t *stop = end - rows > words ? rows + words : end;
        uint32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0, t0 = 0, t1 = 0, t2 = 0, t3 = 0;
        do {
            uint32_t a = *rows++, b = *other++;
            for (int step = 0; step < steps; step += steps < 4 ? steps : 4) {
                STEP(0)
                STEP(1)
                if (steps >= 4) {
                    STEP(2)
                    STEP(3)
                }
                patch += steps < 4 ? 4 * steps : 16;
                if (steps > 4) {
                    a >>= bits * 4;
                    b >>= bits * 4;
                }
            }
        } while (rows != stop);
        MICO_ORDER(d); /* which stays in memory */
        d[0] += s0 >> 16;
        d[1] += s1 >> 16;
        d[2] += s2 >> 16;
        d[3] += s3 >> 16;
        d[4] += t0 >> 16;
        d[5] += t1 >> 16;
        d[6] += t2 >> 16;
        d[7] += t3 >> 16;
    } while (rows != end);
}

/* Two rows, four positions. Lanes are 8 bits wide and emptied every four steps. */
MICO_INLINE void wide8(const uint32_t *x, const uint32_t *rows, int32_t row_words, uint32_t *d, const int bits,
                       const uint32_t mask)
{
    for (int row = 0; row < 2; row++, d += 4) {
        const uint32_t *patch = x, *end = rows + row_words;
        uint32_t d0 = 0, d1 = 0, d2 = 0, d3 = 0;
        for (; rows != end; rows++) {
            uint32_t a = *rows;
            for (int step = 0; step < 8 / bits; step += 4) {
                uint32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
                for (int j = 0; j < 4; j++) {
                    LOAD_PATCHES(j)
                    uint32_t codes = a >> bits * j;
                    MICO_ORDER(codes);
                    codes &= mask;
                    ROW_STEP(codes, s)
                }
                d0 += s0 >> 24;
                d1 += s1 >> 24;
                d2 += s2 >> 24;
                d3 += s3 >> 24;
                patch += 16;
                if (bits == 1)
                    a >>= 4;
            }
        }
        d[0] = d0;
        d[1] = d1;
        d[2] = d2;
        d[3] = d3;
    }
}

/* The same where a lane holds the products of one step only. */
#define ROW_STEP_ONCE(codes, s)                                                                                        \
    {                                                                                                                  \
        PRODUCTS(codes)                                                                                                \
        p0 >>= 24;                                                                                                     \
        MICO_ORDER(p0);                                                                                                \
        p1 >>= 24;                                                                                                     \
        MICO_ORDER(p1);                                                                                                \
        p2 >>= 24;                                                                                                     \
        MICO_ORDER(p2);                                                                                                \
        p3 >>= 24;                                                                                                     \
        MICO_ORDER(p3);                                                                                                \
        ADD_TO(s)                                                                                                      \
    }
MICO_INLINE void wide8_once(const uint32_t *patch, const uint32_t *rows, int32_t row_words, uint32_t *d, const int bits,
                            const uint32_t mask)
{
    const uint32_t *other = rows + row_words, *end = other;
    uint32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0, t0 = 0, t1 = 0, t2 = 0, t3 = 0;

    for (; rows != end; rows++, other++) {
        const uint32_t a = *rows, b = *other;
        for (int j = 0; j < 8 / bits; j++) {
            LOAD_PATCHES(j)
            uint32_t codes = a >> bits * j;
            MICO_ORDER(codes);
            uint32_t others = b >> bits * j;
            MICO_ORDER(others);
            codes &= mask;
            ROW_STEP_ONCE(codes, s)
            others &= mask;
            ROW_STEP_ONCE(others, t)
        }
        patch += 4 * (8 / bits);
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

/* Four rows, one position. */
MICO_INLINE void narrow(const uint32_t *patch, const uint32_t *rows, int32_t row_words, uint32_t *d, const int bits,
                        const uint32_t mask, const int top, const int steps, const int group)
{
    const uint32_t *end = rows + row_words;
    uint32_t d0 = 0, d1 = 0, d2 = 0, d3 = 0;

    for (; rows != end; rows++) {
        uint32_t a = rows[0], b = rows[row_words], c = rows[2 * row_words], e = rows[3 * row_words];
        for (int step = 0; step < steps; step += group) {
            uint32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
            for (int j = 0; j < group; j++) {
                const uint32_t x = patch[j];
                uint32_t p0 = a >> bits * j, p1 = b >> bits * j, p2 = c >> bits * j, p3 = e >> bits * j;
                MICO_ORDER(p0);
                MICO_ORDER(p1);
                MICO_ORDER(p2);
                MICO_ORDER(p3);
                p0 = (p0 & mask) * x;
                MICO_ORDER(p0);
                p1 = (p1 & mask) * x;
                MICO_ORDER(p1);
                p2 = (p2 & mask) * x;
                MICO_ORDER(p2);
                p3 = (p3 & mask) * x;
                MICO_ORDER(p3);
                ADD_TO(s)
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

/* `activation` bits, `bits` of weights, lane width, the bit where the sum's lane begins, steps before lanes are emptied. */
#define LANES(name, pack, activation, bits, mask, lane, top, group, full, wide_call)                                   \
    MICO_INLINE void wide_##name(const uint32_t *patch, const uint32_t *rows, int32_t row_words, uint32_t *d)          \
    {                                                                                                                  \
        wide_call;                                                                                                     \
    }                                                                                                                  \
    MICO_INLINE void narrow_##name(const uint32_t *patch, const uint32_t *rows, int32_t row_words, uint32_t *d)        \
    {                                                                                                                  \
        narrow(patch, rows, row_words, d, bits, mask, top, (lane) / (bits), group);                                    \
    }                                                                                                                  \
    MICO_CONV2D(name, 32 / (bits), 0, (bits) == 1 ? 2 : 1, 1 << ((bits)-1), pack, wide_##name, narrow_##name)          \
    /* a lane holds the products of `full` steps */                                                                    \
    typedef char fits_##name[(full) * (32 / (lane)) * ((1 << (activation)) - 1) * ((1 << (bits)) - 1) < 1 << (lane) && \
                                     (group) <= (full)                                                                 \
                                 ? 1                                                                                   \
                                 : -1];
#define LANES16(name, activation, bits, mask, words)                                                                   \
    LANES(name, pack16, activation, bits, mask, 16, 16, (bits) == 8 ? 2 : 4, (words) * (16 / (bits)),                  \
          wide16(patch, rows, row_words, d, bits, mask, words))
#define LANES8(name, activation, bits, mask)                                                                           \
    LANES(name, pack8, activation, bits, mask, 8, 24, 4, 4, wide8(patch, rows, row_words, d, bits, mask))
#define LANES8_ONCE(name, activation, bits, mask)                                                                      \
    LANES(name, pack8, activation, bits, mask, 8, 24, 1, 1, wide8_once(patch, rows, row_words, d, bits, mask))

LANES16(lanes16_8x1, 8, 1, 0x00010001u, 8)
LANES16(lanes16_8x2, 8, 2, 0x00030003u, 5)
LANES16(lanes16_8x4, 8, 4, 0x000f000fu, 2)
LANES16(lanes16_4x4, 4, 4, 0x000f000fu, 36)
LANES16(lanes16_4x8, 4, 8, 0x00ff00ffu, 4)
LANES8(lanes8_4x1, 4, 1, 0x01010101u)
LANES8_ONCE(lanes8_4x2, 4, 2, 0x03030303u)
LANES8_ONCE(lanes8_2x4, 2, 4, 0x0f0f0f0fu)
LANES8(lanes8_2x2, 2, 2, 0x03030303u)
LANES8(lanes8_2x1, 2, 1, 0x01010101u)
