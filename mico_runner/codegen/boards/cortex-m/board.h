/* Arm's board MPS2 with application note 385 (Cortex-M3), as QEMU has it: input is loaded into the PSRAM, output goes to UART 0,
 * the clock is the FPGA's counter of 25 MHz. */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

/* Boards that differ only by these say so before they include this file. */
#ifndef BOARD_INPUT_AT
#define BOARD_INPUT_AT 0x21000000u
#endif
#ifndef BOARD_UART_AT
#define BOARD_UART_AT 0x40004000u
#define BOARD_CLOCK_AT 0x40028018u /* ticks of 40 ns */
#endif

#define BOARD_INPUT ((const uint8_t *)(BOARD_INPUT_AT + 4u)) /* after its size */
#define BOARD_INPUT_BYTES (*(const volatile uint32_t *)BOARD_INPUT_AT)
#define BOARD_CLOCK (*(const volatile uint32_t *)BOARD_CLOCK_AT)
#define BOARD_STACK                                           /* reports traps and the stack's use */

#define BOARD_CACHE 0 /* bytes of a direct-mapped data cache: none */

static inline void board_put(uint32_t word)
{
    volatile uint32_t *const uart = (volatile uint32_t *)BOARD_UART_AT; /* CMSDK: data, state, control, interrupts, divider */
    uart[4] = 16;
    uart[2] = 1; /* transmit */
    for (int i = 0; i < 4; i++, word >>= 8) {
        while ((uart[1] & 1u) != 0u) /* its buffer is full */
            ;
        uart[0] = word & 0xffu;
    }
}

#endif
