/* 8-bit weights and activations of any bits: a multiplication for two products.
 *
 * A word holds the codes of one tap at two positions, x0 + x1 << 16. Times a code u it is x0 * u + x1 * u << 16: two products that do
 * not meet, as each is below 2^16. The sum of such words, and the sum of their high halves, give both sums. */
#include "mico_tile.h"

/* Two rows, four positions. */
MICO_INLINE void wide(const uint32_t *patch, const uint32_t *rows, int32_t row_words, int32_t code_words, const uint32_t *terms, uint32_t *d)
{
    const uint32_t *x = patch;
    const uint8_t *a = (const uint8_t *)rows, *b = (const uint8_t *)(rows + row_words);
    const uint8_t *end = a + 4 * code_words;
    /* Sums of high halves, ah0 .., and of words, whose low halves begin with the terms. */
    uint32_t ah0 = terms[1], ah1 = terms[3], bh0 = ah0, bh1 = ah1;
    uint32_t a0 = terms[0] + (ah0 << 16), a1 = terms[2] + (ah1 << 16), b0 = a0, b1 = a1;

    do {
#define MICO_TAP(i)                                                                                                    \
    {                                                                                                                  \
        uint32_t x0 = x[2 * i];                                                                                        \
        MICO_ORDER(x0);                                                                                                \
        uint32_t u = a[i];                                                                                             \
        MICO_ORDER(u);                                                                                                 \
        uint32_t x1 = x[2 * i + 1];                                                                                    \
        MICO_ORDER(x1);                                                                                                \
        uint32_t v = b[i];                                                                                             \
        MICO_ORDER(v);                                                                                                 \
        uint32_t p0 = x0 * u;                                                                                          \
        MICO_ORDER(p0);                                                                                                \
        uint32_t p1 = x1 * u;                                                                                          \
        MICO_ORDER(p1);                                                                                                \
        uint32_t q0 = x0 * v;                                                                                          \
        MICO_ORDER(q0);                                                                                                \
        uint32_t q1 = x1 * v;                                                                                          \
        MICO_ORDER(q1);                                                                                                \
        MICO_ADD(a0, p0);                                                                                              \
        p0 >>= 16;                                                                                                     \
        MICO_ORDER(p0);                                                                                                \
        MICO_ADD(a1, p1);                                                                                              \
        p1 >>= 16;                                                                                                     \
        MICO_ORDER(p1);                                                                                                \
        MICO_ADD(b0, q0);                                                                                              \
        q0 >>= 16;                                                                                                     \
        MICO_ORDER(q0);                                                                                                \
        MICO_ADD(b1, q1);                                                                                              \
        q1 >>= 16;                                                                                                     \
        MICO_ORDER(q1);                                                                                                \
        MICO_ADD(ah0, p0);                                                                                             \
        MICO_ADD(ah1, p1);                                                                                             \
        MICO_ADD(bh0, q0);                                                                                             \
        MICO_ADD(bh1, q1);                                                                                             \
    }
        MICO_TAP(0)
        MICO_TAP(1)
        MICO_TAP(2)
        MICO_TAP(3)
#undef MICO_TAP
        a += 4;
        b += 4;
        x += 8;
    } while (a != end);
    d[0] = a0 - (ah0 << 16);
    d[1] = ah0;
    d[2] = a1 - (ah1 << 16);
    d[3] = ah1;
    d[4] = b0 - (bh0 << 16);
    d[5] = bh0;
    d[6] = b1 - (bh1 << 16);
    d[7] = bh1;
}

/* Four rows, one position. */
MICO_INLINE void narrow(const uint32_t *patch, const uint32_t *rows, int32_t row_words, int32_t code_words, const uint32_t *terms, uint32_t *d)
{
    const uint8_t *x = (const uint8_t *)patch;
    const uint8_t *a = (const uint8_t *)rows, *b = a + 4 * row_words, *c = b + 4 * row_words, *e = c + 4 * row_words;
    const uint8_t *end = a + 4 * code_words;
    uint32_t d0 = terms[0], d1 = d0, d2 = d0, d3 = d0;

    for (; a != end; a += 4, b += 4, c += 4, e += 4, x += 4) {
        for (int32_t i = 0; i < 4; i++) {
            uint32_t x0 = x[i], p0 = a[i], p1 = b[i], p2 = c[i], p3 = e[i];
            MICO_ORDER(p0);
            MICO_ORDER(x0);
            MICO_ORDER(p1);
            MICO_ORDER(p2);
            MICO_ORDER(p3);
            p0 *= x0;
            MICO_ORDER(p0);
            p1 *= x0;
            MICO_ORDER(p1);
            p2 *= x0;
            MICO_ORDER(p2);
            p3 *= x0;
            MICO_ORDER(p3);
            d0 += p0;
            MICO_ORDER(d0);
            d1 += p1;
            MICO_ORDER(d1);
            d2 += p2;
            MICO_ORDER(d2);
            d3 += p3;
            MICO_ORDER(d3);
        }
    }
    d[0] = d0;
    d[1] = d1;
    d[2] = d2;
    d[3] = d3;
}

MICO_CONV2D(bytes, MICO_WIDE, 2, 0, 128, mico_pack_halves, mico_pack_halves_four, wide, narrow, 0, 0)
