#include "mico_table.h"

void mico_table(const mico_table_t *p, const void *x, void *y)
{
    const int32_t size = p->size, least = p->least, xor_mask = p->input == MICO_S8 ? 0x80 : 0;
    const uint8_t *from = x;

    for (int32_t i = 0; i < size; i++) {
        const int32_t entry = (from[i] ^ xor_mask) - xor_mask - least;
        if (p->bytes)
            ((uint8_t *)y)[i] = p->bytes[entry];
        else
            mico_store(y, i, MICO_S32, p->words[entry]);
    }
}
