// Weight or input stationary: one operand is held in the elements, the other streams from the left, and sums run down the columns.
// Rows are taps. Weight stationary holds weights and streams pixels; input stationary holds pixels and streams filters.

module element #(
    parameter STREAM_BITS = 8,
    parameter HELD_BITS = 8,
    parameter SUM_BITS = 32
) (
    input wire clk,
    input wire load,                           // operands move a row down
    input wire signed [STREAM_BITS-1:0] stream,
    input wire signed [SUM_BITS-1:0] sum,
    input wire signed [HELD_BITS-1:0] held_in,
    output reg signed [STREAM_BITS-1:0] stream_out,
    output reg signed [SUM_BITS-1:0] sum_out,
    output reg signed [HELD_BITS-1:0] held
);
    wire signed [STREAM_BITS+HELD_BITS-1:0] product = stream * held;

    always @(posedge clk) begin
        stream_out <= stream;
        sum_out <= sum + product;
        if (load) held <= held_in;
    end
endmodule


module systolic #(
    parameter ROWS = {{ rows }},
    parameter COLUMNS = {{ columns }},
    parameter STREAM_BITS = {{ left_bits }},
    parameter HELD_BITS = {{ top_bits }},
    parameter SUM_BITS = {{ sum_bits }},
    parameter INDEX_BITS = {{ index_bits }},
    parameter ADDRESS_BITS = {{ address_bits }}
) (
    input wire clk,
    input wire reset,                          // for 2 * (ROWS + COLUMNS) cycles
    input wire start,                          // for one cycle; the sizes stay as they are until `busy` falls
    input wire [INDEX_BITS-1:0] length,        // that stream through each fold
    input wire [INDEX_BITS-1:0] row_folds,     // groups of ROWS taps
    input wire [INDEX_BITS-1:0] column_folds,  // groups of COLUMNS of what is held
    output reg busy,
    // All memories answer in the next cycle. Held operands: a word for each row of a fold, the bottom row first, folds of taps, folds
    // of columns.
    output wire [ADDRESS_BITS-1:0] held_address,
    input wire [COLUMNS*HELD_BITS-1:0] held,
    // A bank of streamed operands for each row: word `fold * length + n`.
    output wire [ROWS*ADDRESS_BITS-1:0] stream_address,
    input wire [ROWS*STREAM_BITS-1:0] stream,
    // A bank of sums for each column: word `fold * length + n`. A sum is read, unless it begins, and written back.
    output wire [COLUMNS*ADDRESS_BITS-1:0] sum_address,
    input wire [COLUMNS*SUM_BITS-1:0] sum,
    output wire [COLUMNS-1:0] result_valid,
    output wire [COLUMNS*ADDRESS_BITS-1:0] result_address,
    output wire [COLUMNS*SUM_BITS-1:0] result
);
    localparam SKEW = 2 * ROWS + COLUMNS - 2;  // rows to load, and until the last element has the operands of the first one

    reg running;
    reg [INDEX_BITS:0] step;
    reg [INDEX_BITS-1:0] row_fold, column_fold;
    reg [ADDRESS_BITS-1:0] held_at, stream_at, sum_at, sum_base;
    wire loading = running && step < ROWS;
    wire streaming = running && step >= ROWS && step < ROWS + length;
    wire fold_ends = step == length + SKEW - 1;
    wire rows_end = row_fold == row_folds - 1;

    always @(posedge clk) begin
        busy <= running;
        if (reset) running <= 1'b0;
        else if (start) begin
            running <= 1'b1;
            step <= 0;
            row_fold <= 0;
            column_fold <= 0;
            held_at <= 0;
            stream_at <= 0;
            sum_at <= 0;
            sum_base <= 0;
        end else if (running) begin
            if (loading) held_at <= held_at + 1'b1;
            if (streaming) begin
                stream_at <= stream_at + 1'b1;
                sum_at <= sum_at + 1'b1;
            end
            step <= step + 1'b1;
            if (fold_ends) begin
                step <= 0;
                row_fold <= rows_end ? {INDEX_BITS{1'b0}} : row_fold + 1'b1;
                if (rows_end) begin            // the next columns, and the first taps again
                    column_fold <= column_fold + 1'b1;
                    stream_at <= 0;
                    sum_base <= sum_at;
                    running <= column_fold != column_folds - 1;
                end else sum_at <= sum_base;
            end
        end
    end

    assign held_address = held_at;
    reg load;
    always @(posedge clk) load <= loading && !reset;

    // Addresses of streamed operands reach each row, those of sums each column, a cycle after the one before it.
    reg [ADDRESS_BITS-1:0] stream_delayed [0:ROWS-1], sum_delayed [0:COLUMNS-1];
    reg [COLUMNS-1:0] begins;                  // in the data's cycle: the sum begins here
    genvar r, c;
    generate
        for (r = 0; r < ROWS; r = r + 1) begin : row_delay
            if (r == 0) begin : head
                always @(posedge clk) stream_delayed[0] <= stream_at;
                assign stream_address[0 +: ADDRESS_BITS] = stream_at;
            end else begin : tail
                always @(posedge clk) stream_delayed[r] <= stream_delayed[r-1];
                assign stream_address[r*ADDRESS_BITS +: ADDRESS_BITS] = stream_delayed[r-1];
            end
        end
        for (c = 0; c < COLUMNS; c = c + 1) begin : column_delay
            if (c == 0) begin : head
                always @(posedge clk) begin
                    sum_delayed[0] <= sum_at;
                    begins[0] <= row_fold == 0;
                end
                assign sum_address[0 +: ADDRESS_BITS] = sum_at;
            end else begin : tail
                always @(posedge clk) begin
                    sum_delayed[c] <= sum_delayed[c-1];
                    begins[c] <= begins[c-1];
                end
                assign sum_address[c*ADDRESS_BITS +: ADDRESS_BITS] = sum_delayed[c-1];
            end
        end
    endgenerate

    // Where a finished sum of the first column goes, ROWS + 1 cycles after it was asked for; the other columns follow.
    reg [ADDRESS_BITS:0] down [0:ROWS];
    reg [ADDRESS_BITS:0] along [0:COLUMNS-1];
    integer i;
    always @(posedge clk) begin
        down[0] <= {streaming && !reset, sum_at};
        for (i = 1; i <= ROWS; i = i + 1) down[i] <= down[i-1];
        along[0] <= down[ROWS];
        for (i = 1; i < COLUMNS; i = i + 1) along[i] <= along[i-1];
    end

    wire signed [STREAM_BITS-1:0] stream_wire [0:ROWS-1][0:COLUMNS];
    wire signed [HELD_BITS-1:0] held_wire [0:ROWS][0:COLUMNS-1];
    wire signed [SUM_BITS-1:0] sum_wire [0:ROWS][0:COLUMNS-1];
    generate
        for (r = 0; r < ROWS; r = r + 1) begin : row
            assign stream_wire[r][0] = stream[r*STREAM_BITS +: STREAM_BITS];
            for (c = 0; c < COLUMNS; c = c + 1) begin : column
                element #(STREAM_BITS, HELD_BITS, SUM_BITS) of (
                    .clk(clk), .load(load),
                    .stream(stream_wire[r][c]), .sum(sum_wire[r][c]), .held_in(held_wire[r][c]),
                    .stream_out(stream_wire[r][c+1]), .sum_out(sum_wire[r+1][c]), .held(held_wire[r+1][c])
                );
            end
        end
        for (c = 0; c < COLUMNS; c = c + 1) begin : edges
            wire [ADDRESS_BITS:0] goes = c == 0 ? down[ROWS] : along[c == 0 ? 0 : c-1];
            assign held_wire[0][c] = held[c*HELD_BITS +: HELD_BITS];
            assign sum_wire[0][c] = begins[c] ? {SUM_BITS{1'b0}} : sum[c*SUM_BITS +: SUM_BITS];
            assign result_valid[c] = goes[ADDRESS_BITS];
            assign result_address[c*ADDRESS_BITS +: ADDRESS_BITS] = goes[ADDRESS_BITS-1:0];
            assign result[c*SUM_BITS +: SUM_BITS] = sum_wire[ROWS][c];
        end
    endgenerate
endmodule
