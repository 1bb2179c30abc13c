#include "mico_attention_step.h"

void mico_attention_step(const mico_attention_step_t *p, const void *q, const void *k, const void *v, const void *place,
                         void *keys, void *values, void *y, uint32_t *powers)
{
    const int32_t row = p->kv_heads * p->head;
    int32_t at = mico_load(place, 0, p->place);

    at = at < p->tokens ? at : p->tokens - 1;
    for (int32_t i = 0; i < row; i++) {
        ((uint8_t *)keys)[at * row + i] = ((const uint8_t *)k)[i];
        ((uint8_t *)values)[at * row + i] = ((const uint8_t *)v)[i];
    }
    mico_attend(p, q, 0, keys, values, at + 1, y, powers);
}
