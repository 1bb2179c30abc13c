#include "mico_pick.h"

void mico_pick(const mico_pick_t *p, const void *x, void *y)
{
    for (int32_t i = 0; i < p->size; i++) {
        const int32_t from = p->index[i];
        mico_store(y, i, p->output, from < 0 ? 0 : mico_load(x, from, p->input));
    }
}
