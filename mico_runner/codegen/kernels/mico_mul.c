#include "mico_mul.h"

void mico_mul(const mico_mul_t *p, const void *a, const void *b, void *y)
{
    int32_t run = 0, at = 0;

    for (int32_t i = 0; i < p->size; i++) {
        const int32_t product = mico_load(a, i, p->input_a) * mico_load(b, at, p->input_b);
        mico_store(y, i, p->output.type, mico_rescale(product, p->scale.multiplier, p->scale.shift, &p->output));
        if (++run == p->run) {
            run = 0;
            if (++at == p->count)
                at = 0;
        }
    }
}
