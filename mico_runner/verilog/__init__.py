"""A small systolic array as Verilog: written for a device, simulated on a layer, and synthesised (docs/howto/verilog.md)."""
