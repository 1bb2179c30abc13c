#include "mico_layer_norm.h"

#include "mico_divide.h"

void mico_layer_norm(const mico_layer_norm_t *p, const void *x, void *y)
{
    const int32_t n = p->length, one = (int32_t)1 << p->mean_bits;

    for (int32_t r = 0; r < p->rows; r++) {
        const int32_t first = r * n;
        int64_t sum = 0;
        int32_t mean, up = 0;
        uint64_t d = 0;

        for (int32_t i = 0; i < n && p->centred; i++)
            sum += mico_load(x, first + i, p->input);
        mean = (int32_t)mico_divide((uint64_t)(sum < 0 ? -sum : sum) << p->mean_bits, (uint64_t)n);
        mean = sum < 0 ? -mean : mean;
        for (int32_t i = 0; i < n; i++) {
            const int64_t c = ((int64_t)mico_load(x, first + i, p->input) * one) - mean;
            d += (uint64_t)(c * c);
        }
        d = mico_divide(d, (uint64_t)n) + (uint64_t)*p->eps;
        while (d > 0 && d < (uint64_t)1 << 58) { /* to 59 or 60 bits */
            d <<= 2;
            up++;
        }
        const uint64_t inverse = d > 0 ? mico_divide((uint64_t)1 << 61, mico_root(d)) : 0; /* 32 or 33 bits */
        for (int32_t i = 0; i < n; i++) {
            const int64_t c = ((int64_t)mico_load(x, first + i, p->input) * one) - mean;
            const uint64_t size = (uint64_t)(c < 0 ? -c : c) << up >> 9;
            const int64_t t = (int64_t)(size * inverse >> 36);
            mico_store(y, first + i, p->output.type,
                       mico_round((c < 0 ? -t : t) * p->factor[i] + p->term[i], p->shift, &p->output));
        }
    }
}
