// Output stationary: a sum stays in its element until it is finished. Activations enter from the left, one row a cycle later than
// the one above it, weights from the top, one column a cycle later than the one before it.

module element #(
    parameter ACT_BITS = 8,
    parameter WEIGHT_BITS = 8,
    parameter SUM_BITS = 32
) (
    input wire clk,
    input wire valid, first, last,
    input wire signed [ACT_BITS-1:0] act,
    input wire signed [WEIGHT_BITS-1:0] weight,
    output reg valid_out, first_out, last_out,
    output reg signed [ACT_BITS-1:0] act_out,
    output reg signed [WEIGHT_BITS-1:0] weight_out,
    output reg finished,                       // the sum is whole, for this cycle
    output reg signed [SUM_BITS-1:0] sum
);
    wire signed [ACT_BITS+WEIGHT_BITS-1:0] product = act * weight;
    wire signed [SUM_BITS-1:0] so_far = first ? {SUM_BITS{1'b0}} : sum;

    always @(posedge clk) begin
        valid_out <= valid;
        first_out <= first;
        last_out <= last;
        act_out <= act;
        weight_out <= weight;
        finished <= valid && last;
        if (valid) sum <= so_far + product;
    end
endmodule


module systolic #(
    parameter ROWS = {{ rows }},
    parameter COLUMNS = {{ columns }},
    parameter ACT_BITS = {{ left_bits }},
    parameter WEIGHT_BITS = {{ top_bits }},
    parameter SUM_BITS = {{ sum_bits }},
    parameter INDEX_BITS = {{ index_bits }},
    parameter ADDRESS_BITS = {{ address_bits }}
) (
    input wire clk,
    input wire reset,                          // for ROWS + COLUMNS cycles
    input wire start,                          // for one cycle; the sizes stay as they are until `busy` falls
    input wire [INDEX_BITS-1:0] taps,          // products of a sum
    input wire [INDEX_BITS-1:0] row_folds,     // groups of ROWS pixels
    input wire [INDEX_BITS-1:0] column_folds,  // groups of COLUMNS filters
    output reg busy,
    // A bank for each row and each column, which answers in the next cycle. Of row r, word `fold * taps + tap` is that of pixel
    // `fold * ROWS + r`; columns alike.
    output wire [ROWS*ADDRESS_BITS-1:0] act_address,
    input wire [ROWS*ACT_BITS-1:0] act,
    output wire [COLUMNS*ADDRESS_BITS-1:0] weight_address,
    input wire [COLUMNS*WEIGHT_BITS-1:0] weight,
    // The sums of row r: filters of a fold in their order, folds of pixels, folds of filters.
    output wire [ROWS-1:0] result_valid,
    output wire [ROWS*SUM_BITS-1:0] result
);
    localparam SKEW = ROWS + COLUMNS - 2;      // until the last element has the operands of the first one

    reg running;
    reg [INDEX_BITS:0] step;
    reg [INDEX_BITS-1:0] row_fold, column_fold;
    reg [ADDRESS_BITS-1:0] act_at, weight_at, weight_base;
    wire reading = running && step < taps;
    wire fold_ends = step == taps + SKEW - 1;
    wire rows_end = row_fold == row_folds - 1;

    always @(posedge clk) begin
        busy <= running;
        if (reset) running <= 1'b0;
        else if (start) begin
            running <= 1'b1;
            step <= 0;
            row_fold <= 0;
            column_fold <= 0;
            act_at <= 0;
            weight_at <= 0;
            weight_base <= 0;
        end else if (running) begin
            if (reading) begin
                act_at <= act_at + 1'b1;
                weight_at <= weight_at + 1'b1;
            end
            step <= step + 1'b1;
            if (fold_ends) begin
                step <= 0;
                row_fold <= rows_end ? {INDEX_BITS{1'b0}} : row_fold + 1'b1;
                if (rows_end) begin            // the next filters, and the first pixels again
                    column_fold <= column_fold + 1'b1;
                    act_at <= 0;
                    weight_base <= weight_at;
                    running <= column_fold != column_folds - 1;
                end else weight_at <= weight_base;
            end
        end
    end

    // Addresses and flags reach each row and column a cycle after the one before it.
    reg [ADDRESS_BITS-1:0] act_delayed [0:ROWS-1], weight_delayed [0:COLUMNS-1];
    reg [ROWS-1:0] valid, first, last;
    genvar r, c;
    generate
        for (r = 0; r < ROWS; r = r + 1) begin : row_delay
            if (r == 0) begin : head
                always @(posedge clk) begin
                    act_delayed[0] <= act_at;
                    valid[0] <= reading && !reset;
                    first[0] <= step == 0;
                    last[0] <= step == taps - 1;
                end
                assign act_address[0 +: ADDRESS_BITS] = act_at;
            end else begin : tail
                always @(posedge clk) begin
                    act_delayed[r] <= act_delayed[r-1];
                    valid[r] <= valid[r-1];
                    first[r] <= first[r-1];
                    last[r] <= last[r-1];
                end
                assign act_address[r*ADDRESS_BITS +: ADDRESS_BITS] = act_delayed[r-1];
            end
        end
        for (c = 0; c < COLUMNS; c = c + 1) begin : column_delay
            if (c == 0) begin : head
                always @(posedge clk) weight_delayed[0] <= weight_at;
                assign weight_address[0 +: ADDRESS_BITS] = weight_at;
            end else begin : tail
                always @(posedge clk) weight_delayed[c] <= weight_delayed[c-1];
                assign weight_address[c*ADDRESS_BITS +: ADDRESS_BITS] = weight_delayed[c-1];
            end
        end
    endgenerate

    // Wires between elements: those of row r go right, those of column c go down.
    wire signed [ACT_BITS-1:0] act_wire [0:ROWS-1][0:COLUMNS];
    wire signed [WEIGHT_BITS-1:0] weight_wire [0:ROWS][0:COLUMNS-1];
    wire [2:0] flag_wire [0:ROWS-1][0:COLUMNS];
    wire [SUM_BITS-1:0] result_wire [0:ROWS-1][0:COLUMNS];
    wire [COLUMNS-1:0] finished [0:ROWS-1];
    generate
        for (c = 0; c < COLUMNS; c = c + 1) begin : top
            assign weight_wire[0][c] = weight[c*WEIGHT_BITS +: WEIGHT_BITS];
        end
        for (r = 0; r < ROWS; r = r + 1) begin : row
            assign act_wire[r][0] = act[r*ACT_BITS +: ACT_BITS];
            assign flag_wire[r][0] = {valid[r], first[r], last[r]};
            assign result_wire[r][0] = {SUM_BITS{1'b0}};
            for (c = 0; c < COLUMNS; c = c + 1) begin : column
                wire signed [SUM_BITS-1:0] sum;
                element #(ACT_BITS, WEIGHT_BITS, SUM_BITS) of (
                    .clk(clk),
                    .valid(flag_wire[r][c][2]), .first(flag_wire[r][c][1]), .last(flag_wire[r][c][0]),
                    .act(act_wire[r][c]), .weight(weight_wire[r][c]),
                    .valid_out(flag_wire[r][c+1][2]), .first_out(flag_wire[r][c+1][1]), .last_out(flag_wire[r][c+1][0]),
                    .act_out(act_wire[r][c+1]), .weight_out(weight_wire[r+1][c]),
                    .finished(finished[r][c]), .sum(sum)
                );
                // In a row at most one sum is finished in a cycle.
                assign result_wire[r][c+1] = result_wire[r][c] | ({SUM_BITS{finished[r][c]}} & sum);
            end
            assign result_valid[r] = |finished[r];
            assign result[r*SUM_BITS +: SUM_BITS] = result_wire[r][COLUMNS];
        end
    endgenerate
endmodule
