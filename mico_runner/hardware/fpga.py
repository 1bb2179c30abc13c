"""Figures of a device of kind `fpga`: what it has of each resource, and what an engine of multipliers takes of them.

No cost model simulates such a device as it is: `codesign` chooses its engines (docs/design/fpga.md has the model).
"""

KIND = "fpga"
PARAMETERS = {
    "dsp": "whole",
    "bram36": "whole",
    "lut": "whole",
    "dsp_products_8": "whole",
    "dsp_products_4": "whole",
    "bram36_bits": "whole",
    "bram36_port_bits": "whole",
    "engine_lut": "whole",
    "accumulator_bits": "whole",
    "dram_bits_per_cycle": "rate",
}
