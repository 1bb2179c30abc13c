#include "mico_embedding.h"

void mico_embedding(const mico_embedding_t *p, const void *x, void *y)
{
    for (int32_t i = 0; i < p->count; i++) {
        int32_t row = mico_load(x, i, p->input);
        row = row < 0 ? 0 : row < p->rows ? row : p->rows - 1;
        const int32_t from = row * p->width, to = i * p->width;
        for (int32_t j = 0; j < p->width; j++) {
            if (p->words)
                mico_store(y, to + j, MICO_S32, p->words[from + j]);
            else
                ((uint8_t *)y)[to + j] = p->bytes[from + j];
        }
    }
}
