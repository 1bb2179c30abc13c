#include "mico_conv2d_mla.h"

#include "mico_store_block.h"

/* gcc keeps registers for these loops only when it optimises; what clang makes of plain C is right, too. */
#if defined __ARM_ARCH_7M__ && defined __OPTIMIZE__ && !defined __clang__
#define MLA
#endif

enum { ROWS = 2, POSITIONS = 2, WORD = 4 };

/* n bytes in a row as bytes, or as signed halves of words, the lower ones or the upper ones; `from` is 0: zeros. Returns the end. A word is the
 * lower half and 2^16 times the upper one, which so is one less where the lower one is below 0. */
MICO_INLINE uint8_t *append(uint8_t *to, const uint8_t *from, int32_t n, uint32_t xor_mask, const int bits, const int upper)
{
    uint8_t *const end = to + (bits == 8 ? n : 4 * n);

    if (bits == 8 && from) {
        for (; end - to >= WORD; to += WORD, from += WORD)
            __builtin_memcpy(to, from, WORD);
        while (to != end)
            *to++ = *from++;
    } else if (bits == 8) {
        while (to != end)
            *to++ = 0;
    } else {
        for (; to != end; to += 4) {
            const uint32_t value = from ? (*from++ ^ xor_mask) - xor_mask : 0u;
            const uint16_t half = (uint16_t)(upper ? value - (to[-1] >> 7) : value);
            __builtin_memcpy(to, &half, sizeof half);
        }
    }
    return to;
}

/* The column whose first tap is at (iy, ix), and zeros up to `taps` taps. */
MICO_INLINE void gather(const mico_conv2d_mla_t *p, const uint8_t *x, int32_t iy, int32_t ix, uint8_t *to, int32_t taps, const int bits,
                        const int upper)
{
    const int32_t depth = p->size.in_c, whole = p->size.dilation_w == 1 && ix >= 0 && ix + p->size.kernel_w <= p->size.in_w;
    const int32_t pieces = whole ? 1 : p->size.kernel_w, run = whole ? p->size.kernel_w * depth : depth;
    const uint32_t xor_mask = p->xor_mask & 0x80u;

    for (int32_t ky = 0; ky < p->size.kernel_h; ky++, iy += p->size.dilation_h) {
        const int inside = iy >= 0 && iy < p->size.in_h;
        for (int32_t kx = 0, image_x = ix; kx < pieces; kx++, image_x += p->size.dilation_w) {
            const int there = inside && image_x >= 0 && image_x < p->size.in_w;
            to = append(to, there ? x + (iy * p->size.in_w + image_x) * depth : 0, run, xor_mask, bits, upper);
        }
    }
    append(to, 0, taps - p->size.kernel_h * p->size.kernel_w * depth, 0, bits, upper);
}

#ifdef MLA

/* A tap of 8 bits, the i-th of a word, or the last, behind which pointers move on. */
#define TAP(LOAD, address)                                                                                             \
    "ldrsb %[u], [%[a]" address "\n ldrsb %[v], [%[b]" address "\n"                                                    \
    LOAD " %[k], [%[x0]" address "\n mla %[s0], %[u], %[k], %[s0]\n mla %[t0], %[v], %[k], %[t0]\n"                    \
    LOAD " %[k], [%[x1]" address "\n mla %[s1], %[u], %[k], %[s1]\n mla %[t1], %[v], %[k], %[t1]\n"
#define BYTES(LOAD)                                                                                                    \
    __asm__ volatile("1:\n" TAP(LOAD, ", #1]") TAP(LOAD, ", #2]") TAP(LOAD, ", #3]") TAP(LOAD, "], #4")                \
                     "cmp %[x0], %[end]\n bne 1b\n"                                                                    \
                     : [s0] "+&r"(s0), [s1] "+&r"(s1), [t0] "+&r"(t0), [t1] "+&r"(t1), [a] "+&r"(a), [b] "+&r"(b), [x0] "+&r"(x0), [x1] "+&r"(x1), \
                       [u] "=&r"(u), [v] "=&r"(v), [k] "=&r"(k)                                                        \
                     : [end] "r"(end)                                                                                  \
                     : "cc", "memory")

/* d[row * 2 + position] += sums of two rows of `words` words, `apart` words apart, with two columns. */
MICO_INLINE void add_bytes(const uint32_t *w, int32_t apart, const uint8_t *x0, int32_t words, uint32_t *d, const int is_signed)
{
    const uint8_t *a = (const uint8_t *)w, *b = (const uint8_t *)(w + apart), *const end = x0 + WORD * words, *x1 = end;
    uint32_t s0 = d[0], s1 = d[1], t0 = d[2], t1 = d[3], u, v, k;

    if (is_signed)
        BYTES("ldrsb");
    else
        BYTES("ldrb");
    d[0] = s0;
    d[1] = s1;
    d[2] = t0;
    d[3] = t1;
}

/* Weights of 4 bits times both halves of a word. */
#define HALVES(bit)                                                                                                    \
    "ldr %[k], [%[x]], #4\n sbfx %[m], %[u], #" bit ", #4\n mla %[s], %[m], %[k], %[s]\n"                              \
    "sbfx %[m], %[v], #" bit ", #4\n mla %[t], %[m], %[k], %[t]\n"

/* s, t += sums of two rows with the halves of the columns' words. */
MICO_INLINE void add_halves(const uint32_t *a, const uint32_t *b, const uint32_t *x, int32_t words, uint32_t *s_, uint32_t *t_)
{
    const uint32_t *const end = a + words;
    uint32_t s = 0, t = 0, u, v, k, m;

    __asm__ volatile("1: ldr %[u], [%[a]], #4\n ldr %[v], [%[b]], #4\n" HALVES("0") HALVES("4") HALVES("8") HALVES("12") HALVES("16")
                         HALVES("20") HALVES("24") HALVES("28") "cmp %[a], %[end]\n bne 1b\n"
                     : [s] "+&r"(s), [t] "+&r"(t), [a] "+&r"(a), [b] "+&r"(b), [x] "+&r"(x), [u] "=&r"(u), [v] "=&r"(v), [k] "=&r"(k), [m] "=&r"(m)
                     : [end] "r"(end)
                     : "cc", "memory");
    *s_ = s;
    *t_ = t;
}

#else

MICO_INLINE void add_bytes(const uint32_t *w, int32_t apart, const uint8_t *x, int32_t words, uint32_t *d, const int is_signed)
{
    const int8_t *const a = (const int8_t *)w, *const b = (const int8_t *)(w + apart);

    for (int32_t i = 0; i < WORD * words; i++) {
        for (int t = 0; t < POSITIONS; t++) {
            const uint8_t byte = x[t * WORD * words + i];
            const uint32_t k = is_signed ? (uint32_t)(int8_t)byte : byte;
            d[t] += (uint32_t)a[i] * k;
            d[POSITIONS + t] += (uint32_t)b[i] * k;
        }
    }
}

MICO_INLINE void add_halves(const uint32_t *a, const uint32_t *b, const uint32_t *x, int32_t words, uint32_t *s, uint32_t *t)
{
    *s = *t = 0;
    for (const uint32_t *const end = a + words; a != end; a++, b++) {
        for (int i = 0; i < 32; i += 4, x++) {
            *s += (((*a >> i & 15u) ^ 8u) - 8u) * *x;
            *t += (((*b >> i & 15u) ^ 8u) - 8u) * *x;
        }
    }
}

#endif

/* d += both sums of a word: the upper half lacks what the lower one has borrowed. */
MICO_INLINE void take_apart(uint32_t word, uint32_t *d)
{
    const uint32_t low = (uint32_t)(int16_t)(uint16_t)word;
    d[0] += low;
    d[1] += (uint32_t)((int32_t)(word - low) >> 16);
}

/* Two rows, or the same twice (`apart` is 0), at two positions. */
MICO_INLINE void sums(const mico_conv2d_mla_t *p, const uint32_t *w, int32_t apart, const uint32_t *column, uint32_t *d, const int bits)
{
    const int32_t words = p->weights.row_words, most = p->value_words;

    if (bits == 8) {
        if (p->xor_mask != 0u)
            add_bytes(w, apart, (const uint8_t *)column, words, d, 1);
        else
            add_bytes(w, apart, (const uint8_t *)column, words, d, 0);
        return;
    }
    for (int32_t left = words; left > 0; left -= most, w += most, column += 8 * most) {
        uint32_t s, t;
        add_halves(w, w + apart, column, left < most ? left : most, &s, &t);
        take_apart(s, d);
        take_apart(t, d + POSITIONS);
    }
}

MICO_INLINE void convolve(const mico_conv2d_mla_t *p, const uint8_t *x, uint8_t *y, uint32_t *column, const int bits)
{
    const int32_t size = p->size.out_h * p->size.out_w, step = p->size.out_c * (p->output.type == MICO_S32 ? 4 : 1);
    const int32_t words = p->weights.row_words;
    const int32_t taps = words * (32 / bits);
    int32_t oy = 0, ox = 0;

    for (int32_t begin = 0; begin < size; begin += POSITIONS) {
        int32_t first = begin;
        if (first + POSITIONS > size) { /* the last tile overlaps the one before */
            first = size - POSITIONS;
            oy = first / p->size.out_w;
            ox = first % p->size.out_w;
        }
        for (int t = 0; t < POSITIONS; t++) {
            uint8_t *const to = (uint8_t *)column + t * (bits == 8 ? taps : 2);
            gather(p, x, oy * p->size.stride_h - p->size.pad_h, ox * p->size.stride_w - p->size.pad_w, to, taps, bits, t);
            if (++ox == p->size.out_w) {
                ox = 0;
                oy++;
            }
        }
        const uint32_t *w = p->weights.words;
        for (int32_t c = 0; c < p->size.out_c; c += ROWS, w += ROWS * words) {
            const int32_t *const bias = p->weights.bias + c;
            const int alone = c + 1 == p->size.out_c;
            uint32_t d[ROWS * POSITIONS] = {(uint32_t)bias[0], (uint32_t)bias[0], (uint32_t)bias[!alone], (uint32_t)bias[!alone]};
            sums(p, w, alone ? 0 : words, column, d, bits);
            if (alone)
                mico_store_block(p, c, d, 1, POSITIONS, y + first * step);
            else
                mico_store_block(p, c, d, ROWS, POSITIONS, y + first * step);
        }
    }
}

void mico_conv2d_mla_4(const mico_conv2d_mla_t *p, const void *x, void *y, uint32_t *scratch)
{
    convolve(p, x, y, scratch, 4);
}

void mico_conv2d_mla_8(const mico_conv2d_mla_t *p, const void *x, void *y, uint32_t *scratch)
{
    convolve(p, x, y, scratch, 8);
}
