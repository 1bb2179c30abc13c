#include "mico_widen.h"

#if !defined MICO_CODES

enum { CODES = 8 }; /* fill `bits` bytes */

/* Eight codes, each to a byte: halves, quarters and eighths of the word are moved apart. */
MICO_INLINE uint64_t spread(uint64_t codes, int32_t bits)
{
#if defined MICO_AVX2 && defined __BMI2__
    return _pdep_u64(codes, (((uint64_t)1 << bits) - 1) * 0x0101010101010101u);
#else
    const uint64_t four = ((uint64_t)1 << 4 * bits) - 1, two = ((uint64_t)1 << 2 * bits) - 1, one = ((uint64_t)1 << bits) - 1;
    codes = (codes & four) | (codes >> 4 * bits & four) << 32;
    codes = (codes & two * 0x0000000100000001u) | (codes >> 2 * bits & two * 0x0000000100000001u) << 16;
    return (codes & one * 0x0001000100010001u) | (codes >> bits & one * 0x0001000100010001u) << 8;
#endif
}

/* Their values: two's complement, of one bit -1 and 1. No byte borrows from the next. */
MICO_INLINE uint64_t values(uint64_t codes, int32_t bits)
{
    const uint64_t each = 0x0101010101010101u, top = each << 7, sign = each << (bits - 1);
    if (bits == 1)
        return ((codes << 1 | top) - each) ^ top;
    return (((codes ^ sign) | top) - sign) ^ top;
}

/* `codes` codes of `bits` bits, of which `bytes` bytes may be read. */
static void one_by_one(const uint8_t *from, int32_t bytes, int32_t codes, int32_t bits, int8_t *to)
{
    for (int32_t i = 0; i < codes; i += CODES, from += bits, bytes -= bits, to += CODES) {
        uint64_t word = 0;
        if (bytes >= (int32_t)sizeof word) {
            __builtin_memcpy(&word, from, sizeof word);
        } else {
            for (int32_t b = 0; b < bytes; b++)
                word |= (uint64_t)from[b] << 8 * b;
        }
        word = values(spread(word, bits), bits);
        __builtin_memcpy(to, &word, sizeof word);
    }
}

#endif

/* All codes of a block, of which `bytes` bytes may be read. */
static void all(const uint8_t *from, int32_t bytes, int32_t codes, int32_t bits, int8_t *to)
{
#if defined MICO_CODES
    const int sign = bits == 1; /* -1 and 1: twice the code, less 1 */
    const mico_codes c = mico_codes_of(bits, sign, sign ? 0 : 1 << (bits - 1));
    const __m512i less = _mm512_set1_epi8((char)(1 << (bits - 1)));

    (void)bytes;
    for (; codes >= 64; codes -= 64, from += c.bytes, to += 64)
        _mm512_storeu_si512(to, _mm512_sub_epi8(mico_codes_load(&c, from, c.bytes), less));
    if (codes > 0) {
        const __m512i rest = _mm512_sub_epi8(mico_codes_load(&c, from, (codes * bits + 7) / 8), less);
        _mm512_mask_storeu_epi8(to, ((__mmask64)1 << codes) - 1, rest);
    }
#else
    one_by_one(from, bytes, codes, bits, to);
#endif
}

/* Codes side by side to pieces of whole words: from the last on, as each lies in front of where it goes to. */
static void part(int8_t *bytes, int32_t count, int32_t taps, int32_t piece)
{
    const int32_t rest = piece % 4, whole = count * (piece - rest), words = (piece + 3) / 4;
    int8_t *from = bytes + count * taps, *to = bytes + count * (taps / piece) * 4 * words;

    while (from != bytes) {
        from -= count * rest;
        to -= rest ? 4 * count : 0;
        for (int32_t l = count - 1; rest && l >= 0; l--) {
            for (int32_t i = 3; i >= 0; i--)
                to[4 * l + i] = i < rest ? from[rest * l + i] : 0;
        }
        from -= whole;
        to -= whole;
        for (int32_t i = whole - 4; to != from && i >= 0; i -= 4) {
            int32_t word;
            __builtin_memcpy(&word, from + i, sizeof word);
            __builtin_memcpy(to + i, &word, sizeof word);
        }
    }
}

void mico_widen(const mico_weights *w, int32_t channel, int32_t count, int32_t piece, int8_t *to)
{
    const uint8_t *from = (const uint8_t *)(w->words + channel * w->row_words);
    const int32_t bits = w->bits, codes = count * w->taps, bytes = 4 * count * w->row_words;

    if (bits == 8) {
        for (int32_t i = 0; i < codes; i++)
            to[i] = (int8_t)from[i];
    } else {
        all(from, bytes, codes, bits, to);
    }
    if (piece % 4)
        part(to, count, w->taps, piece);
}
