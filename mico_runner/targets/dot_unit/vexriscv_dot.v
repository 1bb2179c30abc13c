// VexRiscv FullCfu with the dot-product unit on its port for a custom function unit; the other ports are the core's.
module VexRiscvDot (
    input  wire [31:0] externalResetVector,
    input  wire        timerInterrupt,
    input  wire        softwareInterrupt,
    input  wire [31:0] externalInterruptArray,
    output wire        iBusWishbone_CYC,
    output wire        iBusWishbone_STB,
    input  wire        iBusWishbone_ACK,
    output wire        iBusWishbone_WE,
    output wire [29:0] iBusWishbone_ADR,
    input  wire [31:0] iBusWishbone_DAT_MISO,
    output wire [31:0] iBusWishbone_DAT_MOSI,
    output wire [3:0]  iBusWishbone_SEL,
    input  wire        iBusWishbone_ERR,
    output wire [2:0]  iBusWishbone_CTI,
    output wire [1:0]  iBusWishbone_BTE,
    output wire        dBusWishbone_CYC,
    output wire        dBusWishbone_STB,
    input  wire        dBusWishbone_ACK,
    output wire        dBusWishbone_WE,
    output wire [29:0] dBusWishbone_ADR,
    input  wire [31:0] dBusWishbone_DAT_MISO,
    output wire [31:0] dBusWishbone_DAT_MOSI,
    output wire [3:0]  dBusWishbone_SEL,
    input  wire        dBusWishbone_ERR,
    output wire [2:0]  dBusWishbone_CTI,
    output wire [1:0]  dBusWishbone_BTE,
    input  wire        clk,
    input  wire        reset
);
    wire        cmd_valid, cmd_ready, rsp_valid, rsp_ready;
    wire [9:0]  cmd_function_id;
    wire [31:0] cmd_inputs_0, cmd_inputs_1, rsp_outputs_0;

    VexRiscv core (
        .externalResetVector(externalResetVector),
        .timerInterrupt(timerInterrupt),
        .softwareInterrupt(softwareInterrupt),
        .externalInterruptArray(externalInterruptArray),
        .CfuPlugin_bus_cmd_valid(cmd_valid),
        .CfuPlugin_bus_cmd_ready(cmd_ready),
        .CfuPlugin_bus_cmd_payload_function_id(cmd_function_id),
        .CfuPlugin_bus_cmd_payload_inputs_0(cmd_inputs_0),
        .CfuPlugin_bus_cmd_payload_inputs_1(cmd_inputs_1),
        .CfuPlugin_bus_rsp_valid(rsp_valid),
        .CfuPlugin_bus_rsp_ready(rsp_ready),
        .CfuPlugin_bus_rsp_payload_outputs_0(rsp_outputs_0),
        .iBusWishbone_CYC(iBusWishbone_CYC),
        .iBusWishbone_STB(iBusWishbone_STB),
        .iBusWishbone_ACK(iBusWishbone_ACK),
        .iBusWishbone_WE(iBusWishbone_WE),
        .iBusWishbone_ADR(iBusWishbone_ADR),
        .iBusWishbone_DAT_MISO(iBusWishbone_DAT_MISO),
        .iBusWishbone_DAT_MOSI(iBusWishbone_DAT_MOSI),
        .iBusWishbone_SEL(iBusWishbone_SEL),
        .iBusWishbone_ERR(iBusWishbone_ERR),
        .iBusWishbone_CTI(iBusWishbone_CTI),
        .iBusWishbone_BTE(iBusWishbone_BTE),
        .dBusWishbone_CYC(dBusWishbone_CYC),
        .dBusWishbone_STB(dBusWishbone_STB),
        .dBusWishbone_ACK(dBusWishbone_ACK),
        .dBusWishbone_WE(dBusWishbone_WE),
        .dBusWishbone_ADR(dBusWishbone_ADR),
        .dBusWishbone_DAT_MISO(dBusWishbone_DAT_MISO),
        .dBusWishbone_DAT_MOSI(dBusWishbone_DAT_MOSI),
        .dBusWishbone_SEL(dBusWishbone_SEL),
        .dBusWishbone_ERR(dBusWishbone_ERR),
        .dBusWishbone_CTI(dBusWishbone_CTI),
        .dBusWishbone_BTE(dBusWishbone_BTE),
        .clk(clk),
        .reset(reset)
    );

    mico_dot unit (
        .clk(clk), .reset(reset),
        .cmd_valid(cmd_valid), .cmd_ready(cmd_ready), .cmd_function_id(cmd_function_id),
        .cmd_inputs_0(cmd_inputs_0), .cmd_inputs_1(cmd_inputs_1),
        .rsp_valid(rsp_valid), .rsp_ready(rsp_ready), .rsp_outputs_0(rsp_outputs_0)
    );
endmodule
