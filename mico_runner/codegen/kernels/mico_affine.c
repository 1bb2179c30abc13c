#include "mico_affine.h"

void mico_affine(const mico_affine_t *p, const void *x, void *y)
{
    int32_t run = 0, at = 0;

    for (int32_t i = 0; i < p->size; i++) {
        const int32_t q = mico_load(x, i, p->input);
        const int32_t factor = q < 0 && p->below ? p->below[at] : p->factor[at];
        mico_store(y, i, p->output.type, mico_round((int64_t)q * factor + p->term[at], p->shift, &p->output));
        if (++run == p->run) {
            run = 0;
            if (++at == p->count)
                at = 0;
        }
    }
}
