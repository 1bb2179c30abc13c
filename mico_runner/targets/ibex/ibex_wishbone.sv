// Ibex behind the ports of VexRiscv, so that one test bench drives both: two Wishbone buses, classic cycles.
//
// Parameters: Ibex's own configuration "small" (ibex_configs.yaml): two stages, RV32IMC, multiplication in three cycles, no cache,
// no branch prediction, no memory protection. A request is held until the bus answers (ACK is Ibex's gnt); the data follow one
// cycle later (rvalid), the earliest that Ibex's protocol allows: memory without wait states is a synchronous RAM.
//
// Ibex starts at boot_addr + 0x80. Its boot_addr is BOOT, where a ROM of one instruction jumps to address 0, where VexRiscv starts.
module IbexWishbone (
    input  logic [31:0] externalResetVector, // not used
    input  logic        timerInterrupt,
    input  logic        softwareInterrupt,
    input  logic [31:0] externalInterruptArray,
    output logic        iBusWishbone_CYC,
    output logic        iBusWishbone_STB,
    input  logic        iBusWishbone_ACK,
    output logic [29:0] iBusWishbone_ADR,
    input  logic [31:0] iBusWishbone_DAT_MISO,
    input  logic        iBusWishbone_ERR,
    output logic        dBusWishbone_CYC,
    output logic        dBusWishbone_STB,
    input  logic        dBusWishbone_ACK,
    output logic        dBusWishbone_WE,
    output logic [29:0] dBusWishbone_ADR,
    input  logic [31:0] dBusWishbone_DAT_MISO,
    output logic [31:0] dBusWishbone_DAT_MOSI,
    output logic [3:0]  dBusWishbone_SEL,
    input  logic        dBusWishbone_ERR,
    input  logic        clk,
    input  logic        reset
);
    localparam logic [31:0] BOOT = 32'hffffff00;
    localparam logic [31:0] JUMP_TO_0 = 32'h00000067; // jalr zero, 0(zero)

    logic        instr_req, instr_gnt, instr_rvalid, instr_err, in_rom;
    logic [31:0] instr_addr, instr_rdata;
    logic        data_req, data_gnt, data_rvalid, data_err;
    logic [31:0] data_addr, data_rdata;

    assign in_rom = instr_addr[31:8] == BOOT[31:8];
    assign iBusWishbone_CYC = instr_req & ~in_rom;
    assign iBusWishbone_STB = iBusWishbone_CYC;
    assign iBusWishbone_ADR = instr_addr[31:2];
    assign instr_gnt = instr_req & (in_rom | iBusWishbone_ACK | iBusWishbone_ERR);

    assign dBusWishbone_CYC = data_req;
    assign dBusWishbone_STB = data_req;
    assign dBusWishbone_ADR = data_addr[31:2];
    assign data_gnt = data_req & (dBusWishbone_ACK | dBusWishbone_ERR);

    always_ff @(posedge clk) begin
        instr_rvalid <= instr_gnt & ~reset;
        instr_rdata  <= in_rom ? JUMP_TO_0 : iBusWishbone_DAT_MISO;
        instr_err    <= ~in_rom & iBusWishbone_ERR;
        data_rvalid  <= data_gnt & ~reset;
        data_rdata   <= dBusWishbone_DAT_MISO;
        data_err     <= dBusWishbone_ERR;
    end

    ibex_top #(
        .RV32M(ibex_pkg::RV32MFast),
        .RV32B(ibex_pkg::RV32BNone),
        .RegFile(ibex_pkg::RegFileFF),
        .RV32E(1'b0), .BranchTargetALU(1'b0), .WritebackStage(1'b0), .ICache(1'b0), .ICacheECC(1'b0),
        .ICacheScramble(1'b0), .BranchPredictor(1'b0), .DbgTriggerEn(1'b0), .SecureIbex(1'b0), .PMPEnable(1'b0)
    ) core (
        .clk_i(clk),
        .rst_ni(~reset),
        .test_en_i(1'b0),
        .scan_rst_ni(1'b1),
        .ram_cfg_i('0),
        .hart_id_i('0),
        .boot_addr_i(BOOT),
        .instr_req_o(instr_req),
        .instr_gnt_i(instr_gnt),
        .instr_rvalid_i(instr_rvalid),
        .instr_addr_o(instr_addr),
        .instr_rdata_i(instr_rdata),
        .instr_rdata_intg_i('0),
        .instr_err_i(instr_err),
        .data_req_o(data_req),
        .data_gnt_i(data_gnt),
        .data_rvalid_i(data_rvalid),
        .data_we_o(dBusWishbone_WE),
        .data_be_o(dBusWishbone_SEL),
        .data_addr_o(data_addr),
        .data_wdata_o(dBusWishbone_DAT_MOSI),
        .data_wdata_intg_o(),
        .data_rdata_i(data_rdata),
        .data_rdata_intg_i('0),
        .data_err_i(data_err),
        .irq_software_i(softwareInterrupt),
        .irq_timer_i(timerInterrupt),
        .irq_external_i(|externalInterruptArray),
        .irq_fast_i('0),
        .irq_nm_i(1'b0),
        .scramble_key_valid_i(1'b0),
        .scramble_key_i('0),
        .scramble_nonce_i('0),
        .scramble_req_o(),
        .debug_req_i(1'b0),
        .crash_dump_o(),
        .double_fault_seen_o(),
        .fetch_enable_i(ibex_pkg::IbexMuBiOn),
        .alert_minor_o(),
        .alert_major_internal_o(),
        .alert_major_bus_o(),
        .core_sleep_o()
    );
endmodule
