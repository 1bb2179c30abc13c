"""`plugins:` of a spec, and installed ones: found and read before the rest of it, whose allowed names they add to."""

from __future__ import annotations

from pathlib import Path

from cerberus import SchemaError

from mico_runner import plugins
from mico_runner.accelerators import ACCELERATORS
from mico_runner.data import LOADERS
from mico_runner.errors import UsageError
from mico_runner.models import MODELS
from mico_runner.ops import OPERATORS
from mico_runner.profiling.samplers import SAMPLERS
from mico_runner.proxy import FEATURES, REGRESSORS, STRATEGIES
from mico_runner.quant.rounding import ROUNDINGS
from mico_runner.reproductions import REPRODUCTIONS
from mico_runner.search import ALGORITHMS
from mico_runner.spec.errors import SpecErrors
from mico_runner.spec.files import escapes
from mico_runner.targets import TARGETS
from mico_runner.tasks import TASKS
from mico_runner.tune import POLICIES
from mico_runner.validation import PROTOCOLS
from mico_runner.yaml_schema import Problem, Validator, show
from mico_runner.yaml_source import Keys, Source

EXTENDED = {
    of.package: of
    for of in (
        MODELS,
        OPERATORS,
        ALGORITHMS,
        STRATEGIES,
        REGRESSORS,
        FEATURES,
        SAMPLERS,
        TARGETS,
        ACCELERATORS,
        PROTOCOLS,
        REPRODUCTIONS,
        TASKS,
        LOADERS,
        POLICIES,
        ROUNDINGS,
    )
}


def use_plugins(source: Source, folder: Path) -> None:
    """Let the registries know the files that a spec names, relative to `folder`, and installed ones. None of their code is run.

    Raises SpecErrors: all that is wrong with them.
    """
    wanted = source.data.get("plugins") if isinstance(source.data, dict) else None
    found: list[Path] = []
    problems = []
    for number, place in enumerate(wanted if isinstance(wanted, list) else []):
        path: Keys = ("plugins", number)
        try:
            if isinstance(place, str) and place and "\0" not in place:  # else the schema says what is allowed
                found += _files(place, folder)
        except UsageError as error:
            problems.append(Problem(source.place(path), path, str(error)))
    if problems:
        plugins.use(())
        raise SpecErrors(problems)
    plugins.use(found)
    try:
        for file in plugins.installed():
            _check_package(file)
        for registry in EXTENDED.values():
            for entry in registry.entries.values():
                if entry.path is not None and "params" in entry.meta:
                    _check(entry.path, entry.name, entry.meta["params"])
    except UsageError as error:
        plugins.use(())
        raise SpecErrors([Problem(source.place(("plugins",)), ("plugins",), str(error))]) from None


def _files(place: str, folder: Path) -> list[Path]:
    if escapes(place):
        raise UsageError(
            f"found {show(place)}; allowed: a path below the spec's folder, or an absolute one, without '..'"
        )
    files = plugins.files(folder / place)
    for file in files:
        _check_package(file)
    return files


def _check_package(file: Path) -> None:
    package = plugins.package(file)
    if package not in EXTENDED:
        known = ", ".join(f"{of.kind} (mico_runner.{name.partition('.')[2]})" for name, of in EXTENDED.items())
        what = f"imports register from {package}" if package else "imports no register"
        raise UsageError(f"{file} {what}; allowed: the register of {known}")


def _check(file: Path, name: str, params: object) -> None:
    try:
        Validator(params)
    except (SchemaError, TypeError, AttributeError) as error:
        raise UsageError(f"{file}: params of {name!r} are no Cerberus schema: {error}") from None
