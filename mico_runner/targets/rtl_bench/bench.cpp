// Test bench of a RISC-V core with Wishbone buses: memory, wait states, a cycle counter, an output port.
//
//   bench program.bin input.bin output.bin wait_states max_cycles
//
// Memory map (docs/howto/rtl.md):
//   0x00000000  RAM, 16 MiB: the program starts here
//   0x40000000  input.bin, read-only, cached
//   0xf0000000  OUT     write: one word is appended to output.bin
//   0xf0000004  EXIT    write: ends the simulation; 0 is success
//   0xf0000008  CYCLES  read: clock cycles since reset, low word
//   0xf000000c  INPUT   read: bytes of input.bin
// Exit code: 0 the program wrote 0 to EXIT, 1 another value, 2 usage or files, 3 max_cycles, 4 an access outside the map.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <algorithm>
#include <vector>

#include "VCore.h"
#include "verilated.h"

namespace {

constexpr uint32_t RAM_BYTES = 16u << 20;
constexpr uint32_t INPUT_BASE = 0x40000000u;
constexpr uint32_t OUT = 0xf0000000u, EXIT = OUT + 4, CYCLES = OUT + 8, INPUT = OUT + 12;

std::vector<uint8_t> ram(RAM_BYTES), input;
FILE *output;
uint64_t cycle;
uint64_t instruction_beats, data_beats;
bool ended;
int status;

void end(int code)
{
    ended = true;
    status = code;
}

std::vector<uint8_t> read_file(const char *path)
{
    FILE *file = std::fopen(path, "rb");
    if (!file) {
        std::fprintf(stderr, "%s: cannot be opened\n", path);
        std::exit(2);
    }
    std::vector<uint8_t> bytes;
    uint8_t buffer[65536];
    for (size_t got; (got = std::fread(buffer, 1, sizeof buffer, file)) > 0;)
        bytes.insert(bytes.end(), buffer, buffer + got);
    std::fclose(file);
    return bytes;
}

uint32_t word(const std::vector<uint8_t> &bytes, uint32_t at)
{
    uint32_t value = 0;
    for (uint32_t i = 0; i < 4; i++)
        value |= at + i < bytes.size() ? uint32_t(bytes[at + i]) << (8 * i) : 0;
    return value;
}

// False: nothing answers there.
bool load(uint32_t address, uint32_t *value)
{
    if (address < RAM_BYTES)
        *value = word(ram, address);
    else if (address >= INPUT_BASE && address - INPUT_BASE < input.size() + 64) // a cache line reads past the end
        *value = word(input, address - INPUT_BASE);
    else if (address == CYCLES)
        *value = uint32_t(cycle);
    else if (address == INPUT)
        *value = uint32_t(input.size());
    else
        return false;
    return true;
}

bool store(uint32_t address, uint32_t value, uint32_t select)
{
    if (address < RAM_BYTES) {
        for (uint32_t i = 0; i < 4; i++)
            if (select >> i & 1)
                ram[address + i] = uint8_t(value >> (8 * i));
    } else if (address == OUT) {
        std::fwrite(&value, sizeof value, 1, output);
    } else if (address == EXIT) {
        if (value)
            std::fprintf(stderr, "the program ended with code 0x%x at cycle %llu\n", value, (unsigned long long)cycle);
        end(value ? 1 : 0);
    } else {
        return false;
    }
    return true;
}

// One Wishbone slave port: answers each beat after `wait_states` further cycles.
struct Port {
    uint32_t waited = 0;

    bool ready(bool strobe, uint32_t wait_states)
    {
        if (!strobe) {
            waited = 0;
            return false;
        }
        if (waited++ < wait_states)
            return false;
        waited = 0;
        return true;
    }
};

} // namespace

int main(int argc, char **argv)
{
    if (argc != 6) {
        std::fprintf(stderr, "usage: bench program.bin input.bin output.bin wait_states max_cycles\n");
        return 2;
    }
    const std::vector<uint8_t> program = read_file(argv[1]);
    input = read_file(argv[2]);
    output = std::fopen(argv[3], "wb");
    if (!output || program.size() > RAM_BYTES) {
        std::fprintf(stderr, "%s\n", output ? "the program is larger than the RAM" : "the output cannot be opened");
        return 2;
    }
    std::copy(program.begin(), program.end(), ram.begin());
    const uint32_t wait_states = uint32_t(std::strtoul(argv[4], nullptr, 10));
    const uint64_t max_cycles = std::strtoull(argv[5], nullptr, 10);

    VerilatedContext context;
    VCore core(&context);
    Port instructions, data;
    core.externalResetVector = 0;
    core.timerInterrupt = core.softwareInterrupt = 0;
    core.externalInterruptArray = 0;
    core.iBusWishbone_ERR = core.dBusWishbone_ERR = 0;
    core.iBusWishbone_ACK = core.dBusWishbone_ACK = 0;
#ifdef CFU
    core.CfuPlugin_bus_cmd_ready = 1;
    core.CfuPlugin_bus_rsp_valid = 1;
    core.CfuPlugin_bus_rsp_payload_outputs_0 = 0;
#endif
    core.reset = 1;
    for (int i = 0; i < 20; i++) {
        core.clk = i & 1;
        core.eval();
    }
    core.reset = 0;

    while (!ended) {
        core.clk = 0;
        core.eval();

        // The requests are registered, so that the answers of this cycle follow from them alone.
        core.iBusWishbone_ACK = core.iBusWishbone_ERR = 0;
        if (instructions.ready(core.iBusWishbone_CYC && core.iBusWishbone_STB, wait_states)) {
            uint32_t value = 0;
            const bool known = load(core.iBusWishbone_ADR << 2, &value);
            core.iBusWishbone_DAT_MISO = value;
            core.iBusWishbone_ACK = known; // a fetch may be speculative: the core decides what the error means
            core.iBusWishbone_ERR = !known;
            instruction_beats++;
        }
        core.dBusWishbone_ACK = 0;
        if (data.ready(core.dBusWishbone_CYC && core.dBusWishbone_STB, wait_states)) {
            const uint32_t address = core.dBusWishbone_ADR << 2;
            uint32_t value = 0;
            const bool known = core.dBusWishbone_WE
                                   ? store(address, core.dBusWishbone_DAT_MOSI, core.dBusWishbone_SEL)
                                   : load(address, &value);
            if (!known) {
                std::fprintf(stderr, "%s of 0x%08x, where nothing is, at cycle %llu\n",
                             core.dBusWishbone_WE ? "store" : "load", address, (unsigned long long)cycle);
                end(4);
            }
            core.dBusWishbone_DAT_MISO = value;
            core.dBusWishbone_ACK = 1;
            data_beats++;
        }
        core.eval();
        core.clk = 1;
        core.eval();
        if (++cycle >= max_cycles && !ended) {
            std::fprintf(stderr, "no end after %llu cycles; last instruction fetch at 0x%08x\n",
                         (unsigned long long)cycle, uint32_t(core.iBusWishbone_ADR) << 2);
            end(3);
        }
    }
    core.final();
    std::fclose(output);
    std::printf("cycles %llu instruction_beats %llu data_beats %llu\n", (unsigned long long)cycle,
                (unsigned long long)instruction_beats, (unsigned long long)data_beats);
    return status;
}
