/* 8-bit weights and activations of any bits: a multiplication for each product, loads shared by a tile in registers. */
#include "mico_tile.h"

MICO_INLINE uint32_t pack(const uint32_t *codes, int32_t words, int32_t positions, uint32_t *patch)
{
    for (int32_t i = 0; i < words; i++)
        patch[i * positions] = codes[i];
    return 0; /* weights have no offset here */
}

/* Two rows, four positions. */
MICO_INLINE void wide(const uint32_t *patch, const uint32_t *rows, int32_t row_words, uint32_t *d)
{
    const uint8_t *x = (const uint8_t *)patch;
    const int8_t *a = (const int8_t *)rows, *b = (const int8_t *)(rows + row_words);
    const int8_t *end = a + 4 * row_words;
    int32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0, b0 = 0, b1 = 0, b2 = 0, b3 = 0;

    for (; a != end; a += 4, b += 4, x += 16) {
#define MICO_PRODUCTS(u, s0, s1, s2, s3)                                                                               \
    {                                                                                                                  \
        int32_t p0 = x0 * u;                                                                                           \
        MICO_ORDER(p0);                                                                                                \
        int32_t p1 = x1 * u;                                                                                           \
        MICO_ORDER(p1);                                                                                                \
        int32_t p2 = x2 * u;                                                                                           \
        MICO_ORDER(p2);                                                                                                \
        int32_t p3 = x3 * u;                                                                                           \
        MICO_ORDER(p3);                                                                                                \
        s0 += p0;                                                                                                      \
        MICO_ORDER(s0);                                                                                                \
        s1 += p1;                                                                                                      \
        MICO_ORDER(s1);                                                                                                \
        s2 += p2;                                                                                                      \
        MICO_ORDER(s2);                                                                                                \
        s3 += p3;                                                                                                      \
        MICO_ORDER(s3);                                                                                                \
    }
#define MICO_TAP(i)                                                                                                    \
    {                                                                                                                  \
        int32_t u = a[i], v = b[i], x0 = x[i], x1 = x[4 + i], x2 = x[8 + i], x3 = x[12 + i];                           \
        MICO_ORDER(u);                                                                                                 \
        MICO_ORDER(x0);                                                                                                \
        MICO_ORDER(x1);                                                                                                \
        MICO_ORDER(x2);                                                                                                \
        MICO_ORDER(x3);                                                                                                \
        MICO_ORDER(v);                                                                                                 \
        MICO_PRODUCTS(u, a0, a1, a2, a3)                                                                               \
        MICO_PRODUCTS(v, b0, b1, b2, b3)                                                                               \
    }
        MICO_TAP(0)
        MICO_TAP(1)
        MICO_TAP(2)
        MICO_TAP(3)
#undef MICO_PRODUCTS
#undef MICO_TAP
    }
    d[0] = (uint32_t)a0;
    d[1] = (uint32_t)a1;
    d[2] = (uint32_t)a2;
    d[3] = (uint32_t)a3;
    d[4] = (uint32_t)b0;
    d[5] = (uint32_t)b1;
    d[6] = (uint32_t)b2;
    d[7] = (uint32_t)b3;
}

/* Four rows, one position. */
MICO_INLINE void narrow(const uint32_t *patch, const uint32_t *rows, int32_t row_words, uint32_t *d)
{
    const uint8_t *x = (const uint8_t *)patch;
    const int8_t *a = (const int8_t *)rows, *b = a + 4 * row_words, *c = b + 4 * row_words, *e = c + 4 * row_words;
    const int8_t *end = b;
    int32_t d0 = 0, d1 = 0, d2 = 0, d3 = 0;

    for (; a != end; a += 4, b += 4, c += 4, e += 4, x += 4) {
        for (int32_t i = 0; i < 4; i++) {
            int32_t x0 = x[i], p0 = a[i], p1 = b[i], p2 = c[i], p3 = e[i];
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
    d[0] = (uint32_t)d0;
    d[1] = (uint32_t)d1;
    d[2] = (uint32_t)d2;
    d[3] = (uint32_t)d3;
}

MICO_CONV2D(bytes, 4, 0, 1, 0, pack, wide, narrow)
