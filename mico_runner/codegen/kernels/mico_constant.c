#include "mico_constant.h"

void mico_constant(const mico_constant_t *p, void *y)
{
    for (int32_t i = 0; i < p->size; i++) {
        if (p->bytes)
            ((uint8_t *)y)[i] = p->bytes[i];
        else
            mico_store(y, i, MICO_S32, p->words[i]);
    }
}
