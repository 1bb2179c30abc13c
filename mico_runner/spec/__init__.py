"""The spec: YAML with `extends` and overrides, checked against the schema and against itself; every error has file, line and column.

spec = load("specs/quickstart.yaml", overrides=["search.budget.evaluations=40"])
spec.data["hardware"]                     # all keys present, defaults filled in, absent optional sections None
spec.locate("search.budget")              # "specs/quickstart.yaml:14:11"
"""

from mico_runner.spec.errors import SpecErrors
from mico_runner.spec.export import dump, schema
from mico_runner.spec.loading import Spec, load
from mico_runner.spec.matrix import Sweep, sweep

__all__ = ["Spec", "SpecErrors", "Sweep", "dump", "load", "schema", "sweep"]
