/* Rows of a table, by numbers. */
#ifndef MICO_EMBEDDING_H
#define MICO_EMBEDDING_H

#include "mico.h"

typedef struct {
    int32_t count, rows, width;
    mico_type input;
    const uint8_t *bytes; /* (rows, width), of outputs of 8 bits; NULL for others */
    const int32_t *words; /* (rows, width), of outputs of 32 bits; NULL for others */
} mico_embedding_t;

/* x (count,) -> y (count, width) */
void mico_embedding(const mico_embedding_t *p, const void *x, void *y);

#endif
