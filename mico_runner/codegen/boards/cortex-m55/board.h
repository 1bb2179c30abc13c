/* Arm's board MPS3 with application note 547 (Cortex-M55, its secure side), as QEMU has it: input is loaded into the DDR, output goes to
 * UART 0, the clock is the FPGA's counter of 20 MHz. */
#define BOARD_INPUT_AT 0x60000000u
#define BOARD_UART_AT 0x59303000u
#define BOARD_CLOCK_AT 0x59302018u
#include "../cortex-m/board.h"
