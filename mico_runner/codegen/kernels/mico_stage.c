#include "mico_stage.h"

#include "mico_order.h"

/* n bytes to a lower address, or to other memory. */
static void move(uint8_t *to, const uint8_t *from, int32_t n)
{
    int32_t i = 0;

    if ((((uintptr_t)to | (uintptr_t)from) & 3u) == 0u) {
        for (; i + 4 <= n; i += 4)
            *(mico_word *)(void *)(to + i) = *(const mico_word *)(const void *)(from + i);
    }
    for (; i < n; i++) {
        to[i] = from[i];
        MICO_ORDER(i); /* short loops: not to be unrolled */
    }
}

/* Memory of the line's next row. Rows that nothing reads any more leave it where it is full. */
static uint8_t *place(const mico_stage_t *stage, mico_line_state *lines, int32_t line)
{
    const mico_line_t *const about = stage->lines + line;
    mico_line_state *const state = lines + line;
    const int32_t row = state->made;

    if (row - state->first >= about->rows) {
        int32_t oldest = row;
        for (int32_t i = 0; i < stage->work_count; i++) {
            const mico_work_t *const work = stage->works + i;
            for (int32_t k = 0; k < work->count; k++) {
                if (work->reads[k].line == line) {
                    const int32_t next = lines[work->makes].made * work->reads[k].step - work->reads[k].above;
                    oldest = next < oldest ? next : oldest;
                }
            }
        }
        move(state->memory, state->memory + (oldest - state->first) * about->row_bytes, (row - oldest) * about->row_bytes);
        state->first = oldest;
    }
    return state->memory + (row - state->first) * about->row_bytes;
}

static int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static void clear(uint8_t *to, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        to[i] = 0;
        MICO_ORDER(i);
    }
}

/* Zeros to the columns of a row that are beside the image. */
static void clear_beside(const mico_line_t *line, const mico_line_state *state, uint8_t *row)
{
    const int32_t width = line->row_bytes / line->pixel_bytes;
    const int32_t inside = line->columns - state->left; /* columns up to the image's end */

    if (state->left < 0)
        clear(row, smaller(-state->left, width) * line->pixel_bytes);
    if (inside < width)
        clear(row + (inside < 0 ? 0 : inside) * line->pixel_bytes, smaller(width - inside, width) * line->pixel_bytes);
}

/* The row of a whole tensor, with zeros beside the image. */
static void copy(const mico_line_t *line, const mico_line_state *state, uint8_t *to, const uint8_t *from)
{
    const int32_t width = line->row_bytes / line->pixel_bytes;
    const int32_t first = state->left < 0 ? -state->left : 0;
    const int32_t end = smaller(width, line->columns - state->left);

    clear_beside(line, state, to);
    if (first < end)
        move(to + first * line->pixel_bytes, from + (state->left + first) * line->pixel_bytes, (end - first) * line->pixel_bytes);
}

void mico_stage_begin(const mico_stage_t *stage, mico_line_state *lines, int32_t column)
{
    for (int32_t i = 0; i < stage->line_count; i++) {
        const mico_line_t *const about = stage->lines + i;
        lines[i].first = -about->above;
        lines[i].made = about->maker < 0 ? about->height : 0;
        lines[i].left = column * about->multiple + about->offset;
        clear(lines[i].memory, about->above * about->row_bytes);
    }
}

int32_t mico_stage_next(const mico_stage_t *stage, mico_line_state *lines)
{
    const int32_t last = stage->work_count - 1;
    const int32_t output = stage->works[last].makes;
    int32_t number = last;

    while (lines[output].made < stage->lines[output].height) {
        const mico_work_t *const work = stage->works + number;
        const int32_t row = lines[work->makes].made;
        int32_t missing = -1;
        for (int32_t k = 0; k < work->count && missing < 0; k++) {
            const mico_read_t *const read = work->reads + k;
            if (stage->lines[read->line].maker >= 0 && lines[read->line].made < row * read->step - read->above + read->extent)
                missing = read->line;
        }
        if (missing < 0) {
            if (!work->copies)
                return number;
            copy(stage->lines + work->makes, lines + work->makes, place(stage, lines, work->makes),
                 mico_stage_read(stage, lines, number, 0));
            lines[work->makes].made++;
            number = last;
        } else if (lines[missing].made >= stage->lines[missing].height) { /* a row of zeros below the tensor */
            clear(place(stage, lines, missing), stage->lines[missing].row_bytes);
            lines[missing].made++;
        } else {
            number = stage->lines[missing].maker;
        }
    }
    return -1;
}

const void *mico_stage_read(const mico_stage_t *stage, const mico_line_state *lines, int32_t work, int32_t read)
{
    const mico_read_t *const about = stage->works[work].reads + read;
    const mico_line_state *const state = lines + about->line;
    const int32_t row = lines[stage->works[work].makes].made * about->step - about->above;

    return state->memory + (row - state->first) * stage->lines[about->line].row_bytes + about->shift;
}

void *mico_stage_write(const mico_stage_t *stage, mico_line_state *lines, int32_t work)
{
    const int32_t line = stage->works[work].makes;
    const mico_line_t *const about = stage->lines + line;

    return place(stage, lines, line) + (about->whole ? lines[line].left * about->pixel_bytes : 0);
}

void mico_stage_done(const mico_stage_t *stage, mico_line_state *lines, int32_t work)
{
    const int32_t line = stage->works[work].makes;
    const mico_line_t *const about = stage->lines + line;
    mico_line_state *const state = lines + line;

    if (!about->whole)
        clear_beside(about, state, state->memory + (state->made - state->first) * about->row_bytes);
    state->made++;
}
