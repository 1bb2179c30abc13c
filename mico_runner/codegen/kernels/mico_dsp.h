/* The instructions on halves of words of Cortex-M4, M7 and M33 (Armv7E-M, Armv8-M with DSP) that kernels use, one function each. On other
 * processors the functions are plain C: the same integers, but slow. */
#ifndef MICO_DSP_H
#define MICO_DSP_H

#include "mico.h"

/* gcc keeps registers for these loops only when it optimises; what clang makes of plain C is right, too. Cores with vectors have mico_mve.h. */
#if defined __ARM_FEATURE_DSP && !defined __ARM_FEATURE_MVE && defined __OPTIMIZE__ && !defined __clang__
#define MICO_DSP
#endif

/* Both halves of a and b multiplied, their products added to acc. */
MICO_INLINE uint32_t mico_smlad(uint32_t a, uint32_t b, uint32_t acc)
{
#ifdef MICO_DSP
    uint32_t r;
    __asm__("smlad %0, %1, %2, %3" : "=r"(r) : "r"(a), "r"(b), "r"(acc));
    return r;
#else
    const int32_t low = (int16_t)(uint16_t)a * (int16_t)(uint16_t)b;
    const int32_t high = (int16_t)(uint16_t)(a >> 16) * (int16_t)(uint16_t)(b >> 16);
    return acc + (uint32_t)low + (uint32_t)high;
#endif
}

/* The low halves multiplied, the product added to acc; and the high halves. */
MICO_INLINE uint32_t mico_smlabb(uint32_t a, uint32_t b, uint32_t acc)
{
#ifdef MICO_DSP
    uint32_t r;
    __asm__("smlabb %0, %1, %2, %3" : "=r"(r) : "r"(a), "r"(b), "r"(acc));
    return r;
#else
    return acc + (uint32_t)((int16_t)(uint16_t)a * (int16_t)(uint16_t)b);
#endif
}

MICO_INLINE uint32_t mico_smlatt(uint32_t a, uint32_t b, uint32_t acc)
{
#ifdef MICO_DSP
    uint32_t r;
    __asm__("smlatt %0, %1, %2, %3" : "=r"(r) : "r"(a), "r"(b), "r"(acc));
    return r;
#else
    return mico_smlabb(a >> 16, b >> 16, acc);
#endif
}

/* Bytes 0 and 2 with their sign, and without, as halves. */
MICO_INLINE uint32_t mico_sxtb16(uint32_t a)
{
#ifdef MICO_DSP
    uint32_t r;
    __asm__("sxtb16 %0, %1" : "=r"(r) : "r"(a));
    return r;
#else
    const int32_t low = (int8_t)(uint8_t)a, high = (int8_t)(uint8_t)(a >> 16);
    return (uint16_t)low | (uint32_t)high << 16;
#endif
}

MICO_INLINE uint32_t mico_uxtb16(uint32_t a)
{
    return a & 0x00ff00ffu;
}

/* Bytes 1 and 3. */
MICO_INLINE uint32_t mico_sxtb16_odd(uint32_t a)
{
#ifdef MICO_DSP
    uint32_t r;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(r) : "r"(a));
    return r;
#else
    return mico_sxtb16(a >> 8);
#endif
}

MICO_INLINE uint32_t mico_uxtb16_odd(uint32_t a)
{
#ifdef MICO_DSP
    uint32_t r;
    __asm__("uxtb16 %0, %1, ror #8" : "=r"(r) : "r"(a));
    return r;
#else
    return a >> 8 & 0x00ff00ffu;
#endif
}

/* The low half of a below the low half of b; the high half of a below the high half of b. */
MICO_INLINE uint32_t mico_low_halves(uint32_t a, uint32_t b)
{
#ifdef MICO_DSP
    uint32_t r;
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(r) : "r"(a), "r"(b));
    return r;
#else
    return (a & 0xffffu) | b << 16;
#endif
}

MICO_INLINE uint32_t mico_high_halves(uint32_t a, uint32_t b)
{
#ifdef MICO_DSP
    uint32_t r;
    __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(r) : "r"(b), "r"(a));
    return r;
#else
    return a >> 16 | (b & 0xffff0000u);
#endif
}

#ifdef MICO_DSP
/* The larger of each of four bytes. */
MICO_INLINE uint32_t mico_larger_bytes(uint32_t a, uint32_t b, const int is_signed)
{
    uint32_t r;
    if (is_signed)
        __asm__("ssub8 %0, %1, %2\n sel %0, %1, %2" : "=&r"(r) : "r"(a), "r"(b) : "cc");
    else
        __asm__("usub8 %0, %1, %2\n sel %0, %1, %2" : "=&r"(r) : "r"(a), "r"(b) : "cc");
    return r;
}
#endif

/* Values below 0 become 0. */
MICO_INLINE int32_t mico_positive_part(int32_t a)
{
#ifdef MICO_DSP
    int32_t r;
    __asm__("bic %0, %1, %1, asr #31" : "=r"(r) : "r"(a));
    return r;
#else
    return a & ~(a >> 31);
#endif
}

/* Four bytes wherever they lie: these processors load words from any address. */
MICO_INLINE uint32_t mico_four_bytes(const uint8_t *from)
{
    uint32_t word;
    __builtin_memcpy(&word, from, sizeof word);
    return word;
}

#endif
