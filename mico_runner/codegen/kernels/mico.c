#include "mico.h"

/* Weight `i` of those packed at `bytes`; bits <= 8, so that it touches two bytes at most. */
static inline int8_t weight_at(const uint8_t *bytes, uint32_t i, uint32_t bits)
{
    const uint32_t byte = i * bits / 8u;
    const uint32_t offset = i * bits % 8u;
    uint32_t pattern = (uint32_t)bytes[byte] >> offset;
    if (offset + bits > 8u)
        pattern |= (uint32_t)bytes[byte + 1u] << (8u - offset);
    pattern &= (1u << bits) - 1u;
    if (bits == 1u)
        return (int8_t)(2 * (int32_t)pattern - 1);
    const uint32_t sign = 1u << (bits - 1u);
    return (int8_t)((int32_t)(pattern ^ sign) - (int32_t)sign);
}

/* Eight weights fill `bits` whole bytes. Inlined with a constant `bits`, the compiler vectorises the groups. */
static inline void unpack(const uint8_t *bytes, int32_t taps, uint32_t bits, int8_t *row)
{
    for (int32_t group = 0; group < taps / 8; group++, bytes += bits, row += 8) {
        for (uint32_t i = 0; i < 8u; i++)
            row[i] = weight_at(bytes, i, bits);
    }
    for (uint32_t i = 0; i < (uint32_t)taps % 8u; i++)
        row[i] = weight_at(bytes, i, bits);
}

void mico_unpack(const mico_weights *w, int32_t r, int8_t *row)
{
    /* The words are little-endian, as the machine is: their bytes stand in order. */
    const uint8_t *bytes = (const uint8_t *)(w->words + r * w->row_words);

    switch (w->bits) {
    case 1: unpack(bytes, w->taps, 1, row); break;
    case 2: unpack(bytes, w->taps, 2, row); break;
    case 3: unpack(bytes, w->taps, 3, row); break;
    case 4: unpack(bytes, w->taps, 4, row); break;
    case 5: unpack(bytes, w->taps, 5, row); break;
    case 6: unpack(bytes, w->taps, 6, row); break;
    case 7: unpack(bytes, w->taps, 7, row); break;
    default: unpack(bytes, w->taps, 8, row); break;
    }
}
