#include "mico_log_mel.h"

static int32_t sample(const mico_log_mel_t *p, const void *x, int32_t i)
{
    if (p->input != MICO_S16)
        return mico_load(x, i, p->input);
    int16_t value;
    __builtin_memcpy(&value, (const uint8_t *)x + (int32_t)sizeof value * i, sizeof value);
    return value;
}

/* Cosine and sine of an angle of k / size turns, k <= size / 2. */
typedef struct {
    int64_t cos, sin;
} direction;

static direction turned(const mico_log_mel_t *p, int32_t k)
{
    const int32_t quarter = p->size / 4;
    const direction d = {k <= quarter ? p->cosine[k] : -p->cosine[2 * quarter - k],
                         p->cosine[k <= quarter ? quarter - k : k - quarter]};
    return d;
}

/* A value with 30 bits behind the point, halved. */
static int32_t halved(int64_t value)
{
    return (int32_t)((value + ((int64_t)1 << 30)) >> 31);
}

/* Samples times the window, pairs of them as complex numbers z (size / 2, 2), in the order of their number's bits reversed. */
static void load(const mico_log_mel_t *p, const void *x, int32_t first, int32_t *z)
{
    const int32_t count = p->size / 2;

    for (int32_t i = 0, to = 0; i < count; i++) {
        for (int32_t part = 0; part < 2; part++) {
            const int32_t n = 2 * i + part;
            int64_t v = 0;
            if (n < p->frame)
                v = (int64_t)sample(p, x, first + n) * p->window[2 * n <= p->frame ? n : p->frame - n];
            z[2 * to + part] = (int32_t)((v + (1 << 14)) >> 15);
        }
        int32_t bit = count / 2; /* counts `to` up from its highest bit */
        for (; to & bit; bit >>= 1)
            to ^= bit;
        to |= bit;
    }
}

/* The transform of z, divided by its length: each step halves, so that nothing overflows. */
static void transform(const mico_log_mel_t *p, int32_t *z)
{
    const int32_t count = p->size / 2;

    for (int32_t width = 1; width < count; width *= 2) {
        for (int32_t j = 0; j < width; j++) {
            const direction w = turned(p, j * (count / width));
            for (int32_t i = j; i < count; i += 2 * width) {
                int32_t *a = z + 2 * i, *b = a + 2 * width;
                const int64_t re = b[0] * w.cos + b[1] * w.sin, im = b[1] * w.cos - b[0] * w.sin;
                const int64_t ar = (int64_t)a[0] * (1 << 30), ai = (int64_t)a[1] * (1 << 30);
                a[0] = halved(ar + re);
                a[1] = halved(ai + im);
                b[0] = halved(ar - re);
                b[1] = halved(ai - im);
            }
        }
    }
}

/* The power of frequency k of the real samples, 0 < k < size / 2, whose even ones are the real parts of what was transformed to z. */
static uint64_t power(const mico_log_mel_t *p, const int32_t *z, int32_t k)
{
    const direction w = turned(p, k);
    const int32_t *a = z + 2 * k, *b = z + p->size - 2 * k;
    const int64_t dr = (int64_t)a[0] - b[0], si = (int64_t)a[1] + b[1];
    const int64_t re = halved(((int64_t)a[0] + b[0]) * (1 << 30) + w.cos * si - w.sin * dr);
    const int64_t im = halved(((int64_t)a[1] - b[1]) * (1 << 30) - w.cos * dr - w.sin * si);

    return (uint64_t)(re * re + im * im + (1 << 13)) >> 14;
}

/* To base 2, of 1 .. 2^63 - 1, 24 bits behind the point. */
static int32_t logarithm(const mico_log_mel_t *p, uint64_t value)
{
    int32_t place = 62;

    for (int32_t by = 32; by > 0; by /= 2) {
        if (value < (uint64_t)1 << (63 - by)) {
            value <<= by;
            place -= by;
        }
    }
    const int32_t *step = p->logarithm + (value >> 56 & 63);
    const int64_t fraction = (int64_t)(value >> 40 & 0xffff);
    return place * (1 << 24) + step[0] + (int32_t)(((step[1] - step[0]) * fraction + (1 << 15)) >> 16);
}

void mico_log_mel(const mico_log_mel_t *p, const void *x, void *y, uint32_t *scratch)
{
    int32_t *z = (int32_t *)scratch, to = 0;

    for (int32_t frame = 0; frame < p->frames; frame++) {
        const uint16_t *weight = p->rise;
        uint64_t energy = 0; /* of the band that falls, as far as it has risen */
        load(p, x, frame * p->hop, z);
        transform(p, z);
        for (int32_t band = 0; band <= p->bands; band++) {
            uint64_t rises = 0;
            for (int32_t k = p->edge[band]; k < p->edge[band + 1]; k++, weight++) {
                const uint64_t found = power(p, z, k);
                rises += found * *weight;
                energy += found * (65536u - *weight);
            }
            if (band > 0) {
                const int32_t above = logarithm(p, energy + (uint64_t)*p->floor) - p->silence;
                mico_store(y, to++, p->output.type, mico_rescale(above, p->scale.multiplier, p->scale.shift, &p->output));
            }
            energy = rises;
        }
    }
}
