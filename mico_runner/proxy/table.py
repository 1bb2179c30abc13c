"""The kernel table under the name of the room that uses it most; it lives below all rooms, since data and graph make such tables."""

from mico_runner.kernel_table import BITS, COLUMNS, DERIVED, KINDS, SHAPE, kernel_table

__all__ = ["BITS", "COLUMNS", "DERIVED", "KINDS", "SHAPE", "kernel_table"]
