/* Arm's board MPS2 with application note 386 (Cortex-M4): to a program, that of note 385. */
#include "../cortex-m/board.h"
