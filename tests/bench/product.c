/* A matrix product by one micro-kernel, without requantisation: case.h holds the operands.
 * Output, in words: cycles of packing activations, cycles of the product with all unpacking of weights, then the sums of the first
 * tile's channels x positions, of the second, ... */
#include "case.h"

#include "micro_kernel.c"

#include "board.h"

void *memset(void *to, int value, unsigned n);
int main(void);

void *memset(void *to, int value, unsigned n)
{
    uint8_t *t = to;
    while (n--)
        *t++ = (uint8_t)value;
    return to;
}

static uint32_t scratch[SCRATCH_WORDS];
static uint32_t sums[M * N];

/* sums of one tile, (N, TILE) */
static __attribute__((noinline)) void product(const uint32_t *terms, uint32_t *d)
{
#ifdef BITS_OF_TABLES
    enum { SIDES = 16, TABLES = 16 };
    static uint32_t tables[2 * SIDES * TABLES];
    const int32_t groups = CODE_WORDS * BITS_OF_TABLES;
    for (int32_t g = 0; g < groups; g += TABLES) {
        const int32_t count = groups - g < TABLES ? groups - g : TABLES;
        build(tables, scratch + (TILE == MICO_MOST ? 2 : 4 / BITS_OF_TABLES) * g, count);
        sums_of(tables, rows + g / 8, ROW_WORDS, N, count, g == 0 ? terms : d, g == 0 ? 0 : TILE, d);
    }
#else
    for (int32_t o = 0; o < N; o += 2)
        block(scratch, rows + o * ROW_WORDS, ROW_WORDS, CODE_WORDS, terms, d + o * TILE, scratch + 4 * CODE_WORDS);
#endif
}

int main(void)
{
    const mico_conv2d_tiled_t p = {.size = {.in_h = M, .in_w = 1, .in_c = 4 * CODE_WORDS, .out_h = M, .out_w = 1, .out_c = N,
                                            .kernel_h = 1, .kernel_w = 1, .stride_h = 1, .stride_w = 1,
                                            .dilation_h = 1, .dilation_w = 1},
                                   .value_words = CODE_WORDS, .zero_copy = 1,
                                   .weights = {.row_words = ROW_WORDS, .taps = 4 * CODE_WORDS}};
    uint32_t packing = 0, products = 0, terms[TILE];

    for (int round = 0; round < 2; round++) { /* the second one finds its code in the cache, as any tile but the first does */
        packing = products = 0;
        for (int32_t m = 0; m < M; m += TILE) {
            const uint32_t begin = BOARD_CLOCK;
            mico_prepare(&p, (const uint8_t *)values, m, 0, scratch, terms, kernel);
            const uint32_t packed = BOARD_CLOCK;
            product(terms, sums + m * N);
            const uint32_t end = BOARD_CLOCK;
            packing += packed - begin;
            products += end - packed;
        }
    }
    board_put(packing);
    board_put(products);
    for (int32_t i = 0; i < M * N; i++)
        board_put(sums[i]);
    return 0;
}
