/* Arm's board MPS2 with application note 505 (Cortex-M33, its secure side), as QEMU has it: input is loaded into the PSRAM, output goes to
 * UART 0, the clock is the FPGA's counter of 20 MHz. */
#define BOARD_INPUT_AT 0x80000000u
#define BOARD_UART_AT 0x50200000u
#define BOARD_CLOCK_AT 0x50302018u
#include "../cortex-m/board.h"
