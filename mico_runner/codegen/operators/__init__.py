"""Operators: how a node becomes kernel calls. One file per operator, beside its C in `kernels/mico_<operator>.c`."""

from mico_runner.registry import Registry

OPERATORS = Registry("operator", "mico_runner.codegen.operators")
register = OPERATORS.register
