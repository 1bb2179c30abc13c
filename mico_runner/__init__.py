"""mico-runner: mixed-precision neural networks on real hardware, from one YAML spec."""

__version__ = "0.1.0"
