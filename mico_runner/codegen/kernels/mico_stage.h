/* Layers that run together, one output row at a time, of all columns or of a strip of them: of the tensors between them only the rows that are still read are in memory.
 *
 * Rows are made by demand: before a row of the last layer those that it reads, and so on (mico_runner/codegen/schedule/rows.py). */
#ifndef MICO_STAGE_H
#define MICO_STAGE_H

#include "mico.h"

enum { MICO_STAGE_READS = 2 }; /* tensors that a layer of a stage may read */

/* A tensor of a stage. */
typedef struct {
    int32_t row_bytes;
    int32_t height; /* rows that are made */
    int32_t above;  /* rows of zeros in front of them, which windows read */
    int32_t rows;   /* that its memory holds; of a whole tensor its height */
    int32_t maker;  /* the work that makes it; -1: it is whole before the stage begins */
    int32_t whole;  /* all of it is in memory, the columns of other strips, too */
    int32_t pixel_bytes, columns;     /* of the tensor; a line has as many of its columns as a row has bytes for */
    int32_t multiple, offset;         /* a strip of the output from column x on has those from x * multiple + offset on */
} mico_line_t;

/* Output row y reads these of a line: rows y * step - above and the extent - 1 that follow. */
typedef struct {
    int32_t line, step, extent, above;
    int32_t shift; /* bytes of each row in front of what it reads */
} mico_read_t;

/* The maker of a line: a layer, or the copy of a whole tensor's rows between rows of zeros. */
typedef struct {
    mico_read_t reads[MICO_STAGE_READS];
    int32_t count; /* of reads */
    int32_t makes; /* a line */
    int32_t copies;
} mico_work_t;

typedef struct {
    const mico_line_t *lines;
    const mico_work_t *works; /* the last makes the stage's output */
    int32_t line_count, work_count;
} mico_stage_t;

/* Where a line is while its stage runs. */
typedef struct {
    uint8_t *memory;
    int32_t first; /* the row at the beginning of its memory */
    int32_t made;  /* rows, those of zeros below the tensor included */
    int32_t left;  /* the tensor's column at the beginning of a row; below zero beside the image */
} mico_line_state;

/* Begin the strip of the output from this column on, with all lines' memory set. */
void mico_stage_begin(const mico_stage_t *stage, mico_line_state *lines, int32_t column);

/* The layer whose next row all rows are there for; -1: the stage is done. */
int32_t mico_stage_next(const mico_stage_t *stage, mico_line_state *lines);

/* The rows that this work reads, `read` counting its inputs, and where its row goes; then the row is there. */
const void *mico_stage_read(const mico_stage_t *stage, const mico_line_state *lines, int32_t work, int32_t read);
void *mico_stage_write(const mico_stage_t *stage, mico_line_state *lines, int32_t work);
void mico_stage_done(const mico_stage_t *stage, mico_line_state *lines, int32_t work);

#endif
