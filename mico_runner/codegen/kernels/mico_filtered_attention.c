#include "mico_filtered_attention.h"

#include "mico_attention_parts.h"
#include "mico_divide.h"

enum { UNIT = 64 }; /* of a threshold's place between two scores */

/* A score of the upper bits alone. */
static int32_t coarse(const mico_filtered_attention_t *p, const void *q, int32_t first, const uint8_t *key, int32_t less_q,
                      int32_t less_k)
{
    const int32_t turn = mico_turn_of(p->k);
    int32_t score = 0;

    for (int32_t i = 0; i < p->head; i++)
        score += (mico_load(q, first + i, p->q) >> less_q) * (mico_value(key[i], turn) >> less_k);
    return score;
}

/* Keep those of `count` keys whose coarse score is at the threshold or above; returns how many. */
static int32_t filtered(const mico_filtered_attention_t *p, const int32_t *filter, const void *q, int32_t first,
                        const uint8_t *keys, uint32_t *scores, uint32_t *chosen, int32_t count)
{
    const int32_t row = p->kv_heads * p->head, place = filter[2];
    int32_t most = INT32_MIN, least = INT32_MAX, kept = 0;
    int64_t sum = 0;

    for (int32_t c = 0; c < count; c++) {
        const int32_t score = coarse(p, q, first, keys + (int32_t)chosen[c] * row, filter[0], filter[1]);
        scores[c] = (uint32_t)score;
        sum += score;
        most = score > most ? score : most;
        least = score < least ? score : least;
    }
    const int64_t end = place < 0 ? least : most, part = place < 0 ? -place : place;
    const int64_t threshold = part * count * end + (UNIT - part) * sum; /* UNIT * count times a score */
    for (int32_t c = 0; c < count; c++)
        if ((int64_t)UNIT * count * (int32_t)scores[c] >= threshold)
            chosen[kept++] = chosen[c];
    return kept;
}

static void attend(const mico_filtered_attention_t *p, const void *q, int32_t at, int32_t h, const uint8_t *keys,
                   const uint8_t *values, void *y, uint32_t *powers, uint32_t *chosen)
{
    const int32_t d = p->head, row = p->kv_heads * d, first = at * p->heads * d + h * d;
    const int32_t of_k = mico_turn_of(p->k), of_v = mico_turn_of(p->v);
    int32_t most = INT32_MIN, count = at + 1;
    uint64_t sum = 0;

    for (int32_t j = 0; j < count; j++)
        chosen[j] = (uint32_t)j;
    for (int32_t r = 0; r < p->rounds; r++)
        count = filtered(p, p->filters + 3 * r, q, first, keys, powers, chosen, count);
    for (int32_t c = 0; c < count; c++) {
        const int32_t score = mico_score(q, p->q, first, keys + (int32_t)chosen[c] * row, of_k, d);
        most = score > most ? score : most;
        powers[c] = (uint32_t)score;
    }
    for (int32_t c = 0; c < count; c++) {
        powers[c] = mico_power(p->power, p->multiplier, p->shift, (uint32_t)most - powers[c]);
        sum += powers[c];
    }
    const int64_t part = (int64_t)mico_divide((uint64_t)p->factor << 30, sum);
    for (int32_t i = 0; i < d; i++) {
        int64_t acc = 0;
        for (int32_t start = 0; start < count; start += MICO_TERMS) {
            const int32_t end = count - start < MICO_TERMS ? count : start + MICO_TERMS;
            int32_t some = 0;
            for (int32_t c = start; c < end; c++)
                some += (int32_t)powers[c] * mico_value(values[(int32_t)chosen[c] * row + i], of_v);
            acc += some;
        }
        mico_store(y, first + i, p->output.type, mico_round(acc * part, 30 + p->out_shift, &p->output));
    }
}

void mico_filtered_attention(const mico_filtered_attention_t *p, const void *q, const void *k, const void *v, void *y,
                             uint32_t *words)
{
    const int32_t per_kv_head = p->heads / p->kv_heads;

    for (int32_t t = 0; t < p->tokens; t++)
        for (int32_t h = 0; h < p->heads; h++) {
            const int32_t of_head = h / per_kv_head * p->head;
            attend(p, q, t, h, (const uint8_t *)k + of_head, (const uint8_t *)v + of_head, y, words, words + p->tokens);
        }
}
