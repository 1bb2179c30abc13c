// Memories around the array, which give what files hold, and collect what it gives.
module bench (
    input wire clk
);
    localparam ROWS = {{ rows }}, COLUMNS = {{ columns }}, ACT_BITS = {{ left_bits }}, WEIGHT_BITS = {{ top_bits }};
    localparam SUM_BITS = {{ sum_bits }}, INDEX_BITS = {{ index_bits }}, ADDRESS_BITS = {{ address_bits }}, WORDS = {{ words }};

    reg [ACT_BITS-1:0] act_words [0:WORDS-1];       // banks of rows, one after another, each as long as the other
    reg [WEIGHT_BITS-1:0] weight_words [0:WORDS-1];
    integer taps, row_folds, column_folds, file, i, cycle, last;
    reg reset, start;
    wire busy;
    wire [ROWS*ADDRESS_BITS-1:0] act_address;
    wire [COLUMNS*ADDRESS_BITS-1:0] weight_address;
    reg [ROWS*ACT_BITS-1:0] act;
    reg [COLUMNS*WEIGHT_BITS-1:0] weight;
    wire [ROWS-1:0] result_valid;
    wire [ROWS*SUM_BITS-1:0] result;

    systolic array (
        .clk(clk), .reset(reset), .start(start),
        .taps(taps[INDEX_BITS-1:0]), .row_folds(row_folds[INDEX_BITS-1:0]), .column_folds(column_folds[INDEX_BITS-1:0]),
        .busy(busy),
        .act_address(act_address), .act(act), .weight_address(weight_address), .weight(weight),
        .result_valid(result_valid), .result(result)
    );

    initial begin
        if (!$value$plusargs("stream=%d", taps) || !$value$plusargs("row_folds=%d", row_folds)
            || !$value$plusargs("column_folds=%d", column_folds)) $fatal(1, "sizes are missing");
        $readmemh("left.hex", act_words);
        $readmemh("top.hex", weight_words);
        file = $fopen("results.txt", "w");
        cycle = 0;
        last = 0;
        reset = 1;
        start = 0;
    end

    always @(posedge clk) begin
        cycle <= cycle + 1;
        reset <= cycle < ROWS + COLUMNS;
        start <= cycle == ROWS + COLUMNS + 2;
        for (i = 0; i < ROWS; i = i + 1) begin
            act[i*ACT_BITS +: ACT_BITS] <=
                act_words[i * row_folds * taps + act_address[i*ADDRESS_BITS +: ADDRESS_BITS]];
            if (result_valid[i]) $fwrite(file, "%0d %0d\n", i, $signed(result[i*SUM_BITS +: SUM_BITS]));
        end
        for (i = 0; i < COLUMNS; i = i + 1)
            weight[i*WEIGHT_BITS +: WEIGHT_BITS] <=
                weight_words[i * column_folds * taps + weight_address[i*ADDRESS_BITS +: ADDRESS_BITS]];
        if (busy) last <= last + 1;
        if (cycle > ROWS + COLUMNS + 8 && !busy && result_valid == 0) begin
            $fwrite(file, "cycles %0d\n", last);
            $fclose(file);
            $finish;
        end
    end
endmodule
