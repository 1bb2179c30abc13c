/* Inner products of low-bit integers several at a time: what the tiled kernels share.
 *
 * An activation x and a weight w are written with unsigned codes: x = sx * c - ox, w = sw * u - ow. Then
 *     sum(x * w) = sx * (sw * D - ow * S) - ox * sum(w),    D = sum(c * u), S = sum(c),
 * where S is counted once per patch (the taps under one output position) and the last term is in the bias.
 * A *scheme* is a way to compute D from words that hold several codes; one file each: mico_bytes.c, mico_lanes.c, mico_bits.c. */
#ifndef MICO_TILE_H
#define MICO_TILE_H

#include "mico.h"

enum {
    MICO_TILE_POSITIONS = 4, /* of the wide tile, which has two output channels */
    MICO_TILE_OUTPUTS = 4,   /* of the narrow tile, which has one position */
    MICO_TILE_SIZE = 8
};

/* From codes as bytes to the words of a patch. Words of `positions` patches alternate; `patch` points to the first of this one.
 * codes: uint32_t (words,), four codes each. Returns S. */
typedef uint32_t mico_pack(const uint32_t *codes, int32_t words, int32_t positions, uint32_t *patch);

/* d[output][position] = D of consecutive rows of weights, uint32_t (row_words,) each, with the patches. */
typedef void mico_tile(const uint32_t *patch, const uint32_t *rows, int32_t row_words, uint32_t *d);

typedef struct {
    int32_t taps;        /* weights per word */
    int32_t patch_words; /* words of one patch per word of weights */
    uint32_t scale, offset; /* sw, ow */
    mico_pack *pack;
    mico_tile *wide, *narrow;
} mico_scheme;

/* Bits of activations x weights: 8 x 8; 16-bit lanes up to 8 x 1, 8 x 2, 8 x 4, 4 x 8; 8-bit lanes up to 4 x 1, 4 x 2, 2 x 4,
 * 2 x 1, 2 x 2; single bits 1 x 1. */
extern const mico_scheme mico_bytes;
extern const mico_scheme mico_lanes16_1, mico_lanes16_2, mico_lanes16_4, mico_lanes16_8;
extern const mico_scheme mico_lanes8_4x1, mico_lanes8_4x2, mico_lanes8_2x4, mico_lanes8_2x1, mico_lanes8_2x2;
extern const mico_scheme mico_bits;

#endif
