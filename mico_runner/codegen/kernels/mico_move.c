#include "mico_move.h"

void mico_move(const mico_move_t *p, const void *x, void *y)
{
    const int32_t count = p->counts[0], to_step = p->to_steps[0], from_step = p->from_steps[0];
    int32_t to = p->to, from = p->from, loop = 0;
    int32_t turns[MICO_LOOPS] = {0};

    for (int32_t i = 0; p->zeros && i < p->size; i++)
        mico_store(y, i, p->output, 0);
    while (loop < MICO_LOOPS) {
        for (int32_t i = 0; i < count; i++)
            mico_store(y, to + i * to_step, p->output, mico_load(x, from + i * from_step, p->input));
        for (loop = 1; loop < MICO_LOOPS; loop++) { /* the next turn of the innermost loop that has one left */
            to += p->to_steps[loop];
            from += p->from_steps[loop];
            if (++turns[loop] < p->counts[loop])
                break;
            to -= p->counts[loop] * p->to_steps[loop];
            from -= p->counts[loop] * p->from_steps[loop];
            turns[loop] = 0;
        }
    }
}
