"""Differential fuzzing: random kernel calls in C against the integer reference. `python -m tests.fuzz --help`."""
