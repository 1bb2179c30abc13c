#include "mico_concat.h"

void mico_concat(const mico_concat_t *p, const void *x, void *y)
{
    for (int32_t r = 0; r < p->rows; r++) {
        for (int32_t i = 0; i < p->part; i++) {
            const int32_t q = mico_load(x, r * p->part + i, p->input);
            mico_store(y, r * p->row + p->offset + i, p->output.type,
                       mico_rescale(q, p->scale.multiplier, p->scale.shift, &p->output));
        }
    }
}
