// Packed weights to lanes, and the products of 32 bits of lanes.

// The lowest weights of `packed_weights`, each widened to a lane: two's complement, or -1 and +1 for one bit in wider lanes.
module mico_dot_expand (
    input  wire [1:0]  lane,    // log2 of the bits of a lane
    input  wire [1:0]  weight,  // log2 of the bits of a weight, at most `lane`
    input  wire [31:0] packed_weights,
    output reg  [31:0] lanes
);
    integer i;
    always @* begin
        lanes = packed_weights;
        case ({lane, weight})
            {2'd3, 2'd2}: for (i = 0; i < 4; i = i + 1)
                lanes[8*i +: 8] = {{4{packed_weights[4*i + 3]}}, packed_weights[4*i +: 4]};
            {2'd3, 2'd1}: for (i = 0; i < 4; i = i + 1)
                lanes[8*i +: 8] = {{6{packed_weights[2*i + 1]}}, packed_weights[2*i +: 2]};
            {2'd3, 2'd0}: for (i = 0; i < 4; i = i + 1)
                lanes[8*i +: 8] = {{7{!packed_weights[i]}}, 1'b1};
            {2'd2, 2'd1}: for (i = 0; i < 8; i = i + 1)
                lanes[4*i +: 4] = {{2{packed_weights[2*i + 1]}}, packed_weights[2*i +: 2]};
            {2'd2, 2'd0}: for (i = 0; i < 8; i = i + 1)
                lanes[4*i +: 4] = {{3{!packed_weights[i]}}, 1'b1};
            {2'd1, 2'd0}: for (i = 0; i < 16; i = i + 1)
                lanes[2*i +: 2] = {!packed_weights[i], 1'b1};
            default: ;
        endcase
    end
endmodule

// dot = sum of x[i] * w[i] over the lanes of 8, 4, 2 or 1 bits.
//
// Lanes of 8 and of 4 bits share eight multipliers of 9 x 5 bits: in lanes of 8 bits an even one takes the low half of a weight and
// an odd one the high half.
module mico_dot_lanes (
    input  wire [1:0]  lane,
    input  wire        x_signed,
    input  wire        x_signs,  // lanes of one bit are -1 and +1 instead of 0 and 1
    input  wire [31:0] x,
    input  wire [31:0] w,
    output reg  signed [19:0] dot
);
    wire bytes = lane == 2'd3;
    reg signed [8:0]  a;
    reg signed [4:0]  b;
    reg signed [4:0]  a2;
    reg signed [13:0] product;
    reg signed [4:0]  product2;
    reg signed [15:0] even, odd;
    reg signed [8:0]  pairs;
    reg [5:0] both, only;
    integer i;
    always @* begin
        even = 0;
        odd = 0;
        for (i = 0; i < 8; i = i + 1) begin
            a = bytes ? {x_signed & x[8*(i/2) + 7], x[8*(i/2) +: 8]} : {{5{x_signed & x[4*i + 3]}}, x[4*i +: 4]};
            b = {(!bytes || i[0]) & w[4*i + 3], w[4*i +: 4]};
            product = a * b;
            if (i[0])
                odd = odd + product;
            else
                even = even + product;
        end
        pairs = 0;
        for (i = 0; i < 16; i = i + 1) begin
            a2 = {{3{x_signed & x[2*i + 1]}}, x[2*i +: 2]};
            case (w[2*i +: 2])  // no multiplier: a weight is 0, 1, -2 or -1
                2'd0: product2 = 0;
                2'd1: product2 = a2;
                2'd2: product2 = -(a2 <<< 1);
                2'd3: product2 = -a2;
            endcase
            pairs = pairs + product2;
        end
        both = 0;
        only = 0;
        for (i = 0; i < 32; i = i + 1) begin
            both = both + {5'd0, x_signs ? x[i] ~^ w[i] : x[i] & w[i]};
            only = only + {5'd0, x_signs ? x[i] ^ w[i] : x[i] & ~w[i]};
        end
        case (lane)
            2'd3: dot = even + (odd <<< 4);
            2'd2: dot = even + odd;
            2'd1: dot = pairs;
            default: dot = $signed({14'd0, both}) - $signed({14'd0, only});
        endcase
    end
endmodule
