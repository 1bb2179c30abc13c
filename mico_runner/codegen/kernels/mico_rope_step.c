#include "mico_rope_step.h"

void mico_rope_step(const mico_rope_step_t *p, const void *x, const void *place, void *y)
{
    const int32_t at = mico_load(place, 0, p->place);
    mico_turn(p, x, 0, at < p->places ? at : p->places - 1, y);
}
