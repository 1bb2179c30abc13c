/* QEMU's RISC-V machine "virt": input is loaded at half of the RAM, output goes to the UART, the clock counts instructions. */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

#define BOARD_INPUT ((const uint8_t *)0x84000004u) /* after its size */
#define BOARD_INPUT_BYTES (*(const volatile uint32_t *)0x84000000u)
#define BOARD_CLOCK board_clock() /* instructions */
#define BOARD_STACK               /* reports traps and the stack's use */

static inline uint32_t board_clock(void)
{
    uint32_t count;
    __asm__ volatile("csrr %0, minstret" : "=r"(count));
    return count;
}

#define BOARD_CACHE 0 /* bytes of a direct-mapped data cache: none */

static inline void board_put(uint32_t word)
{
    volatile uint8_t *const uart = (volatile uint8_t *)0x10000000u; /* NS16550A */
    for (int i = 0; i < 4; i++, word >>= 8) {
        while ((uart[5] & 0x20u) == 0u) /* until it takes another byte */
            ;
        uart[0] = (uint8_t)word;
    }
}

#endif
