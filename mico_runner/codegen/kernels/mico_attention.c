#include "mico_attention.h"

#include "mico_attention_parts.h"
#include "mico_divide.h"

void mico_attend(const mico_attention_t *p, const void *q, int32_t at, const void *k, const void *v, int32_t count, void *y,
                 uint32_t *powers)
{
    const int32_t d = p->head, row = p->kv_heads * d, per_kv_head = p->heads / p->kv_heads;
    const int32_t of_k = mico_turn_of(p->k), of_v = mico_turn_of(p->v);

    for (int32_t h = 0; h < p->heads; h++) {
        const int32_t first = at * p->heads * d + h * d;
        const uint8_t *key = (const uint8_t *)k + h / per_kv_head * d;
        int32_t most = INT32_MIN;
        uint64_t sum = 0;

        for (int32_t j = 0; j < count; j++, key += row) {
            const int32_t score = mico_score(q, p->q, first, key, of_k, d);
            most = score > most ? score : most;
            powers[j] = (uint32_t)score;
        }
        for (int32_t j = 0; j < count; j++) {
            powers[j] = mico_power(p->power, p->multiplier, p->shift, (uint32_t)most - powers[j]);
            sum += powers[j];
        }
        const int64_t part = (int64_t)mico_divide((uint64_t)p->factor << 30, sum);
        for (int32_t i = 0; i < d; i++) {
            const uint8_t *from = (const uint8_t *)v + h / per_kv_head * d + i;
            int64_t acc = 0;
            for (int32_t start = 0; start < count; start += MICO_TERMS) {
                const int32_t end = count - start < MICO_TERMS ? count : start + MICO_TERMS;
                int32_t some = 0;
                for (int32_t j = start; j < end; j++)
                    some += (int32_t)powers[j] * mico_value(from[j * row], of_v);
                acc += some;
            }
            mico_store(y, first + i, p->output.type, mico_round(acc * part, 30 + p->out_shift, &p->output));
        }
    }
}

void mico_attention(const mico_attention_t *p, const void *q, const void *k, const void *v, void *y, uint32_t *powers)
{
    for (int32_t t = 0; t < p->tokens; t++)
        mico_attend(p, q, t, k, v, t + 1, y, powers);
}
