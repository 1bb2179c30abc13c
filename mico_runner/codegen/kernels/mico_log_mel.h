/* Frames of sound: the logarithms of their energy in bands of the mel scale. */
#ifndef MICO_LOG_MEL_H
#define MICO_LOG_MEL_H

#include "mico.h"

typedef struct {
    int32_t frames, frame, hop; /* a frame has `frame` samples and begins `hop` behind the one before */
    int32_t size;               /* of the transform: a power of two, frame <= size */
    int32_t bands;
    mico_type input;
    int32_t silence; /* logarithm of `floor` */
    mico_scale scale;
    mico_range output;
    const int32_t *window;    /* (frame / 2 + 1,): the first half of a symmetrical window, 30 bits behind the point */
    const int32_t *cosine;    /* (size / 4 + 1,): of a quarter turn, 30 bits behind the point */
    const uint16_t *edge;     /* (bands + 2,): band i rises from edge[i] and falls from edge[i + 1] to edge[i + 2] - 1 */
    const uint16_t *rise;     /* weights of the frequencies from edge[0] on in the band that rises, 16 bits behind the point */
    const int32_t *logarithm; /* (65,): log2(1 + i / 64), 24 bits behind the point */
    const int64_t *floor;     /* (1,), added to each energy */
} mico_log_mel_t;

/* x (samples,) -> y (frames, bands); scratch (size,) */
void mico_log_mel(const mico_log_mel_t *p, const void *x, void *y, uint32_t *scratch);

#endif
