/* Arm's board MPS2 with application note 500 (Cortex-M7): as that of note 385 but for the place of the PSRAM. */
#define BOARD_INPUT_AT 0x60000000u
#include "../cortex-m/board.h"
