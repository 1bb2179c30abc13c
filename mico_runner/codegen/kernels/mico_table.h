/* A function of one value, looked up. */
#ifndef MICO_TABLE_H
#define MICO_TABLE_H

#include "mico.h"

typedef struct {
    int32_t size;
    mico_type input; /* a byte */
    int32_t least;   /* integer of the first entry */
    const uint8_t *bytes; /* entries of an output of bytes, signed or not */
    const int32_t *words; /* those of an output of words */
} mico_table_t;

/* x (size,) -> y (size,) */
void mico_table(const mico_table_t *p, const void *x, void *y);

#endif
