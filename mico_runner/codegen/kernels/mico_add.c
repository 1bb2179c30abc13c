#include "mico_add.h"

void mico_add(const mico_add_t *p, const void *a, const void *b, void *y)
{
    for (int32_t i = 0; i < p->size; i++) {
        const int64_t acc = (int64_t)mico_load(a, i, p->input_a) * p->multiplier_a +
                            (int64_t)mico_load(b, i, p->input_b) * p->multiplier_b;
        mico_store(y, i, p->output.type, mico_round(acc, p->shift, &p->output));
    }
}
