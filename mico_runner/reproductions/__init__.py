"""Models of this project beside tables of other people's runs: one file per table, an entry is a function.

    @register("timeloop-dosa", data="codesign/dosa-timeloop", params={...})
    def reproduce(files: list[Path], seed: int, **params) -> Outcome: ...

`data` is the data set of the catalog whose files it reads, and `params` the Cerberus schema of its options; both are literals.
"""

from mico_runner.registry import Registry

REPRODUCTIONS = Registry("reproduction", __name__)
register = REPRODUCTIONS.register
