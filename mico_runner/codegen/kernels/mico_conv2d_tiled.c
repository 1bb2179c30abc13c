#include "mico_conv2d_tiled.h"

/* Copy n bytes, words where the addresses allow. Returns the end of the target. */
static uint8_t *copy(uint8_t *to, const uint8_t *from, int32_t n)
{
    if ((((uintptr_t)to | (uintptr_t)from) & 3u) == 0u) {
        for (; n >= 4; n -= 4, to += 4, from += 4)
            *(uint32_t *)(void *)to = *(const uint32_t *)(const void *)from;
    }
    for (; n > 0; n--)
        *to++ = *from++;
    return to;
}

static uint8_t *zeros(uint8_t *to, int32_t n)
{
    for (; n > 0; n--)
        *to++ = 0;
    return to;
}

/* The taps under the output at (oy, ox), zeros outside the input. */
static void gather(const mico_conv2d_tiled_t *p, const uint8_t *x, int32_t oy, int32_t ox, uint8_t *to)
{
    const int32_t left = ox * p->stride_w - p->pad_w;
    const int32_t run = p->kernel_w * p->in_c;
    const int inside = left >= 0 && left + p->kernel_w <= p->in_w && p->dilation_w == 1;

    for (int32_t ky = 0; ky < p->kernel_h; ky++) {
        const int32_t iy = oy * p->stride_h - p->pad_h + ky * p->dilation_h;
        if (iy < 0 || iy >= p->in_h) {
            to = zeros(to, run);
            continue;
        }
        const uint8_t *row = x + iy * p->in_w * p->in_c;
        if (inside) {
            to = copy(to, row + left * p->in_c, run);
            continue;
        }
        for (int32_t kx = 0; kx < p->kernel_w; kx++) {
            const int32_t ix = left + kx * p->dilation_w;
            to = ix < 0 || ix >= p->in_w ? zeros(to, p->in_c) : copy(to, row + ix * p->in_c, p->in_c);
        }
    }
}

/* Bytes as they are stored to codes; in place where the activations are signed. */
static const uint32_t *encode(const mico_conv2d_tiled_t *p, const uint32_t *bytes, uint32_t *row, int32_t words)
{
    if (p->flip == 0u)
        return bytes;
    for (int32_t i = 0; i < words; i++) {
        const uint32_t codes = (bytes[i] ^ p->flip) - p->less;
        row[i] = p->half ? codes >> 1 & 0x01010101u : codes;
    }
    return row;
}

/* Accumulators d (outputs, positions) of channels from `o` on to the output's integers, at y (positions, out_c). */
static void store_tile(const mico_conv2d_tiled_t *p, int32_t o, int32_t outputs, int32_t positions, const uint32_t *d,
                       const uint32_t *terms, uint8_t *y, int32_t first)
{
    const mico_weights *w = &p->weights;
    const mico_range range = p->output;
    const uint32_t scale = p->scheme->scale << p->half;
    uint8_t *to = y + first * p->out_c;

    for (int32_t c = o; c < o + outputs; c++) {
        const uint32_t bias = (uint32_t)w->bias[c];
        const int32_t shift = w->shift[c];
        if (shift >= 24 && !range.sign && range.type != MICO_S32) {
            /* multiplier < 2^22: 9 more bits fit, and the shift is of the product's high word alone; see mico_round */
            const int32_t multiplier = w->multiplier[c] << 9;
            const int32_t round = 1 << (shift - 24);
            for (int32_t t = 0; t < positions; t++) {
                const int32_t acc = (int32_t)(bias + scale * *d++ - terms[t]);
                int32_t r = ((int32_t)((int64_t)acc * multiplier >> 32) + round) >> (shift - 23);
                r = r < range.min ? range.min : r;
                r = r > range.max ? range.max : r;
                to[t * p->out_c + c] = (uint8_t)r;
            }
        } else {
            for (int32_t t = 0; t < positions; t++) {
                const int32_t acc = (int32_t)(bias + scale * *d++ - terms[t]);
                mico_store(y, (first + t) * p->out_c + c, range.type,
                           mico_rescale(acc, w->multiplier[c], shift, &range));
            }
        }
    }
}

void mico_conv2d_tiled(const mico_conv2d_tiled_t *p, const void *x, void *y, uint32_t *scratch)
{
    const mico_scheme *s = p->scheme;
    const int32_t row_words = p->weights.row_words;
    const int32_t code_words = row_words * s->taps / 4; /* of one patch as bytes, with the last word's padding */
    const int32_t size = p->out_h * p->out_w;
    const int32_t positions = size >= MICO_TILE_POSITIONS ? MICO_TILE_POSITIONS : 1;
    const int32_t outputs = MICO_TILE_SIZE / 2 / (positions == 1 ? 1 : 2);
    mico_tile *const tile = positions == 1 ? s->narrow : s->wide;
    uint32_t *const row = scratch, *const patch = scratch + code_words;
    /* A patch that lies in x in one piece, in whole words, is not copied. */
    const int in_place = p->kernel_h * p->kernel_w == 1 && p->pad_h + p->pad_w == 0 && p->in_c == code_words * 4 &&
                         ((uintptr_t)x & 3u) == 0u;
    const uint32_t offset = s->offset << p->half;

    for (int32_t i = p->weights.taps / 4; i < code_words; i++)
        row[i] = 0; /* the padding, which `gather` never writes; signed codes write it anew */
    for (int32_t begin = 0; begin < size; begin += positions) {
        /* The last tile may overlap the one before: it writes the same values once more. */
        const int32_t first = begin + positions > size ? size - positions : begin;
        uint32_t terms[MICO_TILE_POSITIONS], d[MICO_TILE_SIZE];
        int32_t oy = first / p->out_w, ox = first % p->out_w;

        for (int32_t t = 0; t < positions; t++) {
            const uint32_t *bytes = row;
            if (in_place) {
                bytes = (const uint32_t *)x + (oy * p->stride_h * p->in_w + ox * p->stride_w) * code_words;
            } else {
                if (p->flip != 0u)
                    for (int32_t i = p->weights.taps / 4; i < code_words; i++)
                        row[i] = 0;
                gather(p, x, oy, ox, (uint8_t *)row);
            }
            terms[t] = offset * s->pack(encode(p, bytes, row, code_words), code_words, positions, patch + t);
            if (++ox == p->out_w) {
                ox = 0;
                oy++;
            }
        }
        for (int32_t o = 0; o < p->out_c; o += outputs) {
            const int32_t c = o + outputs > p->out_c ? p->out_c - outputs : o;
            tile(patch, p->weights.words + c * row_words, row_words, d);
            store_tile(p, c, outputs, positions, d, terms, y, first);
        }
    }
}
