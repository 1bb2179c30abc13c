#include "mico_softmax.h"

void mico_softmax(const mico_softmax_t *p, const void *x, void *y)
{
    for (int32_t r = 0; r < p->rows; r++) {
        const int32_t first = r * p->length;
        int32_t most = mico_load(x, first, p->input);
        int64_t sum = 0;

        for (int32_t i = 1; i < p->length; i++) {
            const int32_t q = mico_load(x, first + i, p->input);
            most = q > most ? q : most;
        }
        for (int32_t i = 0; i < p->length; i++)
            sum += p->exp[most - mico_load(x, first + i, p->input)];
        for (int32_t i = 0; i < p->length; i++) {
            const int64_t e = p->exp[most - mico_load(x, first + i, p->input)];
            int64_t q = (e * p->factor + (sum << (p->shift - 1))) / (sum << p->shift);
            if (p->output.sign)
                q = 1;
            else if (q > p->output.max)
                q = p->output.max;
            mico_store(y, first + i, p->output.type, (int32_t)q);
        }
    }
}
