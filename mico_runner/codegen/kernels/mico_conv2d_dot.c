/* Columns go to the unit's buffer, the weights stream past them: no scratch, no unpacking.
 *
 * The unit takes no instruction while a load, a store or a branch is on its way, so that several loads come before several
 * instructions, with the counting in between. */
#include "mico_conv2d_dot.h"

#include "mico_dot.h"

/* An aligned word that holds at least one byte of the array begin .. end - 1. A machine with sanitizers is given no other byte. */
MICO_INLINE uint32_t word_at(const void *at, const uint8_t *begin, const uint8_t *end)
{
    uint32_t word = 0;
#ifdef MICO_DOT_UNIT
    (void)begin;
    (void)end;
    __asm__ volatile("lw %0, %1" : "=r"(word) : "m"(*(const uint32_t *)at));
#else
    for (uint32_t i = 0; i < 4u; i++) {
        const uint8_t *byte = (const uint8_t *)((uintptr_t)at + i);
        if ((uintptr_t)byte >= (uintptr_t)begin && (uintptr_t)byte < (uintptr_t)end)
            word |= (uint32_t)*byte << 8u * i;
    }
#endif
    return word;
}

/* Keeps the compiler from moving what comes after before what comes before. */
#ifdef MICO_DOT_UNIT
#define MICO_ORDER(value) __asm__ volatile("" : "+r"(value))
#else
#define MICO_ORDER(value) ((void)(value))
#endif

typedef struct {
    const uint8_t *x, *end;
} image;

#define WORD(address) word_at((const void *)(address), x->x, x->end)

/* The words that hold the bytes from `at` (aligned) to `stop`, where the last pair reaches beyond the image. */
static __attribute__((noinline, cold)) void push_end(const image *x, uintptr_t at, uintptr_t stop)
{
    for (; at < stop; at += 8u)
        MICO_DOT_DO(MICO_DOT_PUSH, WORD(at), at + 4u < (uintptr_t)x->end ? WORD(at + 4u) : 0u);
}

/* The words that hold the `count` bytes from address `from` on, at least one, all in the image. */
MICO_INLINE void push_words(const image *x, uintptr_t from, int32_t count)
{
    uintptr_t at = from & ~(uintptr_t)3;
    int32_t left = count + (int32_t)(from & 3u);

    if (__builtin_expect(at + (((uint32_t)left + 7u) & ~7u) > (uintptr_t)x->end, 0)) {
        push_end(x, at, from + (uintptr_t)count);
        return;
    }
    while (__builtin_expect(left > 24, 0)) {
        const uint32_t a = WORD(at), b = WORD(at + 4u), c = WORD(at + 8u), d = WORD(at + 12u);
        const uint32_t e = WORD(at + 16u), f = WORD(at + 20u), g = WORD(at + 24u), h = WORD(at + 28u);
        at += 32u;
        left -= 32;
        MICO_ORDER(at);
        MICO_DOT_DO(MICO_DOT_PUSH, a, b);
        MICO_DOT_DO(MICO_DOT_PUSH, c, d);
        MICO_DOT_DO(MICO_DOT_PUSH, e, f);
        MICO_DOT_DO(MICO_DOT_PUSH, g, h);
    }
    while (__builtin_expect(left > 0, 1)) {
        const uint32_t a = WORD(at), b = WORD(at + 4u);
        at += 8u;
        left -= 8;
        MICO_ORDER(at);
        MICO_ORDER(left);
        MICO_DOT_DO(MICO_DOT_PUSH, a, b);
    }
}

/* How many of the bytes from `left` of a row on lie left of it, and how many in it, of `span`: for CUT. */
MICO_INLINE uint32_t clip(int32_t left, int32_t span, int32_t width, int32_t *real)
{
    const int32_t before = left < 0 ? -left < span ? -left : span : 0, right = left + span;
    const int32_t inside = (right < width ? right : width) - (left + before);
    *real = inside < 0 ? 0 : inside;
    return (uint32_t)before << 10 | (uint32_t)*real << 21;
}

/* Columns first .. last of the tile, whose outputs lie side by side from (oy, ox) on: rows of the image, each for all of them. */
static __attribute__((noinline)) void push_columns(const mico_conv2d_dot_t *p, const image *x, int32_t oy, int32_t ox,
                                                   int32_t first, int32_t last)
{
    const int32_t depth = p->size.in_c, width = p->size.in_w * depth, height = p->size.in_h, dilation = p->size.dilation_h;
    const int32_t run = p->size.kernel_w * depth, step = p->size.stride_w * depth, span = run + (last - first) * step;
    const int32_t left = (ox * p->size.stride_w - p->size.pad_w) * depth, rows = dilation * width;
    const uint32_t zeros = (uint32_t)first << 2 | (uint32_t)last << 6, what = (uint32_t)run | (uint32_t)step << 16;
    int32_t iy = oy * p->size.stride_h - p->size.pad_h, ky = p->size.kernel_h, real;
    const uint32_t where = clip(left, span, width, &real) | zeros;
    uintptr_t from = (uintptr_t)x->x + (uintptr_t)(iy * width + (left < 0 ? 0 : left));

    for (; (iy < 0 || real == 0) && ky > 0; ky--, iy += dilation, from += (uintptr_t)rows)
        MICO_DOT_DO(MICO_DOT_CUT, zeros, what);
    for (; iy < height && ky > 0; ky--, iy += dilation, from += (uintptr_t)rows) {
        const uint32_t row = ((uint32_t)from & 3u) | where;
        push_words(x, from, real);
        MICO_DOT_DO(MICO_DOT_CUT, row, what);
    }
    for (; ky > 0; ky--)
        MICO_DOT_DO(MICO_DOT_CUT, zeros, what);
}

/* One column whose rows do not fit the window or have gaps: pieces of at most MICO_DOT_RUN bytes. */
static __attribute__((noinline, cold)) void push_pieces(const mico_conv2d_dot_t *p, const image *x, int32_t oy, int32_t ox,
                                                  int32_t position)
{
    const int32_t depth = p->size.in_c, width = p->size.in_w * depth, gap = p->size.dilation_w != 1;
    const int32_t runs = gap ? p->size.kernel_w : 1, run = gap ? depth : p->size.kernel_w * depth;
    const uint32_t which = (uint32_t)position << 2 | (uint32_t)position << 6;
    int32_t iy = oy * p->size.stride_h - p->size.pad_h;

    for (int32_t ky = 0; ky < p->size.kernel_h; ky++, iy += p->size.dilation_h) {
        const uintptr_t row = (uintptr_t)x->x + (uintptr_t)(iy * width);
        for (int32_t kx = 0; kx < runs; kx++) {
            int32_t left = (ox * p->size.stride_w - p->size.pad_w + kx * p->size.dilation_w) * depth;
            for (int32_t rest = run; rest > 0; rest -= MICO_DOT_RUN, left += MICO_DOT_RUN) {
                const int32_t piece = rest < MICO_DOT_RUN ? rest : MICO_DOT_RUN;
                const uintptr_t from = row + (uintptr_t)(left < 0 ? 0 : left);
                int32_t real;
                uint32_t where = clip(left, piece, width, &real) | ((uint32_t)from & 3u);
                if (iy < 0 || iy >= p->size.in_h || real == 0)
                    where = 0;
                else
                    push_words(x, from, real);
                MICO_DOT_DO(MICO_DOT_CUT, where | which, piece);
            }
        }
    }
}

/* The tile's columns, from the output at (oy, ox) on. */
static __attribute__((noinline)) void push_tile(const mico_conv2d_dot_t *p, const image *x, int32_t oy, int32_t ox,
                                                int32_t positions)
{
    MICO_DOT_DO(MICO_DOT_TILE, positions, 0);
    for (int32_t first = 0; first < positions;) {
        const int32_t in_row = p->size.out_w - ox, left = positions - first;
        int32_t count = left < in_row ? left : in_row;
        if (p->gathered == 0) {
            push_pieces(p, x, oy, ox, first);
            count = 1;
        } else {
            count = count < p->gathered ? count : p->gathered;
            push_columns(p, x, oy, ox, first, first + count - 1);
        }
        first += count;
        ox += count;
        if (ox == p->size.out_w) {
            ox = 0;
            oy++;
        }
    }
}

/* The constants of channels c .. c + count - 1. */
static __attribute__((noinline, cold)) void send_channels(const mico_weights *w, int32_t c, int32_t count)
{
    const int32_t *bias = w->bias + c, *multiplier = w->multiplier + c;
    const uint8_t *shift = w->shift + c;

    MICO_DOT_DO(MICO_DOT_BLOCK, 0, 0);
    for (; count >= 4; count -= 4) {
        const uint32_t b0 = (uint32_t)bias[0], b1 = (uint32_t)bias[1], b2 = (uint32_t)bias[2], b3 = (uint32_t)bias[3];
        const uint32_t m0 = (uint32_t)multiplier[0], m1 = (uint32_t)multiplier[1];
        const uint32_t m2 = (uint32_t)multiplier[2], m3 = (uint32_t)multiplier[3];
        const uint32_t s0 = shift[0], s1 = shift[1], s2 = shift[2], s3 = shift[3];
        bias += 4;
        multiplier += 4;
        shift += 4;
        MICO_DOT_DO(MICO_DOT_CHANNEL, b0, m0 | s0 << 22);
        MICO_DOT_DO(MICO_DOT_CHANNEL, b1, m1 | s1 << 22);
        MICO_DOT_DO(MICO_DOT_CHANNEL, b2, m2 | s2 << 22);
        MICO_DOT_DO(MICO_DOT_CHANNEL, b3, m3 | s3 << 22);
    }
    for (; count > 0; count--) {
        const uint32_t b = (uint32_t)*bias++, s = *shift++, m = (uint32_t)*multiplier++;
        MICO_DOT_DO(MICO_DOT_CHANNEL, b, m | s << 22);
    }
}

#define LOAD(name, i)                                                                                                  \
    const uint32_t name = word_at(w + (i), (const uint8_t *)w, (const uint8_t *)(w + (i) + 1))

/* The next `words` words of weights past the columns; the unit knows where rows end. */
MICO_INLINE const uint32_t *multiply(const uint32_t *w, int32_t words)
{
    for (; words >= 8; words -= 8) {
        LOAD(a, 0);
        LOAD(b, 1);
        LOAD(c, 2);
        LOAD(d, 3);
        LOAD(e, 4);
        LOAD(f, 5);
        LOAD(g, 6);
        LOAD(h, 7);
        w += 8;
        MICO_ORDER(w);
        MICO_DOT_DO(MICO_DOT_MAC, a, b);
        MICO_DOT_DO(MICO_DOT_MAC, c, d);
        MICO_DOT_DO(MICO_DOT_MAC, e, f);
        MICO_DOT_DO(MICO_DOT_MAC, g, h);
    }
    if (__builtin_expect(words >= 4, 0)) {
        LOAD(a, 0);
        LOAD(b, 1);
        LOAD(c, 2);
        LOAD(d, 3);
        w += 4;
        words -= 4;
        MICO_ORDER(w);
        MICO_DOT_DO(MICO_DOT_MAC, a, b);
        MICO_DOT_DO(MICO_DOT_MAC, c, d);
    }
    for (; __builtin_expect(words > 0, 0); words--) {
        LOAD(a, 0);
        w++;
        MICO_DOT_WITH(MICO_DOT_MAC, MICO_DOT_ONE, a, 0);
    }
    return w;
}

#define RESULT(channel) (int32_t) MICO_DOT(MICO_DOT_RESULT, channel, 0, 0)
#define LAST_RESULT(channel) (int32_t) MICO_DOT(MICO_DOT_RESULT, (channel) + MICO_DOT_NEXT, 0, 0)

/* Four channels at y and at z. */
#define STORE_TWO_POSITIONS                                                                                            \
    {                                                                                                                  \
        const int32_t a = RESULT(0), b = RESULT(1), c = RESULT(2), d = LAST_RESULT(3);                                 \
        const int32_t e = RESULT(0), f = RESULT(1), g = RESULT(2), h = LAST_RESULT(3);                                 \
        y[0] = a;                                                                                                      \
        y[1] = b;                                                                                                      \
        y[2] = c;                                                                                                      \
        y[3] = d;                                                                                                      \
        z[0] = e;                                                                                                      \
        z[1] = f;                                                                                                      \
        z[2] = g;                                                                                                      \
        z[3] = h;                                                                                                      \
        y += two;                                                                                                      \
        MICO_ORDER(y);                                                                                                 \
        z += two;                                                                                                      \
        MICO_ORDER(z);                                                                                                 \
    }

/* `count` channels of a group at `positions` positions `step` elements apart. */
static __attribute__((noinline)) void store_words(void *to, int32_t positions, int32_t step, int32_t count)
{
    const int32_t two = 2 * step;
    int32_t *y = to, *z = y + step;

    if (count == 4) {
        for (; positions >= 4; positions -= 4) {
            STORE_TWO_POSITIONS
            STORE_TWO_POSITIONS
        }
    }
    for (; __builtin_expect(positions > 0, 0); positions--, y += step) {
        const int32_t a = RESULT(0), b = RESULT(1), c = RESULT(2), d = LAST_RESULT(3);
        y[0] = a;
        if (count > 1)
            y[1] = b;
        if (count > 2)
            y[2] = c;
        if (count > 3)
            y[3] = d;
    }
}

/* A loop over the positions, four at a time: STORE writes the bytes of `four` to y. */
#define STORE_ALL(STORE)                                                                                               \
    for (; positions >= 4; positions -= 4) {                                                                           \
        const uint32_t a = RESULT4, b = RESULT4, c = RESULT4, d = RESULT4;                                             \
        STORE(a)                                                                                                       \
        STORE(b)                                                                                                       \
        STORE(c)                                                                                                       \
        STORE(d)                                                                                                       \
    }                                                                                                                  \
    for (; __builtin_expect(positions > 0, 0); positions--) {                                                          \
        const uint32_t a = RESULT4;                                                                                    \
        STORE(a)                                                                                                       \
    }
#define RESULT4 MICO_DOT(MICO_DOT_RESULT4, 0, 0, 0)
#define WHOLE(four)                                                                                                    \
    *(uint32_t *)(void *)y = four;                                                                                     \
    y += step;
#define HALVES(four)                                                                                                   \
    *(uint16_t *)(void *)y = (uint16_t)(four);                                                                         \
    *(uint16_t *)(void *)(y + 2) = (uint16_t)((four) >> 16);                                                           \
    y += step;
#define HALF(four)                                                                                                     \
    *(uint16_t *)(void *)y = (uint16_t)(four);                                                                         \
    y += step;

static __attribute__((noinline)) void store_bytes(void *to, int32_t positions, int32_t step, int32_t count)
{
    uint8_t *y = to;
    const uint32_t alignment = (uint32_t)(uintptr_t)y | (uint32_t)step;

    if (count == 4 && (alignment & 3u) == 0u) {
        STORE_ALL(WHOLE)
        return;
    }
    if (count == 4 && (alignment & 1u) == 0u) {
        STORE_ALL(HALVES)
        return;
    }
    if (count == 2 && (alignment & 1u) == 0u) {
        STORE_ALL(HALF)
        return;
    }
    for (; positions > 0; positions--, y += step) {
        uint32_t four = RESULT4;
        for (int32_t i = 0; i < count; i++, four >>= 8) {
            y[i] = (uint8_t)four;
            MICO_ORDER(four);
        }
    }
}

/* `channels` channels, whose weights are at w, of the tile's positions, to y. While a group is multiplied, the one before is stored. */
static __attribute__((noinline)) void multiply_tile(const mico_conv2d_dot_t *p, const uint32_t *w, int32_t channels,
                                                    int32_t positions, uint8_t *y)
{
    const int32_t words = p->weights.row_words, step = p->size.out_c;
    const int32_t bytes = p->output.type == MICO_S32 ? 16 : 4; /* of a group */
    void (*const store)(void *, int32_t, int32_t, int32_t) = bytes == 16 ? store_words : store_bytes;
    int32_t count = channels < 4 ? channels : 4;

    w = multiply(w, count * words);
    for (channels -= count; channels > 0; channels -= count, y += bytes) {
        count = channels < 4 ? channels : 4;
        w = multiply(w, count * words);
        store(y, positions, step, 4);
    }
    store(y, positions, step, count);
}

void mico_conv2d_dot(const mico_conv2d_dot_t *p, const void *x, void *y)
{
    const uint8_t *const end = (const uint8_t *)x + p->size.in_h * p->size.in_w * p->size.in_c;
    const image source = {x, end};
    const int32_t size = p->size.out_h * p->size.out_w, element = p->output.type == MICO_S32 ? 4 : 1;
    const int32_t one_block = p->size.out_c <= MICO_DOT_CHANNELS;
    uint8_t *to = y;
    int32_t oy = 0, ox = 0;

    MICO_DOT_DO(MICO_DOT_CONFIG, p->modes, (uint32_t)p->weights.taps | (uint32_t)p->column_words << 16);
    MICO_DOT_DO(MICO_DOT_RANGE, p->output.min, p->output.max);
    if (one_block)
        send_channels(&p->weights, 0, p->size.out_c);
    for (int32_t left = size; left > 0; left -= p->positions) {
        const int32_t positions = left < p->positions ? left : p->positions;

        push_tile(p, &source, oy, ox, positions);
        for (int32_t c = 0; c < p->size.out_c; c += MICO_DOT_CHANNELS) {
            const int32_t count = p->size.out_c - c < MICO_DOT_CHANNELS ? p->size.out_c - c : MICO_DOT_CHANNELS;
            if (!one_block)
                send_channels(&p->weights, c, count);
            const uint32_t *const weights = p->weights.words + c * p->weights.row_words;
            multiply_tile(p, weights, count, positions, to + c * element);
        }
        to += positions * p->size.out_c * element;
        for (ox += positions; ox >= p->size.out_w; ox -= p->size.out_w)
            oy++;
    }
}
