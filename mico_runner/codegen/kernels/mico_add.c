#include "mico_add.h"

#include "mico_mve.h"

#if defined __ARM_ARCH || defined __SSE2__
#define MICO_IN_32_BITS 1
#endif

#ifdef MICO_MVE

/* Bytes, whose sums fit 32 bits (below), four at a time. */
MICO_INLINE void bytes(const mico_add_t *p, const uint8_t *a, const uint8_t *b, uint8_t *y, const int is_signed)
{
    const uint32_t multiplier_a = (uint32_t)p->multiplier_a, multiplier_b = (uint32_t)p->multiplier_b;
    const int32x4_t low = vdupq_n_s32(p->output.min), high = vdupq_n_s32(p->output.max);
    const int signed_a = p->input_a == MICO_S8, signed_b = p->input_b == MICO_S8;

    for (int32_t left = p->size; left > 0; left -= 4, a += 4, b += 4, y += 4) {
        const mve_pred16_t some = vctp32q((uint32_t)left);
        const uint32x4_t first = signed_a ? vreinterpretq_u32_s32(vldrbq_z_s32((const int8_t *)a, some)) : vldrbq_z_u32(a, some);
        const uint32x4_t second = signed_b ? vreinterpretq_u32_s32(vldrbq_z_s32((const int8_t *)b, some)) : vldrbq_z_u32(b, some);
        const uint32x4_t acc = vmlaq_n_u32(vmulq_n_u32(first, multiplier_a), second, multiplier_b);
        const int32x4_t r = is_signed ? vrshlq_n_s32(vreinterpretq_s32_u32(acc), -p->shift) : vreinterpretq_s32_u32(vrshlq_n_u32(acc, -p->shift));
        vstrbq_p_s32((int8_t *)y, vminq_s32(vmaxq_s32(r, low), high), some);
    }
}

#elif defined MICO_IN_32_BITS

/* Bytes, whose sums fit 32 bits: 255 times two multipliers below 2^22 do without a sign, and with one and half of the next bit. */
MICO_INLINE void bytes(const mico_add_t *p, const uint8_t *a, const uint8_t *b, uint8_t *y, const int is_signed)
{
    const uint32_t multiplier_a = (uint32_t)p->multiplier_a, multiplier_b = (uint32_t)p->multiplier_b;
    const uint32_t xor_a = p->input_a == MICO_S8 ? 0x80u : 0u, xor_b = p->input_b == MICO_S8 ? 0x80u : 0u;
    const int32_t low = p->output.min, high = p->output.max, shift = p->shift;
    const uint32_t round = 1u << (shift - 1);

    for (const uint8_t *const end = a + p->size; a != end;) {
        uint32_t acc = round;
        acc += (is_signed ? ((uint32_t)*a++ ^ xor_a) - xor_a : *a++) * multiplier_a;
        acc += (is_signed ? ((uint32_t)*b++ ^ xor_b) - xor_b : *b++) * multiplier_b;
        int32_t r = is_signed ? (int32_t)acc >> shift : (int32_t)(acc >> shift);
        r = r < low ? low : r;
        *y++ = (uint8_t)(r > high ? high : r);
    }
}

#endif

void mico_add(const mico_add_t *p, const void *a, const void *b, void *y)
{
#ifdef MICO_IN_32_BITS
    const int is_signed = p->input_a == MICO_S8 || p->input_b == MICO_S8 || p->multiplier_a < 0 || p->multiplier_b < 0;
    const int small = p->input_a != MICO_S32 && p->input_b != MICO_S32 && p->output.type != MICO_S32;
    if (small && !p->output.sign && p->shift <= 30) {
        if (is_signed)
            bytes(p, a, b, y, 1);
        else
            bytes(p, a, b, y, 0);
        return;
    }
#endif
    for (int32_t i = 0; i < p->size; i++) {
        const int64_t acc = (int64_t)mico_load(a, i, p->input_a) * p->multiplier_a +
                            (int64_t)mico_load(b, i, p->input_b) * p->multiplier_b;
        mico_store(y, i, p->output.type, mico_round(acc, p->shift, &p->output));
    }
}
