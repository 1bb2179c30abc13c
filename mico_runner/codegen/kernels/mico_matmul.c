#include "mico_matmul.h"

void mico_matmul(const mico_matmul_t *p, const void *a, const void *b, void *y)
{
    for (int32_t n = 0; n < p->batch; n++) {
        for (int32_t r = 0; r < p->rows; r++) {
            for (int32_t c = 0; c < p->columns; c++) {
                int32_t from_a = n * p->a_batch + r * p->a_row, from_b = n * p->b_batch + c * p->b_column, acc = 0;
                for (int32_t k = 0; k < p->inner; k++) {
                    acc += mico_load(a, from_a, p->input_a) * mico_load(b, from_b, p->input_b);
                    from_a += p->a_inner;
                    from_b += p->b_inner;
                }
                mico_store(y, n * p->y_batch + r * p->y_row + c * p->y_column, p->output.type,
                           mico_rescale(acc, p->scale.multiplier, p->scale.shift, &p->output));
            }
        }
    }
}
