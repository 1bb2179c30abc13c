/* Text through the test bench's character register, where QEMU's "virt" has its UART, and the cycles of the inference. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "stdio.h"

void board_report(void);
uint32_t board_cycle(void);
void mico_layer_hook(int layer);
void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memset(void *to, int value, size_t n);

static uint32_t first, last; /* cycle counters before the first layer and behind the last one */

void mico_layer_hook(int layer)
{
    last = board_cycle();
    if (layer == 0)
        first = last;
}

static void put(char c)
{
    *(volatile uint8_t *)0x10000000u = (uint8_t)c;
}

static void put_number(long value)
{
    char digits[12];
    int n = 0;
    unsigned long left = value < 0 ? 0ul - (unsigned long)value : (unsigned long)value;
    do {
        digits[n++] = (char)('0' + left % 10u);
        left /= 10u;
    } while (left > 0u);
    if (value < 0)
        put('-');
    while (n > 0)
        put(digits[--n]);
}

/* %d and %ld, whose widths are the same here. */
int printf(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    for (; *format != '\0'; format++) {
        if (*format != '%') {
            put(*format);
            continue;
        }
        while (*format != 'd' && *format != '\0')
            format++;
        put_number(va_arg(arguments, long));
        if (*format == '\0')
            break;
    }
    va_end(arguments);
    return 0;
}

void board_report(void)
{
    printf("%ld cycles\n", (long)(last - first));
}

/* The compiler may call these two. */
void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
    uint8_t *t = to;
    const uint8_t *f = from;
    while (n--)
        *t++ = *f++;
    return to;
}

void *memset(void *to, int value, size_t n)
{
    uint8_t *t = to;
    while (n--)
        *t++ = (uint8_t)value;
    return to;
}
