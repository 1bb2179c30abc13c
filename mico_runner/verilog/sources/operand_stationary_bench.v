// Memories around the array, which give what files hold, and collect what it gives.
module bench (
    input wire clk
);
    localparam ROWS = {{ rows }}, COLUMNS = {{ columns }}, STREAM_BITS = {{ left_bits }}, HELD_BITS = {{ top_bits }};
    localparam SUM_BITS = {{ sum_bits }}, INDEX_BITS = {{ index_bits }}, ADDRESS_BITS = {{ address_bits }}, WORDS = {{ words }};

    reg [STREAM_BITS-1:0] stream_words [0:WORDS-1];  // banks of rows, one after another, each as long as the other
    reg [HELD_BITS-1:0] held_words [0:WORDS-1];      // COLUMNS of each word
    reg [SUM_BITS-1:0] sum_words [0:WORDS-1];        // banks of columns
    integer length, row_folds, column_folds, file, i, cycle, last;
    reg reset, start;
    wire busy;
    wire [ADDRESS_BITS-1:0] held_address;
    reg [COLUMNS*HELD_BITS-1:0] held;
    wire [ROWS*ADDRESS_BITS-1:0] stream_address;
    reg [ROWS*STREAM_BITS-1:0] stream;
    wire [COLUMNS*ADDRESS_BITS-1:0] sum_address, result_address;
    reg [COLUMNS*SUM_BITS-1:0] sum;
    wire [COLUMNS-1:0] result_valid;
    wire [COLUMNS*SUM_BITS-1:0] result;

    systolic array (
        .clk(clk), .reset(reset), .start(start),
        .length(length[INDEX_BITS-1:0]), .row_folds(row_folds[INDEX_BITS-1:0]), .column_folds(column_folds[INDEX_BITS-1:0]),
        .busy(busy),
        .held_address(held_address), .held(held), .stream_address(stream_address), .stream(stream),
        .sum_address(sum_address), .sum(sum),
        .result_valid(result_valid), .result_address(result_address), .result(result)
    );

    initial begin
        if (!$value$plusargs("stream=%d", length) || !$value$plusargs("row_folds=%d", row_folds)
            || !$value$plusargs("column_folds=%d", column_folds)) $fatal(1, "sizes are missing");
        $readmemh("left.hex", stream_words);
        $readmemh("top.hex", held_words);
        file = $fopen("results.txt", "w");
        cycle = 0;
        last = 0;
        reset = 1;
        start = 0;
    end

    always @(posedge clk) begin
        cycle <= cycle + 1;
        reset <= cycle < 2 * (ROWS + COLUMNS);
        start <= cycle == 2 * (ROWS + COLUMNS) + 2;
        for (i = 0; i < ROWS; i = i + 1)
            stream[i*STREAM_BITS +: STREAM_BITS] <=
                stream_words[i * row_folds * length + stream_address[i*ADDRESS_BITS +: ADDRESS_BITS]];
        for (i = 0; i < COLUMNS; i = i + 1) begin
            held[i*HELD_BITS +: HELD_BITS] <= held_words[COLUMNS * held_address + i];
            sum[i*SUM_BITS +: SUM_BITS] <=
                sum_words[i * column_folds * length + sum_address[i*ADDRESS_BITS +: ADDRESS_BITS]];
            if (result_valid[i])
                sum_words[i * column_folds * length + result_address[i*ADDRESS_BITS +: ADDRESS_BITS]]
                    <= result[i*SUM_BITS +: SUM_BITS];
        end
        if (busy) last <= last + 1;
        if (cycle > 2 * (ROWS + COLUMNS) + 8 && !busy && result_valid == 0) begin
            for (i = 0; i < COLUMNS * column_folds * length; i = i + 1)
                $fwrite(file, "%0d %0d\n", i / (column_folds * length), $signed(sum_words[i]));
            $fwrite(file, "cycles %0d\n", last);
            $fclose(file);
            $finish;
        end
    end
endmodule
