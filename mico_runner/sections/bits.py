"""The width of a number."""

Bits = float  # 1.5 is ternary, all other widths are whole
