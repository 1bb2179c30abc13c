#include "mico_attention.h"

#include "mico_divide.h"

enum { TOGETHER = 128 }; /* products of 16 and 8 bits whose sum fits an int32_t */

/* A byte as an integer of its type: turn is 0 without a sign, 128 with one. */
static inline int32_t value(uint8_t byte, int32_t turn)
{
    return (byte ^ turn) - turn;
}

static inline int32_t turn_of(mico_type type)
{
    return type == MICO_S8 ? 128 : 0;
}

/* 2^-z with 16 bits behind the point, z in proportion to how far a score is below the greatest. */
static inline uint32_t power(const mico_attention_t *p, uint32_t distance)
{
    const int32_t most = 31 << 15, up = distance > INT32_MAX ? INT32_MAX : (int32_t)distance;
    const int64_t exact = ((int64_t)up * p->multiplier + ((int64_t)1 << (p->shift - 1))) >> p->shift;
    const int32_t z = exact < most ? (int32_t)exact : most;
    const int32_t entry = z >> 10 & 31, rest = z & 1023, drop = 14 + (z >> 15);
    const int32_t *t = p->power + entry;
    const int64_t found = t[0] - ((int64_t)(t[0] - t[1]) * rest >> 10);
    return (uint32_t)((found + ((int64_t)1 << (drop - 1))) >> drop);
}

/* Of one query and one key: sizes up to 2^31 - 1. */
static inline int32_t score_of(const mico_attention_t *p, const void *q, int32_t first, const uint8_t *key, int32_t turn)
{
    const int32_t d = p->head, of_q = turn_of(p->q);
    const uint8_t *query = (const uint8_t *)q + first;
    int32_t score = 0;

    if (p->q == MICO_S32)
        for (int32_t i = 0; i < d; i++)
            score += mico_load(q, first + i, MICO_S32) * value(key[i], turn);
    else
        for (int32_t i = 0; i < d; i++)
            score += value(query[i], of_q) * value(key[i], turn);
    return score;
}

void mico_attend(const mico_attention_t *p, const void *q, int32_t at, const void *k, const void *v, int32_t count, void *y,
                 uint32_t *powers)
{
    const int32_t d = p->head, row = p->kv_heads * d, together = p->heads / p->kv_heads;
    const int32_t of_k = turn_of(p->k), of_v = turn_of(p->v);

    for (int32_t h = 0; h < p->heads; h++) {
        const int32_t first = at * p->heads * d + h * d;
        const uint8_t *key = (const uint8_t *)k + h / together * d;
        int32_t most = INT32_MIN;
        uint64_t sum = 0;

        for (int32_t j = 0; j < count; j++, key += row) {
            const int32_t score = score_of(p, q, first, key, of_k);
            most = score > most ? score : most;
            powers[j] = (uint32_t)score;
        }
        for (int32_t j = 0; j < count; j++) {
            powers[j] = power(p, (uint32_t)most - powers[j]);
            sum += powers[j];
        }
        const int64_t part = (int64_t)mico_divide((uint64_t)p->factor << 30, sum);
        for (int32_t i = 0; i < d; i++) {
            const uint8_t *from = (const uint8_t *)v + h / together * d + i;
            int64_t acc = 0;
            for (int32_t start = 0; start < count; start += TOGETHER) {
                const int32_t end = count - start < TOGETHER ? count : start + TOGETHER;
                int32_t some = 0;
                for (int32_t j = start; j < end; j++)
                    some += (int32_t)powers[j] * value(from[j * row], of_v);
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
