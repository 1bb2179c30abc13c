// Requantisation: (accumulator * multiplier + 2^(shift - 1)) >> shift, clamped; or its sign. In two stages: `shift` comes a cycle after
// the accumulator, the result a further one.
module mico_dot_scale (
    input  wire        clk,
    input  wire signed [31:0] accumulator,
    input  wire [21:0] multiplier,
    input  wire [5:0]  shift,  // 1 .. 52
    input  wire        sign,
    input  wire signed [16:0] low,
    input  wire signed [16:0] high,
    output reg  signed [15:0] result
);
    reg  signed [54:0] product;
    wire signed [54:0] doubled = product >>> (shift - 6'd1);
    wire signed [54:0] rounded = (doubled + 55'sd1) >>> 1;  // half up

    always @(posedge clk)
        product <= accumulator * $signed({1'b0, multiplier});

    always @* begin
        if (sign)
            result = product < 0 ? -16'sd1 : 16'sd1;
        else if (rounded < low)
            result = low[15:0];
        else if (rounded > high)
            result = high[15:0];
        else
            result = rounded[15:0];
    end
endmodule
