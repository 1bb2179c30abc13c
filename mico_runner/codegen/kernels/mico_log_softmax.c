#include "mico_log_softmax.h"

enum { BITS = 24, INTERVAL_BITS = 6, LN2 = 11629080 }; /* LN2 is 2^24 ln 2 */

/* 2^24 ln(sum / 2^24), for a sum of 2^24 or more: its power of two, and a chord between two entries of the table. */
static int64_t logarithm(uint64_t sum, const int32_t *log)
{
    int32_t power = BITS;
    while (sum >> power > 1)
        power++;
    const int32_t behind = (int32_t)((sum << BITS >> power) - (1u << BITS));
    const int32_t *entry = log + (behind >> (BITS - INTERVAL_BITS));
    const int64_t rest = behind & ((1 << (BITS - INTERVAL_BITS)) - 1);
    return (int64_t)(power - BITS) * LN2 + entry[0] + ((entry[1] - entry[0]) * rest >> (BITS - INTERVAL_BITS));
}

void mico_log_softmax(const mico_log_softmax_t *p, const void *x, void *y)
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
        const int64_t all = logarithm(sum, p->log) * p->part;
        for (int32_t i = 0; i < p->length; i++) {
            const int64_t below = mico_load(x, first + i, p->input) - most;
            mico_store(y, first + i, p->output.type, mico_round(below * p->factor - all, p->shift, &p->output));
        }
    }
}
