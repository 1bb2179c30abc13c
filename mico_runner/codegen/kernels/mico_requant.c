#include "mico_requant.h"

void mico_requant(const mico_requant_t *p, const void *x, void *y)
{
    for (int32_t i = 0; i < p->size; i++) {
        const int32_t q = mico_load(x, i, p->input);
        mico_store(y, i, p->output.type, mico_rescale(q, p->scale.multiplier, p->scale.shift, &p->output));
    }
}
