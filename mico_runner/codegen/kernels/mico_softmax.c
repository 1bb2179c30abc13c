#include "mico_softmax.h"

#include "mico_divide.h"

static int is_kept(const uint8_t *kept, int32_t i)
{
    return kept == 0 || kept[i] != 0;
}

void mico_softmax(const mico_softmax_t *p, const void *x, void *y)
{
    const uint8_t *kept = p->kept;
    int32_t row = 0; /* of kept */

    for (int32_t r = 0; r < p->rows; r++) {
        const int32_t first = r * p->length;
        int32_t most = INT32_MIN;
        uint64_t sum = 0;

        for (int32_t i = 0; i < p->length; i++) {
            const int32_t q = mico_load(x, first + i, p->input);
            most = q > most && is_kept(kept, i) ? q : most;
        }
        for (int32_t i = 0; i < p->length; i++)
            if (is_kept(kept, i))
                sum += (uint32_t)p->exp[most - mico_load(x, first + i, p->input)];
        const int64_t part = (int64_t)mico_divide((uint64_t)p->factor << 38, sum);
        for (int32_t i = 0; i < p->length; i++) {
            const int64_t e = is_kept(kept, i) ? p->exp[most - mico_load(x, first + i, p->input)] : 0;
            mico_store(y, first + i, p->output.type, mico_round(e * part, 38 + p->shift, &p->output));
        }
        if (kept != 0) {
            row = row + 1 < p->kept_rows ? row + 1 : 0;
            kept = p->kept + row * p->length;
        }
    }
}
