/* What the dot-product unit computes, without its timing: for machines that have none, and to test the Verilog against. */
#include "mico_dot.h"

#ifdef __riscv
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
    uint32_t skip, run, run_left, run_skip, run_step;
    uint32_t tap, position;                    /* of the next activation */
    uint32_t buffer[MICO_DOT_WORDS];           /* words of the patches alternate */
    uint32_t word, channel;                    /* of the next weights */
    uint32_t accumulators[MICO_DOT_POSITIONS]; /* they wrap, as int32_t that need not */
    int16_t results[2][4][MICO_DOT_POSITIONS]; /* of two groups of four channels */
    uint32_t group_read, position_read;
} unit;

/* A value of `bits` bits as the products see it. */
static int32_t value_of(uint32_t code, uint32_t bits, int is_signed)
{
    code &= bits == 32u ? ~0u : (1u << bits) - 1u;
    if (is_signed && (code >> (bits - 1u) & 1u) != 0u)
        return (int32_t)code - (int32_t)(1u << bits);
    return (int32_t)code;
}

static void push_activation(uint32_t byte)
{
    const uint32_t code = unit.x_signs != 0u ? ~byte >> 1 & 1u : byte & ((1u << unit.lane) - 1u);
    const uint32_t at = unit.tap * unit.lane / 32u * unit.positions + unit.position;
    const uint32_t bit = unit.tap * unit.lane % 32u;

    unit.buffer[at % MICO_DOT_WORDS] = (bit == 0u ? 0u : unit.buffer[at % MICO_DOT_WORDS]) | code << bit;
    if (++unit.tap == unit.taps) {
        unit.tap = 0;
        unit.position = (unit.position + 1u) % MICO_DOT_POSITIONS;
    }
}

static void push(uint32_t word)
{
    for (uint32_t i = unit.skip; i < 4u; i++) {
        push_activation(word >> 8u * i & 255u);
        if (--unit.run_left == 0u) {
            unit.skip = unit.run_skip;
            unit.run_skip = (unit.run_skip + unit.run_step) % 4u;
            unit.run_left = unit.run;
            return;
        }
    }
    unit.skip = 0;
}

/* Products of a word of a patch and as many weights. */
static int32_t dot(uint32_t x, uint64_t weights)
{
    int32_t sum = 0;
    for (uint32_t i = 0; i < 32u / unit.lane; i++) {
        int32_t a = value_of(x >> i * unit.lane, unit.lane, unit.x_signed != 0u);
        int32_t w = value_of((uint32_t)(weights >> i * unit.weight), unit.weight, 1);
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

static void multiply(uint64_t weights)
{
    for (uint32_t step = 0; step < 2u * unit.lane / unit.weight; step++) {
        for (uint32_t p = 0; p < unit.positions; p++) {
            if (unit.word == 0u)
                unit.accumulators[p] = (uint32_t)unit.bias[unit.channel];
            unit.accumulators[p] += (uint32_t)dot(unit.buffer[(unit.word * unit.positions + p) % MICO_DOT_WORDS], weights);
        }
        weights >>= 32u / unit.lane * unit.weight;
        if (++unit.word == unit.words) {
            finish_row();
            return; /* the other weights are padding */
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
        unit.tap = unit.position = 0;
        begin();
        break;
    case MICO_DOT_BLOCK:
        unit.next_channel = 0;
        begin();
        break;
    case MICO_DOT_RUN:
        unit.run = unit.run_left = b & 0xffffu;
        unit.run_step = b >> 16 & 3u;
        unit.skip = a & 3u;
        unit.run_skip = (unit.skip + unit.run_step) % 4u;
        break;
    case MICO_DOT_PUSH: {
        const uint32_t fits = 4u - unit.skip;
        const int more = unit.run_left > fits; /* else the second word is not looked at */
        push(a);
        if (more)
            push(b);
        break;
    }
    case MICO_DOT_MAC: multiply(a | (uint64_t)b << 32); break;
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
    default: break;
    }
    return result;
}
#endif
