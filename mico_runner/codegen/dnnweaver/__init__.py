"""Integer graph to files for accelerators of DNNWeaver's kind. See docs/reference/dnnweaver.md.

write(qgraph, folder)                # dnnweaver.json, dnnweaver.bin: the whole network
read(folder)                         # the same integer graph again, for any executor
kernel_rows(read(folder), batch)     # what a cost model is asked, from the files alone
conv_groups(graph, images)           # the form that DNNWeaver2's compiler takes: 16 bits, groups that begin with a convolution
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mico_runner.codegen.dnnweaver.file import read as read
    from mico_runner.codegen.dnnweaver.file import write as write
    from mico_runner.codegen.dnnweaver.fixed import conv_groups as conv_groups
    from mico_runner.codegen.dnnweaver.rules import broken_rules as broken_rules
    from mico_runner.codegen.dnnweaver.table import kernel_rows as kernel_rows

_HOME = {"read": "file", "write": "file", "conv_groups": "fixed", "broken_rules": "rules", "kernel_rows": "table"}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
