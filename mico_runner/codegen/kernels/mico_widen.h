/* Weights as kernels for wide registers read them. */
#ifndef MICO_WIDEN_H
#define MICO_WIDEN_H

#include "mico_simd.h"

/* Of a block of `count` channels: words of four taps as bytes, those of all channels side by side; each piece of `piece` taps ends with
 * zeros up to a whole word. In memory the codes follow each other without a gap: piece by piece four taps of each channel, then the next
 * four, at last the one, two or three that are left. Up to 8 bytes behind the last one may be written. */
void mico_widen(const mico_weights *w, int32_t channel, int32_t count, int32_t piece, int8_t *to);

#if !defined __cplusplus && defined MICO_AVX512 && defined __AVX512VBMI__
#define MICO_CODES 1

/* How 64 codes of the same bits become bytes: those of eight codes go to each word of 64 bits, from which eight bytes are taken at any bit. */
typedef struct {
    __m512i place, begin, mask, flip;
    int32_t bytes; /* of 64 codes */
} mico_codes;

/* `up`: by how many bits a byte is moved up; the `bits` bits from there on are a code, the rest is 0. */
MICO_INLINE mico_codes mico_codes_of(int32_t bits, int32_t up, int32_t flip)
{
    const __m512i each = _mm512_set1_epi64(0x0706050403020100), ones = _mm512_set1_epi64(0x0101010101010101);
    const __m512i word = _mm512_mullo_epi64(ones, _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7)), size = _mm512_set1_epi64(bits);
    mico_codes c;

    c.place = _mm512_add_epi8(_mm512_mullo_epi64(word, size), each); /* i / 8 * bits + i % 8 */
    c.begin = _mm512_sub_epi8(_mm512_mullo_epi64(each, size), _mm512_set1_epi8((char)up)); /* i % 8 * bits - up, modulo 64 */
    c.mask = _mm512_set1_epi8((char)(((1 << bits) - 1) << up));
    c.flip = _mm512_set1_epi8((char)flip);
    c.bytes = 8 * bits;
    return c;
}

/* The first `bytes` bytes of codes, at most those of 64, as bytes: (code << up) ^ flip. */
MICO_INLINE __m512i mico_codes_load(const mico_codes *c, const uint8_t *from, int32_t bytes)
{
    const __m512i word = _mm512_permutexvar_epi8(c->place, _mm512_maskz_loadu_epi8(((__mmask64)1 << bytes) - 1, from));
    return _mm512_ternarylogic_epi64(_mm512_multishift_epi64_epi8(c->begin, word), c->mask, c->flip, 0x6a); /* (a & b) ^ c */
}

#endif

#endif
