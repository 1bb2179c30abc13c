/* As on a Cortex-M3. */
#include "../cortex-m/start.S"
