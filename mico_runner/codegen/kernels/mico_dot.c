/* A model of what the dot-product unit computes, without its timing: for machines that have none, and to test the Verilog against. */
#include "mico_dot.h"

#ifdef MICO_DOT_UNIT
typedef int mico_dot_is_in_hardware; /* a translation unit must not be empty */
#else

static struct {
    uint32_t lane, weight; /* bits */
    uint32_t x_signed, x_signs;
    mico_range out;
    uint32_t taps, words, positions;
    int32_t bias[MICO_DOT_CHANNELS];
    uint32_t scale[MICO_DOT_CHANNELS]; /* multiplier | shift << 22 */
    uint32_t next_channel;             /* whose constants come next */
    uint8_t window[MICO_DOT_WINDOW];
    uint32_t window_write, segment;            /* segment: where the bytes of the next cut begin */
    uint32_t tap;                              /* of the next activation of the columns that are being cut */
    uint32_t buffer[MICO_DOT_WORDS];           /* words of the columns alternate */
    uint32_t word, channel;                    /* of the next weights */
    uint32_t accumulators[MICO_DOT_POSITIONS]; /* they wrap, as int32_t that need not */
    int16_t results[2][4][MICO_DOT_POSITIONS]; /* of two groups of four channels */
    uint32_t group_read, position_read;
} unit;

/* A value of `bits` bits as the products see it. */
static int32_t value_of(uint32_t pattern, uint32_t bits, int is_signed)
{
    pattern &= bits == 32u ? ~0u : (1u << bits) - 1u;
    if (is_signed && (pattern >> (bits - 1u) & 1u) != 0u)
        return (int32_t)pattern - (int32_t)(1u << bits);
    return (int32_t)pattern;
}

static void append(uint32_t byte, uint32_t tap, uint32_t position)
{
    const uint32_t pattern = unit.x_signs != 0u ? ~byte >> 1 & 1u : byte & ((1u << unit.lane) - 1u);
    uint32_t *const word = &unit.buffer[(tap * unit.lane / 32u * unit.positions + position) % MICO_DOT_WORDS];
    const uint32_t bit = tap * unit.lane % 32u;

    *word = (bit == 0u ? 0u : *word) | pattern << bit;
}

static void cut(uint32_t a, uint32_t b)
{
    const uint32_t run = b & 0x3ffu, step = b >> 16 & 0x3ffu;
    const uint32_t before = a >> 10 & 0x7ffu, beyond = before + (a >> 21 & 0x7ffu);
    uint32_t begin = 0;

    for (uint32_t p = a >> 2 & 15u; p <= (a >> 6 & 15u); p++, begin += step) {
        for (uint32_t i = begin; i < begin + run; i++) {
            const uint32_t at = unit.segment + (a & 3u) + i - before;
            append(i >= before && i < beyond ? unit.window[at % MICO_DOT_WINDOW] : 0u, unit.tap + i - begin, p);
        }
    }
    unit.segment = unit.window_write;
    unit.tap = unit.tap + run == unit.taps ? 0u : unit.tap + run;
}

/* Products of a word of a column and as many weights. */
static int32_t dot(uint32_t x, uint32_t weights)
{
    int32_t sum = 0;
    for (uint32_t i = 0; i < 32u / unit.lane; i++) {
        int32_t a = value_of(x >> i * unit.lane, unit.lane, unit.x_signed != 0u);
        int32_t w = value_of(weights >> i * unit.weight, unit.weight, 1);
        if (unit.weight == 1u)
            w = w < 0 ? 1 : -1;
        if (unit.x_signs != 0u)
            a = a != 0 ? 1 : -1;
        sum += a * w;
    }
    return sum;
}

static void finish_row(void)
{
    const uint32_t c = unit.channel;
    const int32_t multiplier = (int32_t)(unit.scale[c] & 0x3fffffu), shift = (int32_t)(unit.scale[c] >> 22);

    for (uint32_t p = 0; p < unit.positions; p++)
        unit.results[c / 4u % 2u][c % 4u][p] =
            (int16_t)mico_rescale((int32_t)unit.accumulators[p], multiplier, shift, &unit.out);
    unit.word = 0;
    unit.channel = (c + 1u) % MICO_DOT_CHANNELS;
}

/* A word of weights past all columns; what a row leaves of it is padding. */
static void multiply(uint32_t weights)
{
    for (uint32_t step = 0; step < unit.lane / unit.weight; step++) {
        for (uint32_t p = 0; p < unit.positions; p++) {
            if (unit.word == 0u)
                unit.accumulators[p] = (uint32_t)unit.bias[unit.channel];
            unit.accumulators[p] += (uint32_t)dot(unit.buffer[(unit.word * unit.positions + p) % MICO_DOT_WORDS], weights);
        }
        weights = unit.lane == unit.weight ? 0u : weights >> 32u / unit.lane * unit.weight;
        if (++unit.word == unit.words) {
            finish_row();
            return;
        }
    }
}

static uint32_t next_position(uint32_t result)
{
    if (++unit.position_read == unit.positions) {
        unit.position_read = 0;
        unit.group_read ^= 1u;
    }
    return result;
}

static void begin(void)
{
    unit.word = unit.channel = unit.group_read = unit.position_read = 0;
}

uint32_t mico_dot_model(uint32_t op, uint32_t funct3, uint32_t a, uint32_t b)
{
    int16_t(*const group)[MICO_DOT_POSITIONS] = unit.results[unit.group_read];
    uint32_t result = 0;

    switch (op) {
    case MICO_DOT_CONFIG:
        unit.lane = 1u << (a & 3u);
        unit.weight = 1u << (a >> 2 & 3u);
        unit.x_signed = a >> 4 & 1u;
        unit.x_signs = a >> 5 & 1u;
        unit.out.sign = (int32_t)(a >> 6 & 1u);
        unit.taps = b & 0xffffu;
        unit.words = b >> 16;
        unit.next_channel = 0;
        begin();
        break;
    case MICO_DOT_RANGE:
        unit.out.min = (int32_t)a;
        unit.out.max = (int32_t)b;
        break;
    case MICO_DOT_CHANNEL:
        unit.bias[unit.next_channel] = (int32_t)a;
        unit.scale[unit.next_channel] = b;
        unit.next_channel = (unit.next_channel + 1u) % MICO_DOT_CHANNELS;
        break;
    case MICO_DOT_TILE:
        unit.positions = a;
        unit.tap = 0;
        begin();
        break;
    case MICO_DOT_BLOCK:
        unit.next_channel = 0;
        begin();
        break;
    case MICO_DOT_PUSH:
        for (uint32_t i = 0; i < 4u; i++) {
            unit.window[unit.window_write + i] = (uint8_t)(a >> 8u * i);
            unit.window[unit.window_write + 4u + i] = (uint8_t)(b >> 8u * i);
        }
        unit.window_write = (unit.window_write + 8u) % MICO_DOT_WINDOW;
        break;
    case MICO_DOT_CUT: cut(a, b); break;
    case MICO_DOT_MAC:
        multiply(a);
        if (funct3 != (uint32_t)MICO_DOT_ONE)
            multiply(b);
        break;
    case MICO_DOT_RESULT:
        result = (uint32_t)group[funct3 & 3u][unit.position_read];
        if ((funct3 & (uint32_t)MICO_DOT_NEXT) != 0u)
            next_position(0);
        break;
    case MICO_DOT_RESULT4:
        for (uint32_t i = 0; i < 4u; i++)
            result |= ((uint32_t)group[i][unit.position_read] & 255u) << 8u * i;
        next_position(0);
        break;
    case MICO_DOT_MAX:
        for (uint32_t i = 0; i < 32u; i += 8u) {
            const uint32_t xor_mask = funct3 != 0u ? 0x80u : 0u, x = a >> i & 255u, y = b >> i & 255u;
            result |= ((x ^ xor_mask) > (y ^ xor_mask) ? x : y) << i;
        }
        break;
    default: break;
    }
    return result;
}
#endif
