// Mixed-precision dot products for a core with a port for a custom function unit (CFU): docs/dot_unit.md.
//
// A tile of up to four patches (the activations under one output position each) lies in a buffer; an instruction brings 64 bits of
// packed weights of one output channel and multiplies them with all patches, in the background. When a channel is complete, its
// accumulators are requantised. Each cycle takes 32 bits of activations: 4, 8, 16 or 32 products.
//
// function_id is {funct7, funct3} of the instruction; funct7 is the operation. What each does, for C: kernels/mico_dot.h.
module mico_dot (
    input  wire        clk,
    input  wire        reset,
    input  wire        cmd_valid,
    output wire        cmd_ready,
    input  wire [9:0]  cmd_function_id,
    input  wire [31:0] cmd_inputs_0,
    input  wire [31:0] cmd_inputs_1,
    output reg         rsp_valid,
    input  wire        rsp_ready,
    output reg  [31:0] rsp_outputs_0
);
    localparam CONFIG = 4'd0, RANGE = 4'd1, CHANNEL = 4'd2, TILE = 4'd3, BLOCK = 4'd4;
    localparam RUN = 4'd5, PUSH = 4'd6, MAC = 4'd7, RESULT = 4'd8, RESULT4 = 4'd9;

    localparam BUFFER_BITS = 10;  // 1024 words of activations
    localparam CHANNEL_BITS = 8;  // 256 channels

    wire [3:0] op = cmd_function_id[6:3];
    wire fire = cmd_valid && cmd_ready;

    // ---------------------------------------------------------------------------------------------- configuration
    reg [1:0]  lane;          // log2 of the bits of a lane: those of the wider operand
    reg [1:0]  weight;        // log2 of the bits of a weight
    reg        x_signed;      // activations are signed
    reg        x_signs;       // activations are -1 and +1, in lanes of one bit
    reg        y_sign;        // outputs are -1 and +1
    reg [15:0] taps;          // activations of a patch
    reg [15:0] words;         // words of a patch in the buffer
    reg signed [16:0] y_min, y_max;
    reg [2:0]  positions;     // patches in the buffer, 1 .. 4

    always @(posedge clk) begin
        if (fire && op == CONFIG) begin
            {y_sign, x_signs, x_signed, weight, lane} <= cmd_inputs_0[6:0];
            {words, taps} <= cmd_inputs_1;
        end
        if (fire && op == RANGE) begin
            y_min <= cmd_inputs_0[16:0];
            y_max <= cmd_inputs_1[16:0];
        end
        if (fire && op == TILE)
            positions <= cmd_inputs_0[2:0];
    end

    // ---------------------------------------------------------------------------------------------- activations in
    // Bytes skip .. skip + run - 1 of the words pushed, then of the next run; cut to lanes and packed.
    reg [1:0]  skip, run_skip, run_step;
    reg [15:0] run, run_left;
    reg [63:0] pushed;
    reg [1:0]  pushed_words;
    reg [31:0] partial;       // a word that is not full yet
    reg [4:0]  partial_bits;
    reg        flush;         // a patch has ended; its last word is to be written
    reg [15:0] taps_left;
    reg [BUFFER_BITS-1:0] write_at;
    reg [1:0]  write_position;

    wire pushing = pushed_words != 0 || flush;
    wire push_ends = !flush && pushed_words == 1;
    wire [2:0] offered = 3'd4 - {1'b0, skip};
    wire [2:0] taken = run_left < {13'd0, offered} ? run_left[2:0] : offered;
    wire [31:0] at_skip = pushed[31:0] >> {skip, 3'b000};
    reg  [31:0] packed_lanes;
    always @* begin
        case (lane)
            2'd3: packed_lanes = at_skip;
            2'd2: packed_lanes = {16'd0, at_skip[27:24], at_skip[19:16], at_skip[11:8], at_skip[3:0]};
            2'd1: packed_lanes = {24'd0, at_skip[25:24], at_skip[17:16], at_skip[9:8], at_skip[1:0]};
            default: packed_lanes = x_signs ? {28'd0, ~{at_skip[25], at_skip[17], at_skip[9], at_skip[1]}}
                                            : {28'd0, at_skip[24], at_skip[16], at_skip[8], at_skip[0]};
        endcase
    end
    wire [5:0]  taken_bits = {3'd0, taken} << lane;
    wire [31:0] taken_lanes = packed_lanes & ~(32'hffffffff << taken_bits);
    wire [63:0] filled = {32'd0, partial} | ({32'd0, taken_lanes} << partial_bits);
    wire [6:0]  filled_bits = {2'd0, partial_bits} + {1'b0, taken_bits};
    wire patch_ends = taps_left == {13'd0, taken};
    wire run_ends = run_left == {13'd0, taken};
    wire take = pushed_words != 0 && !flush;
    wire write = flush || (take && (filled_bits[6:5] != 0 || patch_ends));
    wire next_position = flush || (take && patch_ends && filled_bits <= 7'd32);

    reg [31:0] buffer [0:(1 << BUFFER_BITS)-1];
    reg [31:0] x_word;
    reg [BUFFER_BITS-1:0] read_at;
    always @(posedge clk) begin
        if (write)
            buffer[write_at] <= flush ? partial : filled[31:0];
        x_word <= buffer[read_at];
    end

    always @(posedge clk) begin
        if (reset) begin
            pushed_words <= 0;
            flush <= 0;
        end else begin
            if (take) begin
                pushed <= {32'd0, pushed[63:32]};
                pushed_words <= run_ends ? 2'd0 : pushed_words - 2'd1;
                skip <= run_ends ? run_skip : 2'd0;
                run_left <= run_ends ? run : run_left - {13'd0, taken};
                if (run_ends)
                    run_skip <= run_skip + run_step;
                taps_left <= patch_ends ? taps : taps_left - {13'd0, taken};
                {partial, partial_bits} <= filled_bits[6:5] != 0 ? {filled[63:32], filled_bits[4:0]}
                                                                 : {filled[31:0], filled_bits[4:0]};
                flush <= patch_ends && filled_bits > 7'd32;
            end
            if (flush)
                flush <= 0;
            if (write)
                write_at <= write_at + {{(BUFFER_BITS - 3){1'b0}}, positions};
            if (next_position) begin
                write_at <= {{(BUFFER_BITS - 2){1'b0}}, write_position + 2'd1};
                write_position <= write_position + 2'd1;
                partial <= 0;
                partial_bits <= 0;
            end
            if (fire) case (op)
                TILE: begin
                    write_at <= 0;
                    write_position <= 0;
                    partial <= 0;
                    partial_bits <= 0;
                    taps_left <= taps;
                end
                RUN: begin
                    skip <= cmd_inputs_0[1:0];
                    run_skip <= cmd_inputs_0[1:0] + cmd_inputs_1[17:16];
                    run_step <= cmd_inputs_1[17:16];
                    run <= cmd_inputs_1[15:0];
                    run_left <= cmd_inputs_1[15:0];
                end
                PUSH: begin
                    pushed <= {cmd_inputs_1, cmd_inputs_0};
                    pushed_words <= 2'd2;
                end
                default: ;
            endcase
        end
    end

    // ---------------------------------------------------------------------------------------------- channels' constants
    reg [59:0] channels [0:(1 << CHANNEL_BITS)-1];  // {shift, multiplier, bias}
    reg [CHANNEL_BITS-1:0] channel_write, channel_read;
    reg [59:0] constants;
    always @(posedge clk) begin
        if (fire && op == CHANNEL)
            channels[channel_write] <= {cmd_inputs_1[27:0], cmd_inputs_0};
        constants <= channels[channel_read];
    end

    // ---------------------------------------------------------------------------------------------- products
    // Stage 0: which word of which patch; stage 1: their products; stage 2: the accumulators; stages 3, 4: requantisation.
    reg [63:0] weights, waiting;
    reg [4:0]  steps_left;    // in `weights`: words of each patch that they are for
    reg        any_waiting;
    reg [1:0]  position;
    reg [15:0] words_left;    // of the row
    reg        row_begins;
    wire multiplying = steps_left != 0;
    wire [1:0] ratio = lane - weight;
    wire last_position = {1'b0, position} + 3'd1 == positions;
    wire row_ends = words_left == 16'd1;
    wire step_ends = multiplying && last_position;
    wire weights_end = !multiplying || (step_ends && (row_ends || steps_left == 5'd1));

    wire [31:0] expanded;
    mico_dot_expand expand (.lane(lane), .weight(weight), .packed_weights(weights[31:0]), .lanes(expanded));

    always @(posedge clk) begin
        if (reset) begin
            steps_left <= 0;
            any_waiting <= 0;
        end else begin
            if (multiplying) begin
                position <= last_position ? 2'd0 : position + 2'd1;
                read_at <= row_ends && last_position ? {BUFFER_BITS{1'b0}} : read_at + 1'b1;
            end
            if (step_ends) begin
                words_left <= row_ends ? words : words_left - 16'd1;
                row_begins <= row_ends;
                if (row_ends)
                    channel_read <= channel_read + 1'b1;
                steps_left <= steps_left - 5'd1;
                weights <= weights >> (6'd32 >> ratio);
            end
            if (weights_end) begin
                weights <= waiting;
                steps_left <= any_waiting ? 5'd2 << ratio : 5'd0;
                any_waiting <= 0;
            end
            if (fire && op == MAC) begin
                waiting <= {cmd_inputs_1, cmd_inputs_0};
                any_waiting <= 1;
            end
            if (fire && op == CONFIG)
                words_left <= cmd_inputs_1[31:16];
            if (fire && (op == CONFIG || op == TILE || op == BLOCK)) begin
                row_begins <= 1;
                position <= 0;
                read_at <= 0;
                channel_read <= 0;
            end
            if (fire && (op == CONFIG || op == BLOCK))
                channel_write <= 0;
            if (fire && op == CHANNEL)
                channel_write <= channel_write + 1'b1;
        end
    end

    reg        valid1, valid2, valid3, valid4, first1, first2, last1, last2;
    reg [1:0]  position1, position2, position3, position4, output1, output2, output3, output4;
    reg [31:0] lanes1;
    reg signed [19:0] dot2;
    reg [59:0] constants2;
    reg [27:0] scale3;
    reg [5:0]  shift4;
    reg signed [31:0] accumulator3;
    reg signed [31:0] accumulators [0:3];
    wire signed [19:0] dot;
    mico_dot_lanes products (.lane(lane), .x_signed(x_signed), .x_signs(x_signs), .x(x_word), .w(lanes1), .dot(dot));
    wire signed [31:0] base2 = first2 ? constants2[31:0] : accumulators[position2];
    wire signed [31:0] sum2 = base2 + dot2;
    wire signed [15:0] result4;
    mico_dot_scale scale (
        .clk(clk), .accumulator(accumulator3), .multiplier(scale3[21:0]), .shift(shift4),
        .sign(y_sign), .low(y_min), .high(y_max), .result(result4)
    );

    always @(posedge clk) begin
        valid1 <= multiplying && !reset;
        first1 <= row_begins;
        last1 <= row_ends;
        position1 <= position;
        output1 <= channel_read[1:0];
        lanes1 <= expanded;

        valid2 <= valid1 && !reset;
        {first2, last2, position2, output2} <= {first1, last1, position1, output1};
        constants2 <= constants;
        dot2 <= dot;

        if (valid2)
            accumulators[position2] <= sum2;
        valid3 <= valid2 && last2 && !reset;
        {position3, output3} <= {position2, output2};
        accumulator3 <= sum2;
        scale3 <= constants2[59:32];

        valid4 <= valid3 && !reset;
        {position4, output4} <= {position3, output3};
        shift4 <= scale3[27:22];
    end

    // ---------------------------------------------------------------------------------------------- results
    // Of two groups of four channels: one that is read, one that is computed.
    reg [15:0] results0 [0:7], results1 [0:7], results2 [0:7], results3 [0:7];
    reg        group_write, group_read;
    reg        any_group;     // the group to be read is complete
    reg [1:0]  read_position;
    wire [2:0] put = {group_write, position4}, get = {group_read, read_position};
    wire [15:0] got0 = results0[get], got1 = results1[get], got2 = results2[get], got3 = results3[get];
    wire group_ends = valid4 && output4 == 2'd3 && {1'b0, position4} + 3'd1 == positions;
    wire is_result = op == RESULT || op == RESULT4;
    wire advance = fire && (op == RESULT4 || (op == RESULT && cmd_function_id[2]));
    wire group_read_ends = advance && {1'b0, read_position} + 3'd1 == positions;
    wire idle = !multiplying && !any_waiting && !valid1 && !valid2 && !valid3 && !valid4;

    always @(posedge clk) begin
        if (valid4) case (output4)
            2'd0: results0[put] <= result4;
            2'd1: results1[put] <= result4;
            2'd2: results2[put] <= result4;
            2'd3: results3[put] <= result4;
        endcase
        if (group_ends)
            group_write <= !group_write;
        if (advance)
            read_position <= group_read_ends ? 2'd0 : read_position + 2'd1;
        if (group_read_ends)
            group_read <= !group_read;
        if (fire && (op == CONFIG || op == TILE || op == BLOCK)) begin
            group_write <= 0;
            group_read <= 0;
            read_position <= 0;
        end
    end
    always @* any_group = group_write != group_read;

    // ---------------------------------------------------------------------------------------------- the port
    reg ready;
    always @* begin
        case (op)
            PUSH: ready = !pushing || push_ends;
            RUN: ready = !pushing;
            MAC: ready = !pushing && (!any_waiting || weights_end);
            RESULT, RESULT4: ready = any_group || idle;
            default: ready = !pushing && idle;
        endcase
    end
    assign cmd_ready = ready && (!rsp_valid || rsp_ready);

    always @(posedge clk) begin
        if (reset)
            rsp_valid <= 0;
        else if (fire)
            rsp_valid <= 1;
        else if (rsp_ready)
            rsp_valid <= 0;
        if (fire) begin
            rsp_outputs_0 <= 0;
            if (op == RESULT4)
                rsp_outputs_0 <= {got3[7:0], got2[7:0], got1[7:0], got0[7:0]};
            if (op == RESULT) case (cmd_function_id[1:0])
                2'd0: rsp_outputs_0 <= {{16{got0[15]}}, got0};
                2'd1: rsp_outputs_0 <= {{16{got1[15]}}, got1};
                2'd2: rsp_outputs_0 <= {{16{got2[15]}}, got2};
                2'd3: rsp_outputs_0 <= {{16{got3[15]}}, got3};
            endcase
        end
    end
endmodule
