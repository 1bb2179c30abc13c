/* The host as a board: input is read from stdin, words go to stdout, every tensor and table is an allocation of its own. */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOARD_HOST
#define BOARD_INPUT board_input()
#define BOARD_INPUT_BYTES board_input_bytes

static uint32_t board_input_bytes;
static void *board_allocated[256];
static int board_count;

static const uint8_t *board_input(void)
{
    size_t room = 1 << 20, got;
    static uint8_t *bytes; /* reachable until the end: no leak */
    bytes = malloc(room);
    while (bytes && (got = fread(bytes + board_input_bytes, 1, room - board_input_bytes, stdin)) > 0) {
        board_input_bytes += (uint32_t)got;
        if (board_input_bytes == room)
            bytes = realloc(bytes, room *= 2);
    }
    if (!bytes)
        abort();
    return bytes;
}

static void board_put(uint32_t word)
{
    fwrite(&word, sizeof word, 1, stdout);
}

static void *board_allocate(uint32_t bytes, uint32_t offset)
{
    uint8_t *const begin = malloc(bytes + offset);
    if (!begin || board_count == 256)
        abort();
    board_allocated[board_count++] = begin;
    memset(begin, 0x5a, bytes + offset);
    return begin + offset;
}

static void board_free(void)
{
    while (board_count > 0)
        free(board_allocated[--board_count]);
}

#endif
