// Runs instructions on the dot-product unit alone, with random pauses on both sides of its port.
//
//   bench commands.bin responses.bin seed
//
// commands.bin: per instruction funct7, funct3, both operands, as uint32_t. responses.bin: the result of each, in order.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "Vmico_dot.h"
#include "verilated.h"

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    std::FILE *commands = std::fopen(argv[1], "rb"), *responses = std::fopen(argv[2], "wb");
    if (!commands || !responses)
        return 2;
    std::mt19937 random(uint32_t(std::strtoul(argv[3], nullptr, 10)));
    VerilatedContext context;
    Vmico_dot unit(&context);
    unit.cmd_valid = 0;
    unit.rsp_ready = 0;
    unit.reset = 1;
    for (int i = 0; i < 8; i++) {
        unit.clk = i & 1;
        unit.eval();
    }
    unit.reset = 0;

    uint32_t command[4];
    bool more = std::fread(command, sizeof command, 1, commands) == 1;
    long pending = 0, idle = 0;
    while (more || pending > 0) {
        unit.clk = 0;
        if (!unit.cmd_valid && more && random() % 4 != 0) {
            unit.cmd_valid = 1;
            unit.cmd_function_id = command[0] << 3 | command[1];
            unit.cmd_inputs_0 = command[2];
            unit.cmd_inputs_1 = command[3];
        }
        unit.rsp_ready = random() % 4 != 0;
        unit.eval();
        const bool fired = unit.cmd_valid && unit.cmd_ready, answered = unit.rsp_valid && unit.rsp_ready;
        if (answered) {
            const uint32_t result = unit.rsp_outputs_0;
            std::fwrite(&result, sizeof result, 1, responses);
            pending--;
        }
        unit.clk = 1;
        unit.eval();
        if (fired) {
            pending++;
            unit.cmd_valid = 0;
            more = std::fread(command, sizeof command, 1, commands) == 1;
        }
        idle = fired || answered ? 0 : idle + 1;
        if (idle > 1000000) {
            std::fprintf(stderr, "the unit hangs on operation %u\n", command[0]);
            return 3;
        }
    }
    std::fclose(responses);
    return 0;
}
