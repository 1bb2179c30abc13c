#include "mico_widen.h"

enum { PATTERNS = 8 }; /* fill `bits` bytes */

/* Eight patterns, each to a byte: halves, quarters and eighths of the word are moved apart. */
MICO_INLINE uint64_t spread(uint64_t patterns, int32_t bits)
{
    const uint64_t four = ((uint64_t)1 << 4 * bits) - 1, two = ((uint64_t)1 << 2 * bits) - 1, one = ((uint64_t)1 << bits) - 1;
    patterns = (patterns & four) | (patterns >> 4 * bits & four) << 32;
    patterns = (patterns & two * 0x0000000100000001u) | (patterns >> 2 * bits & two * 0x0000000100000001u) << 16;
    return (patterns & one * 0x0001000100010001u) | (patterns >> bits & one * 0x0001000100010001u) << 8;
}

/* Their values: two's complement, of one bit -1 and 1. No byte borrows from the next. */
MICO_INLINE uint64_t values(uint64_t patterns, int32_t bits)
{
    const uint64_t each = 0x0101010101010101u, top = each << 7, sign = each << (bits - 1);
    if (bits == 1)
        return ((patterns << 1 | top) - each) ^ top;
    return (((patterns ^ sign) | top) - sign) ^ top;
}

/* `patterns` patterns of `bits` bits, of which `bytes` bytes may be read. */
static void one_by_one(const uint8_t *from, int32_t bytes, int32_t patterns, int32_t bits, int8_t *to)
{
    for (int32_t i = 0; i < patterns; i += PATTERNS, from += bits, bytes -= bits, to += PATTERNS) {
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

#if defined MICO_AVX512 && defined __AVX512VBMI__

/* 64 at a time: the bytes of eight patterns to each word of 64 bits, from which eight bytes are taken at any bit. */
static int32_t widen_many(const uint8_t *from, int32_t patterns, int32_t bits, int8_t *to)
{
    uint8_t places[64], begins[64];
    int32_t done = 0;

    for (int32_t i = 0; i < 64; i++) {
        places[i] = (uint8_t)((i / PATTERNS * bits + i % PATTERNS) & 63);
        begins[i] = (uint8_t)(i % PATTERNS * bits);
    }
    const __m512i place = _mm512_loadu_si512(places), begin = _mm512_loadu_si512(begins);
    const __m512i mask = _mm512_set1_epi8((char)((1 << bits) - 1)), sign = _mm512_set1_epi8((char)(1 << (bits - 1)));
    const __mmask64 read = ((__mmask64)1 << PATTERNS * bits) - 1;
    for (; done + 64 <= patterns; done += 64, from += PATTERNS * bits) {
        __m512i word = _mm512_permutexvar_epi8(place, _mm512_maskz_loadu_epi8(read, from));
        word = _mm512_and_si512(_mm512_multishift_epi64_epi8(begin, word), mask);
        word = bits == 1 ? _mm512_sub_epi8(_mm512_add_epi8(word, word), sign) : _mm512_sub_epi8(_mm512_xor_si512(word, sign), sign);
        _mm512_storeu_si512(to + done, word);
    }
    return done;
}

#else

static int32_t widen_many(const uint8_t *from, int32_t patterns, int32_t bits, int8_t *to)
{
    (void)from, (void)patterns, (void)bits, (void)to;
    return 0;
}

#endif

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
    const int32_t bits = w->bits, patterns = count * w->taps, bytes = 4 * count * w->row_words;

    if (bits == 8) {
        for (int32_t i = 0; i < patterns; i++)
            to[i] = (int8_t)from[i];
    } else {
        const int32_t done = widen_many(from, patterns, bits, to), read = done / PATTERNS * bits;
        one_by_one(from + read, bytes - read, patterns - done, bits, to + done);
    }
    if (piece % 4)
        part(to, count, w->taps, piece);
}
