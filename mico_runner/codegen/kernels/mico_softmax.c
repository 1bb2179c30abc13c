#include "mico_softmax.h"

#include "mico_divide.h"

void mico_softmax(const mico_softmax_t *p, const void *x, void *y)
{
    for (int32_t r = 0; r < p->rows; r++) {
        const int32_t first = r * p->length;
        int32_t most = mico_load(x, first, p->input);
        uint64_t sum = 0;

        for (int32_t i = 1; i < p->length; i++) {
            const int32_t q = mico_load(x, first + i, p->input);
            most = q > most ? q : most;
        }
        for (int32_t i = 0; i < p->length; i++)
            sum += (uint32_t)p->exp[most - mico_load(x, first + i, p->input)];
        const int64_t part = (int64_t)mico_divide((uint64_t)p->factor << 38, sum);
        for (int32_t i = 0; i < p->length; i++) {
            const int64_t e = p->exp[most - mico_load(x, first + i, p->input)];
            mico_store(y, first + i, p->output.type, mico_round(e * part, 38 + p->shift, &p->output));
        }
    }
}
