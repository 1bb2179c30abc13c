/* The window, which max_pool2d and avg_pool2d share. */
#ifndef MICO_POOL_H
#define MICO_POOL_H

#include "mico.h"

typedef struct {
    int32_t in_h, in_w, channels;
    int32_t out_h, out_w;
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w;
    int32_t pad_h, pad_w;
} mico_window;

/* The part of an axis that output `o` covers inside the input: [*begin, *end). */
static inline void mico_span(int32_t o, int32_t stride, int32_t pad, int32_t kernel, int32_t size, int32_t *begin,
                             int32_t *end)
{
    const int32_t start = o * stride - pad;
    *begin = start > 0 ? start : 0;
    *end = start + kernel < size ? start + kernel : size;
}

#endif
