/* The one function of stdio that the example calls; io.c has it. */
#ifndef VEXII_STDIO_H
#define VEXII_STDIO_H

int printf(const char *format, ...);

#endif
