"""mico-run: one YAML spec in, a versioned result out. One file per command; it adds its arguments, calls the library and prints."""

from mico_runner.cli.entry import main

__all__ = ["main"]
