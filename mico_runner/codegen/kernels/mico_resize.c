#include "mico_resize.h"

void mico_resize(const mico_resize_t *p, const void *x, void *y)
{
    int32_t to = 0;

    for (int32_t h = 0; h < p->out_h; h++) {
        const int32_t *row = p->rows_at + h * p->rows_taps, *row_weight = p->rows_weight + h * p->rows_taps;
        for (int32_t w = 0; w < p->out_w; w++) {
            const int32_t *column = p->columns_at + w * p->columns_taps;
            const int32_t *column_weight = p->columns_weight + w * p->columns_taps;
            for (int32_t c = 0; c < p->channels; c++) {
                int32_t acc = 0;
                for (int32_t i = 0; i < p->rows_taps; i++) {
                    for (int32_t j = 0; j < p->columns_taps; j++) {
                        const int32_t from = (row[i] * p->in_w + column[j]) * p->channels + c;
                        acc += row_weight[i] * column_weight[j] * mico_load(x, from, p->input);
                    }
                }
                mico_store(y, to++, p->output.type, mico_rescale(acc, p->scale.multiplier, p->scale.shift, &p->output));
            }
        }
    }
}
