#include "mico_linear.h"

void mico_linear(const mico_linear_t *p, const void *x, void *y, int8_t *row)
{
    const uint8_t *bytes = x; /* offsets only: mico_dot reads with the right sign */
    const mico_weights *w = &p->weights;

    for (int32_t o = 0; o < p->outputs; o++) {
        mico_unpack(w, o, row);
        for (int32_t t = 0; t < p->rows; t++) {
            const int32_t acc = w->bias[o] + mico_dot(bytes + t * p->inputs, p->input, row, p->inputs);
            mico_store(y, t * p->outputs + o, p->output.type,
                       mico_rescale(acc, w->multiplier[o], w->shift[o], &p->output));
        }
    }
}
