#include "mico_layer_norm.h"

enum { FRACTION = 16 }; /* bits behind the point of a normalised value */

/* floor(sqrt(d)), d < 2^62: from above by Newton's method, which falls until it is there. */
static int64_t root(int64_t d)
{
    int64_t r = (int64_t)1 << 31;

    for (;;) {
        const int64_t next = (r + d / r) >> 1;
        if (next >= r)
            return r;
        r = next;
    }
}

void mico_layer_norm(const mico_layer_norm_t *p, const void *x, void *y)
{
    const int32_t n = p->length;

    for (int32_t r = 0; r < p->rows; r++) {
        const int32_t first = r * n;
        int32_t sum = 0, up = 0;
        int64_t d = 0;

        for (int32_t i = 0; i < n && p->centred; i++)
            sum += mico_load(x, first + i, p->input);
        for (int32_t i = 0; i < n; i++) {
            const int64_t c = (int64_t)n * mico_load(x, first + i, p->input) - sum;
            d += c * c;
        }
        d = d / n + *p->eps;
        while (d > 0 && d < (int64_t)1 << 58) { /* to 59 or 60 bits */
            d <<= 2;
            up++;
        }
        const int64_t deep = d > 0 ? root(d) : 1;
        for (int32_t i = 0; i < n; i++) {
            const int64_t c = (int64_t)n * mico_load(x, first + i, p->input) - sum;
            const int64_t t = (c < 0 ? -((-c << (up + FRACTION)) / deep) : (c << (up + FRACTION)) / deep);
            mico_store(y, first + i, p->output.type, mico_round(t * p->factor[i] + p->term[i], p->shift, &p->output));
        }
    }
}
