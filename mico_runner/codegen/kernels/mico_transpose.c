#include "mico_transpose.h"

void mico_transpose(const mico_transpose_t *p, const void *x, void *y)
{
    for (int32_t r = 0; r < p->rows; r++) {
        for (int32_t c = 0; c < p->columns; c++)
            mico_store(y, c * p->rows + r, p->output, mico_load(x, r * p->columns + c, p->input));
    }
}
