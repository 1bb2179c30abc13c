#include "mico_rope.h"

/* One value with its channel's own factor and term, 18 bits. */
static int64_t before_turning(const mico_rope_t *p, const void *x, int32_t first, int32_t i)
{
    const int64_t acc = mico_load(x, first + i, p->input) * (int64_t)p->read_factor[i] + p->read_term[i];
    return (acc + ((int64_t)1 << (p->read_shift - 1))) >> p->read_shift;
}

void mico_turn(const mico_rope_t *p, const void *x, int32_t at, int32_t place, void *y)
{
    const int32_t half = p->head / 2, first = at * p->width;
    const int32_t *cosine = p->cosine + place * half, *sine = p->sine + place * half;

    for (int32_t i = 0, pair = 0; i < p->width; i += 2) {
        const int64_t a = before_turning(p, x, first, i), b = before_turning(p, x, first, i + 1);
        const int64_t cos = cosine[pair], sin = sine[pair];
        const int64_t u = (a * cos - b * sin) * p->factor[i] + p->term[i];
        const int64_t v = (a * sin + b * cos) * p->factor[i + 1] + p->term[i + 1];
        mico_store(y, first + i, p->output.type, mico_round(u, p->shift, &p->output));
        mico_store(y, first + i + 1, p->output.type, mico_round(v, p->shift, &p->output));
        pair = pair + 1 < half ? pair + 1 : 0;
    }
}

void mico_rope(const mico_rope_t *p, const void *x, void *y)
{
    for (int32_t t = 0; t < p->tokens; t++)
        mico_turn(p, x, t, t, y);
}
