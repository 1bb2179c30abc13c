#include "mico.h"

/* Inlined with a constant `bits`, so that the compiler specialises each loop. */
static inline void unpack(const uint32_t *words, int32_t taps, uint32_t bits, int8_t *row)
{
    const uint32_t mask = (1u << bits) - 1u;
    const uint32_t sign = 1u << (bits - 1u);

    for (int32_t i = 0; i < taps; i++) {
        const uint32_t bit = (uint32_t)i * bits;
        const uint32_t offset = bit % 32u;
        uint32_t code = words[bit / 32u] >> offset;
        if (offset + bits > 32u) /* the code straddles two words (3, 5, 6, 7 bits) */
            code |= words[bit / 32u + 1u] << (32u - offset);
        code &= mask;
        if (bits == 1u)
            row[i] = (int8_t)(2 * (int32_t)code - 1);
        else
            row[i] = (int8_t)((int32_t)(code ^ sign) - (int32_t)sign);
    }
}

void mico_unpack(const mico_weights *w, int32_t r, int8_t *row)
{
    const uint32_t *words = w->words + r * w->row_words;

    switch (w->bits) {
    case 1: unpack(words, w->taps, 1, row); break;
    case 2: unpack(words, w->taps, 2, row); break;
    case 3: unpack(words, w->taps, 3, row); break;
    case 4: unpack(words, w->taps, 4, row); break;
    case 5: unpack(words, w->taps, 5, row); break;
    case 6: unpack(words, w->taps, 6, row); break;
    case 7: unpack(words, w->taps, 7, row); break;
    default: unpack(words, w->taps, 8, row); break;
    }
}
