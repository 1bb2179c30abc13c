// Mixed-precision dot products for a core with a port for a custom function unit (CFU): docs/design/dot_unit.md.
//
// A tile of up to sixteen patches (the activations under one output position each) lies in a buffer; an instruction brings 64 bits of
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
    output wire [31:0] rsp_outputs_0
);
    localparam CONFIG = 4'd0, RANGE = 4'd1, CHANNEL = 4'd2, TILE = 4'd3, BLOCK = 4'd4;
    localparam PUSH = 4'd5, CUT = 4'd6, MAC = 4'd7, RESULT = 4'd8, RESULT4 = 4'd9, MAX = 4'd10;

    localparam BUFFER_BITS = 10;  // 1024 words of activations
    localparam CHANNEL_BITS = 8;  // 256 channels
    localparam WINDOW_BITS = 9;   // 512 times 64 bits of input

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
    reg [4:0]  positions;     // patches in the buffer, 1 .. 16

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
            positions <= cmd_inputs_0[4:0];
    end

    // ---------------------------------------------------------------------------------------------- activations in
    // Bytes of the input are pushed into a window, a ring of 64-bit words. A cut appends bytes to each of some patches, as lanes: `run`
    // bytes to the first, to the next `run` bytes that begin `step` later, and so on. Counted over all of them, the first `before` are
    // zeros, the next `real` are in the window, and what follows is zeros again. Stage A: which bytes of which word; stage B: their lanes.
    reg [63:0] window [0:(1 << WINDOW_BITS)-1];
    reg [WINDOW_BITS-1:0] window_write, segment;  // segment: where the words of the next cut begin
    reg [63:0] window_words;

    reg        cutting;
    reg        cut_ends;      // the patches are complete with this cut
    reg        cut_pause;     // stage B writes the last word of a patch
    reg [3:0]  cut_position, cut_last;
    reg [9:0]  cut_run, cut_step, cut_left;
    reg [10:0] cut_begin, cut_at;  // bytes from the first patch's first: where this patch begins; the next one
    reg [10:0] cut_before, cut_beyond;
    reg [WINDOW_BITS+2:0] cut_origin;  // the window's address of byte 0, if it were there
    wire [WINDOW_BITS+2:0] cut_address = cut_origin + cut_at;
    reg        cut_first;
    reg [15:0] taps_left;     // of the patches that are being cut
    wire [2:0] offered = 3'd4 - {1'b0, cut_address[1:0]};
    wire [2:0] taken = cut_left < {7'd0, offered} ? cut_left[2:0] : offered;
    wire       run_ends = cut_left == {7'd0, taken};
    wire       cut_done = run_ends && cut_position == cut_last;
    wire [10:0] next_begin = cut_begin + cut_step;
    wire step_a = cutting && !cut_pause;

    reg        valid_b, first_b, last_b, done_b, ends_b, half_b, flush;
    reg [1:0]  skip_b;
    reg [3:0]  position_b;
    reg [2:0]  taken_b;
    reg [31:0] mask_b;
    integer    lane_b;
    reg [31:0] partial;       // a word that is not full yet
    reg [4:0]  partial_bits, row_bits;
    reg [31:0] partials [0:15];
    reg [BUFFER_BITS-1:0] write_at, row_at;
    wire [31:0] word_b = half_b ? window_words[63:32] : window_words[31:0];
    wire [31:0] at_skip = (word_b >> {skip_b, 3'b000}) & mask_b;
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
    wire [5:0]  taken_bits = {3'd0, taken_b} << lane;
    wire [31:0] taken_lanes = packed_lanes & ~(32'hffffffff << taken_bits);
    wire [4:0]  bits_b = first_b ? row_bits : partial_bits;
    wire [31:0] partial_b = !first_b ? partial : row_bits == 0 ? 32'd0 : partials[position_b];
    wire [BUFFER_BITS-1:0] at_b = first_b ? row_at + position_b : write_at;
    wire [63:0] filled = {32'd0, partial_b} | ({32'd0, taken_lanes} << bits_b);
    wire [5:0]  filled_bits = {1'b0, bits_b} + taken_bits;
    wire        full = filled_bits[5];
    wire [31:0] rest = full ? filled[63:32] : filled[31:0];
    wire [BUFFER_BITS-1:0] next_at = at_b + positions;

    reg [31:0] buffer [0:(1 << BUFFER_BITS)-1];
    reg [31:0] x_word;
    reg [BUFFER_BITS-1:0] read_at;
    wire write = flush || (valid_b && full);
    always @(posedge clk) begin
        if (write)
            buffer[flush ? write_at : at_b] <= flush ? partial : filled[31:0];
        x_word <= buffer[read_at];
        if (fire && op == PUSH)
            window[window_write] <= {cmd_inputs_1, cmd_inputs_0};
        window_words <= window[cut_address[WINDOW_BITS+2:3]];
    end

    always @(posedge clk) begin
        if (reset) begin
            cutting <= 0;
            cut_pause <= 0;
            valid_b <= 0;
            flush <= 0;
            window_write <= 0;
            segment <= 0;
        end else begin
            cut_pause <= 0;
            if (step_a) begin
                cut_at <= run_ends ? next_begin : cut_at + taken;
                cut_left <= run_ends ? cut_run : cut_left - taken;
                cut_first <= run_ends;
                if (run_ends) begin
                    cut_begin <= next_begin;
                    cut_position <= cut_position + 4'd1;
                    cut_pause <= cut_ends;
                    cutting <= !cut_done;
                end
            end
            valid_b <= step_a;
            {first_b, last_b, done_b, ends_b} <= {cut_first, run_ends, cut_done, cut_ends};
            {position_b, skip_b, half_b, taken_b} <= {cut_position, cut_address[1:0], cut_address[2], taken};
            for (lane_b = 0; lane_b < 4; lane_b = lane_b + 1)
                mask_b[8*lane_b +: 8] <= {8{cut_at + lane_b >= cut_before && cut_at + lane_b < cut_beyond}};

            flush <= valid_b && last_b && ends_b && filled_bits != 6'd32;
            if (valid_b) begin
                partial <= rest;
                partial_bits <= filled_bits[4:0];
                write_at <= full ? next_at : at_b;
                if (last_b)
                    partials[position_b] <= rest;
                if (done_b) begin
                    row_bits <= ends_b ? 5'd0 : filled_bits[4:0];
                    row_at <= ends_b ? {BUFFER_BITS{1'b0}} : (full ? next_at : at_b) - position_b;
                end
            end
            if (fire) case (op)
                TILE: begin
                    row_bits <= 0;
                    row_at <= 0;
                    taps_left <= taps;
                end
                PUSH: window_write <= window_write + 1'b1;
                CUT: begin
                    cutting <= 1;
                    cut_position <= cmd_inputs_0[5:2];
                    cut_last <= cmd_inputs_0[9:6];
                    cut_before <= cmd_inputs_0[20:10];
                    cut_beyond <= cmd_inputs_0[20:10] + cmd_inputs_0[31:21];
                    cut_origin <= {segment, 1'b0, cmd_inputs_0[1:0]} - cmd_inputs_0[20:10];
                    cut_run <= cmd_inputs_1[9:0];
                    cut_left <= cmd_inputs_1[9:0];
                    cut_step <= cmd_inputs_1[25:16];
                    cut_first <= 1;
                    cut_at <= 0;
                    cut_begin <= 0;
                    cut_ends <= taps_left == {6'd0, cmd_inputs_1[9:0]};
                    taps_left <= taps_left == {6'd0, cmd_inputs_1[9:0]} ? taps : taps_left - cmd_inputs_1[9:0];
                    segment <= window_write;
                end
                default: ;
            endcase
        end
    end
    wire gathering = cutting || valid_b || flush;

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
    reg [31:0] weights;
    reg [63:0] queue [0:3];
    reg [3:0]  queue_single;  // of the entry's two words, the first alone
    reg [2:0]  queue_write, queue_read;
    reg        queue_half;
    reg [3:0]  steps_left;    // in `weights`: words of each patch that they are for
    reg [3:0]  position;
    reg [15:0] words_left;    // of the row
    reg        row_begins;
    wire any_queued = queue_write != queue_read;
    wire queue_full = queue_write == {!queue_read[2], queue_read[1:0]};
    wire multiplying = steps_left != 0;
    wire [1:0] ratio = lane - weight;
    wire last_position = {1'b0, position} + 5'd1 == positions;
    wire row_ends = words_left == 16'd1;
    wire step_ends = multiplying && last_position;
    wire weights_end = !multiplying || (step_ends && (row_ends || steps_left == 4'd1));  // the rest of a row's last word is padding

    wire [31:0] expanded;
    mico_dot_expand expand (.lane(lane), .weight(weight), .packed_weights(weights), .lanes(expanded));

    always @(posedge clk) begin
        if (reset) begin
            steps_left <= 0;
            queue_write <= 0;
            queue_read <= 0;
            queue_half <= 0;
        end else begin
            if (multiplying) begin
                position <= last_position ? 4'd0 : position + 4'd1;
                read_at <= row_ends && last_position ? {BUFFER_BITS{1'b0}} : read_at + 1'b1;
            end
            if (step_ends) begin
                words_left <= row_ends ? words : words_left - 16'd1;
                row_begins <= row_ends;
                if (row_ends)
                    channel_read <= channel_read + 1'b1;
                steps_left <= steps_left - 4'd1;
                weights <= weights >> (6'd32 >> ratio);
            end
            if (weights_end) begin
                weights <= queue_half ? queue[queue_read[1:0]][63:32] : queue[queue_read[1:0]][31:0];
                steps_left <= any_queued ? 4'd1 << ratio : 4'd0;
                if (any_queued) begin
                    queue_half <= !queue_half && !queue_single[queue_read[1:0]];
                    if (queue_half || queue_single[queue_read[1:0]])
                        queue_read <= queue_read + 3'd1;
                end
            end
            if (fire && op == MAC) begin
                queue[queue_write[1:0]] <= {cmd_inputs_1, cmd_inputs_0};
                queue_single[queue_write[1:0]] <= cmd_function_id[0];
                queue_write <= queue_write + 3'd1;
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
    reg [3:0]  position1, position2, position3, position4;
    reg [1:0]  output1, output2, output3, output4;
    reg [31:0] lanes1;
    reg signed [19:0] dot2;
    reg [59:0] constants2;
    reg [27:0] scale3;
    reg [5:0]  shift4;
    reg signed [31:0] accumulator3;
    reg signed [31:0] accumulators [0:15];
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
    reg [15:0] results0 [0:31], results1 [0:31], results2 [0:31], results3 [0:31];
    reg [15:0] got0, got1, got2, got3;
    reg        group_write, group_read;
    reg        any_group;     // the group to be read is complete
    reg [3:0]  read_position;
    wire [4:0] put = {group_write, position4}, get = {group_read, read_position};
    wire group_ends = valid4 && output4 == 2'd3 && {1'b0, position4} + 5'd1 == positions;
    wire advance = fire && (op == RESULT4 || (op == RESULT && cmd_function_id[2]));
    wire group_read_ends = advance && {1'b0, read_position} + 5'd1 == positions;
    wire idle = !multiplying && !any_queued && !valid1 && !valid2 && !valid3 && !valid4;

    always @(posedge clk) begin
        if (valid4) case (output4)
            2'd0: results0[put] <= result4;
            2'd1: results1[put] <= result4;
            2'd2: results2[put] <= result4;
            2'd3: results3[put] <= result4;
        endcase
        if (fire) begin
            got0 <= results0[get];
            got1 <= results1[get];
            got2 <= results2[get];
            got3 <= results3[get];
        end
        if (group_ends)
            group_write <= !group_write;
        if (advance)
            read_position <= group_read_ends ? 4'd0 : read_position + 4'd1;
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
    reg ready, as_bytes, as_max;
    reg [31:0] greater;
    integer i;
    reg [1:0] channel;
    always @* begin
        case (op)
            PUSH, MAX: ready = 1;
            CUT: ready = !cutting;
            MAC: ready = !gathering && !queue_full;
            RESULT, RESULT4: ready = any_group || idle;
            default: ready = !gathering && idle;
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
            as_bytes <= op == RESULT4;
            as_max <= op == MAX;
            for (i = 0; i < 4; i = i + 1)  // funct3 1: the bytes are signed
                greater[8*i +: 8] <= {cmd_inputs_0[8*i + 7] ^ cmd_function_id[0], cmd_inputs_0[8*i +: 7]} >
                                     {cmd_inputs_1[8*i + 7] ^ cmd_function_id[0], cmd_inputs_1[8*i +: 7]}
                                     ? cmd_inputs_0[8*i +: 8] : cmd_inputs_1[8*i +: 8];
            channel <= cmd_function_id[1:0];
        end
    end

    wire [15:0] got = channel[1] ? (channel[0] ? got3 : got2) : (channel[0] ? got1 : got0);
    assign rsp_outputs_0 = as_max ? greater : as_bytes ? {got3[7:0], got2[7:0], got1[7:0], got0[7:0]} : {{16{got[15]}}, got};
endmodule
