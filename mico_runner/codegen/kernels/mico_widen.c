#include "mico_widen.h"

enum { CODES = 8 }; /* fill `bits` bytes */

/* Eight codes, each to a byte: halves, quarters and eighths of the word are moved apart. */
MICO_INLINE uint64_t spread(uint64_t codes, int32_t bits)
{
    const uint64_t four = ((uint64_t)1 << 4 * bits) - 1, two = ((uint64_t)1 << 2 * bits) - 1, one = ((uint64_t)1 << bits) - 1;
    codes = (codes & four) | (codes >> 4 * bits & four) << 32;
    codes = (codes & two * 0x0000000100000001u) | (codes >> 2 * bits & two * 0x0000000100000001u) << 16;
    return (codes & one * 0x0001000100010001u) | (codes >> bits & one * 0x0001000100010001u) << 8;
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

#if defined MICO_AVX512 && defined __AVX512VBMI__

/* 64 at a time: the bytes of eight codes to each word of 64 bits, from which eight bytes are taken at any bit. */
static int32_t together(const uint8_t *from, int32_t codes, int32_t bits, int8_t *to)
{
    uint8_t places[64], begins[64];
    int32_t done = 0;

    for (int32_t i = 0; i < 64; i++) {
        places[i] = (uint8_t)((i / CODES * bits + i % CODES) & 63);
        begins[i] = (uint8_t)(i % CODES * bits);
    }
    const __m512i place = _mm512_loadu_si512(places), begin = _mm512_loadu_si512(begins);
    const __m512i mask = _mm512_set1_epi8((char)((1 << bits) - 1)), sign = _mm512_set1_epi8((char)(1 << (bits - 1)));
    const __mmask64 read = ((__mmask64)1 << CODES * bits) - 1;
    for (; done + 64 <= codes; done += 64, from += CODES * bits) {
        __m512i word = _mm512_permutexvar_epi8(place, _mm512_maskz_loadu_epi8(read, from));
        word = _mm512_and_si512(_mm512_multishift_epi64_epi8(begin, word), mask);
        word = bits == 1 ? _mm512_sub_epi8(_mm512_add_epi8(word, word), sign) : _mm512_sub_epi8(_mm512_xor_si512(word, sign), sign);
        _mm512_storeu_si512(to + done, word);
    }
    return done;
}

#else

static int32_t together(const uint8_t *from, int32_t codes, int32_t bits, int8_t *to)
{
    (void)from, (void)codes, (void)bits, (void)to;
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
    const int32_t bits = w->bits, codes = count * w->taps, bytes = 4 * count * w->row_words;

    if (bits == 8) {
        for (int32_t i = 0; i < codes; i++)
            to[i] = (int8_t)from[i];
    } else {
        const int32_t done = together(from, codes, bits, to), read = done / CODES * bits;
        one_by_one(from + read, bytes - read, codes - done, bits, to + done);
    }
    if (piece % 4)
        part(to, count, w->taps, piece);
}
