/* This project's RTL simulation (VexRiscv, Ibex): input, output and clock are addresses of the test bench. */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

#define BOARD_INPUT ((const uint8_t *)0x40000000u)
#define BOARD_INPUT_BYTES (*(const volatile uint32_t *)0xf000000cu)
#define BOARD_CLOCK (*(const volatile uint32_t *)0xf0000008u) /* cycles */

#define BOARD_CACHE 4096 /* bytes of a direct-mapped data cache, of the core that has the largest */

static inline void board_put(uint32_t word)
{
    *(volatile uint32_t *)0xf0000000u = word;
}

#endif
