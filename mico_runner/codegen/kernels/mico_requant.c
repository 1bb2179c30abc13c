#include "mico_requant.h"

/* Bytes to bytes at shifts from 24 on: 9 more bits fit the multiplier, and the shift is of the product's high word alone. */
static void bytes(const mico_requant_t *p, const uint8_t *x, uint8_t *y)
{
    const int32_t multiplier = p->scale.multiplier << 9, shift = p->scale.shift - 23, round = 1 << (shift - 1);
    const int32_t low = p->output.min, size = p->size;
    const uint32_t span = (uint32_t)p->output.max - (uint32_t)low;
    const int32_t xor_mask = p->input == MICO_S8 ? 0x80 : 0;

    for (int32_t i = 0; i < size; i++) {
        const int32_t q = (x[i] ^ xor_mask) - xor_mask;
        y[i] = (uint8_t)mico_clamp((mico_high_word((uint32_t)q, multiplier) + round) >> shift, low, span);
    }
}

#ifdef __SSE2__

/* Bytes to bytes at shifts up to 30: the product of 8 bits and 22 fits, with one half of the last bit. */
static void products(const mico_requant_t *p, const uint8_t *x, uint8_t *y)
{
    const int32_t multiplier = p->scale.multiplier, shift = p->scale.shift, round = 1 << (shift - 1);
    const int32_t low = p->output.min, high = p->output.max, size = p->size;
    const int32_t xor_mask = p->input == MICO_S8 ? 0x80 : 0;

    for (int32_t i = 0; i < size; i++) {
        const int32_t r = (((x[i] ^ xor_mask) - xor_mask) * multiplier + round) >> shift, most = r < high ? r : high;
        y[i] = (uint8_t)(most > low ? most : low);
    }
}

#endif

void mico_requant(const mico_requant_t *p, const void *x, void *y)
{
#ifdef __SSE2__
    if (p->input != MICO_S32 && p->output.type != MICO_S32 && !p->output.sign && p->scale.shift <= 30) {
        products(p, x, y);
        return;
    }
#endif
    if (p->input != MICO_S32 && p->output.type != MICO_S32 && !p->output.sign && p->scale.shift >= 24) {
        bytes(p, x, y);
        return;
    }
    for (int32_t i = 0; i < p->size; i++) {
        const int32_t q = mico_load(x, i, p->input);
        mico_store(y, i, p->output.type, mico_rescale(q, p->scale.multiplier, p->scale.shift, &p->output));
    }
}
