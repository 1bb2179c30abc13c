/* The dot-product unit (docs/design/dot_unit.md): one custom instruction, whose funct7 says what to do.
 *
 * Without MICO_DOT_UNIT the same calls go to a model of it, mico_dot.c. The unit has a state: kernels that use it must not
 * interrupt each other. */
#ifndef MICO_DOT_H
#define MICO_DOT_H

#include "mico.h"

enum {
    MICO_DOT_CONFIG,  /* a: lane | weight << 2 | signed << 4 | signs << 5 | output sign << 6; b: taps | words << 16 */
    MICO_DOT_RANGE,   /* a, b: least and greatest output */
    MICO_DOT_CHANNEL, /* the next channel's a: bias, b: multiplier | shift << 22 */
    MICO_DOT_TILE,    /* begin a tile of `a` columns */
    MICO_DOT_BLOCK,   /* begin again with the first channel, whose constants follow */
    MICO_DOT_PUSH,    /* a, b: two aligned words of the input, into the window */
    MICO_DOT_CUT,     /* append bytes of the window to columns first .. last: run to each, from step bytes further on to the next.
                         a: offset | first << 2 | last << 6 | before << 10 | real << 21; b: run | step << 16
                         Counted from the first column's first, `before` bytes are zeros, then come `real` bytes of the window, which
                         begin at `offset` of the word pushed first, then zeros again. */
    MICO_DOT_MAC,     /* a, b: the next 64 bits of weights; funct3 1: a alone */
    MICO_DOT_RESULT,  /* a channel of the group's four (funct3 & 3), one column; funct3 & 4: then go to the next column */
    MICO_DOT_RESULT4, /* the low bytes of the group's four channels; then go to the next column */
    MICO_DOT_MAX      /* the greater byte of a and b, four times; funct3 1: they are signed */
};

enum {
    MICO_DOT_POSITIONS = 16, /* most columns in a tile */
    MICO_DOT_WORDS = 1024,   /* of all its columns */
    MICO_DOT_CHANNELS = 256, /* whose constants fit at a time */
    MICO_DOT_WINDOW = 4096,  /* bytes: a ring */
    MICO_DOT_RUN = 1016,     /* most bytes of one cut to one column */
    MICO_DOT_SEGMENT = 2040, /* bytes for one cut, wherever they begin in a word: two such fit the window, one cut, one pushed */
    MICO_DOT_ONE = 1,        /* funct3 of MAC */
    MICO_DOT_NEXT = 4        /* funct3 of RESULT */
};

#ifdef MICO_DOT_UNIT
#define MICO_DOT(op, funct3, a, b)                                                                                     \
    __extension__({                                                                                                    \
        uint32_t mico_dot_result;                                                                                      \
        __asm__ volatile(".insn r CUSTOM_0, %3, %4, %0, %1, %2"                                                        \
                         : "=r"(mico_dot_result)                                                                       \
                         : "r"((uint32_t)(a)), "r"((uint32_t)(b)), "i"(funct3), "i"(op));                              \
        mico_dot_result;                                                                                               \
    })
#define MICO_DOT_DO(op, a, b) MICO_DOT_WITH(op, 0, a, b)
#define MICO_DOT_WITH(op, funct3, a, b)                                                                                \
    __asm__ volatile(".insn r CUSTOM_0, %2, %3, x0, %0, %1"                                                            \
                     :                                                                                                 \
                     : "r"((uint32_t)(a)), "r"((uint32_t)(b)), "i"(funct3), "i"(op))
#else
uint32_t mico_dot_model(uint32_t op, uint32_t funct3, uint32_t a, uint32_t b);
#define MICO_DOT(op, funct3, a, b) mico_dot_model(op, funct3, (uint32_t)(a), (uint32_t)(b))
#define MICO_DOT_DO(op, a, b) MICO_DOT_WITH(op, 0, a, b)
#define MICO_DOT_WITH(op, funct3, a, b) ((void)mico_dot_model(op, funct3, (uint32_t)(a), (uint32_t)(b)))
#endif

#endif
