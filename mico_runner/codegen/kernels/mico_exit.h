/* Networks that end early: whether the scores so far are sure enough, as mico_runner/quant/qgraph.py defines it. */
#ifndef MICO_EXIT_H
#define MICO_EXIT_H

#include "mico.h"

/* Called before the calls of stage i, those up to exit i: where a program of yours sets the clock of the stage. */
#ifdef MICO_CLOCKS
void mico_stage_hook(int32_t stage);
#define MICO_STAGE_HOOK(i) mico_stage_hook(i)
#else
#define MICO_STAGE_HOOK(i) ((void)0)
#endif

/* Layers that an exit leaves out take no time. */
#ifdef MICO_TIMING
#define MICO_SKIPPED_HOOKS(from, end)               \
    do {                                            \
        for (int i = (from); i <= (end); i++)       \
            MICO_LAYER_HOOK(i);                     \
    } while (0)
#else
#define MICO_SKIPPED_HOOKS(from, end) ((void)0)
#endif

/* 1 where the largest of scores[count] exceeds the second largest by `margin` or more; |scores| < 2^30, count >= 2. */
static inline int32_t mico_is_sure(const int32_t *scores, int32_t count, int32_t margin)
{
    int32_t first = scores[0], second = scores[1];
    if (second > first) {
        first = scores[1];
        second = scores[0];
    }
    for (int32_t i = 2; i < count; i++) {
        const int32_t score = scores[i];
        if (score > first) {
            second = first;
            first = score;
        } else if (score > second) {
            second = score;
        }
    }
    return first - second >= margin;
}

#endif
