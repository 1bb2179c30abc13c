"""What several steps read of a spec, and what their results depend on: light, because `plan` asks every step for it without torch."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mico_runner.sections import AllocateConstraints, Limit, Network, SearchConstraints, Sections

if TYPE_CHECKING:
    from mico_runner.codegen.deployment import Deployment
    from mico_runner.data.source import Source
    from mico_runner.hardware import Hardware
    from mico_runner.steps.base import Inputs

Part = TypeVar("Part")
READS = "reads"  # the key of a Python file that names the files which it reads
KNOWN_TARGETS = ("host", "rtl", "qemu")  # of which `simulate` says more than their contract gives
LISTED = 1000  # files of a folder that are known one by one, so that a plan can say which has changed


def present(part: Part | None) -> Part:
    """What some specs leave out, where the spec has been checked to have it."""
    if part is None:
        raise ValueError("a part is missing without which the spec is not valid")
    return part


def device_of(spec: Sections) -> Hardware:
    """The device of a spec whose steps need one."""
    from mico_runner import hardware

    if spec.hardware is None:
        raise ValueError("no hardware, without which the spec is not valid")
    return hardware.load(spec.hardware)


def network_inputs(spec: Sections) -> Inputs:
    """What the quantised network and its costs depend on, besides the weights."""
    return {"quantization": spec.quantization, "hardware": device_of(spec).sha256}


def profile_inputs(names: Iterable[str]) -> Inputs:
    """The kernel profiles in their order, each a name of the catalog or the path of a CSV file, by content and how it is read."""
    from mico_runner.data import catalog

    found: Inputs = {}
    for name in names:
        if name.endswith(".csv"):
            label = Path(name).name
            found[f"{label} (another)" if label in found else label] = catalog.sha256(Path(name))
        else:
            of = catalog.entry(name)
            keys = ("unit", "device", "kernel", "header", "columns", "fill")
            found[name] = {"files": catalog.fingerprint(name), "read": {key: getattr(of, key) for key in keys}}
    return {"order": list(found), **found}


def network_profile_inputs(names: Iterable[str]) -> Inputs:
    """The latencies of whole networks, by content: files of one's own, or data sets of the catalog."""
    from mico_runner.data import catalog
    from mico_runner.data.network_table import ENDINGS

    files = {name: name.endswith(ENDINGS) for name in names}
    return {
        Path(name).name if own else name: catalog.sha256(Path(name)) if own else catalog.fingerprint(name)
        for name, own in files.items()
    }


def data_inputs(spec: Sections) -> Inputs:
    """The samples: their source by its name or path, its files' content, how they are read and what they are for."""
    section, source = spec.datasets, source_of_data(spec)
    params = {key: value for key, value in source.params.items() if key != READS}  # by content, wherever they lie
    read = {"loader": source.loader, "loader_params": params, "kind": source.kind, "options": source.options}
    used = {"test": section.test}
    pixels = {"scale": section.scale, "mean": section.mean, "std": section.std}
    return {"name": source.catalog_name, "files": _content(source), "split": source.parting, **read, **pixels, **used}


def _content(source: Source) -> Inputs:
    from mico_runner.data import catalog

    if source.catalog_name:
        return dict(catalog.fingerprint(source.catalog_name))
    params: Any = source.params  # the loader's own
    path, entry = present(source.path), params.get("entry")
    if entry is None:
        return own_files(path)
    return {**called(path, entry), READS: [own_files(Path(each)) for each in params[READS]]}


def source_of_data(spec: Sections) -> Source:
    """Where the samples come from."""
    from mico_runner.data.source import source_of

    task = spec.datasets.task
    if task is None:
        raise ValueError("no data, without which the spec is not valid")
    return source_of(task)


def own_files(path: Path) -> Inputs:
    """A file, or all files of a folder, by content: one sum of many, or what is kept of a run would be mostly names."""
    from mico_runner.data import catalog

    if path.is_file():
        return {path.name: catalog.sha256(path)}
    names = _files_below(path)
    sums: Inputs = dict(zip(names, catalog.sha256_of(path / name for name in names), strict=True))
    if len(sums) <= LISTED:
        return sums
    return {"count": len(sums), "all": hashlib.sha256(json.dumps(sums).encode()).hexdigest()}


def _files_below(folder: Path) -> list[str]:
    """All files of a folder and the folders in it, sorted; links are followed, but for those that lead back."""
    found: list[str] = []
    seen: set[str] = set()
    for place, inside, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            inside.clear()
            continue
        seen.add(real)
        here = os.path.relpath(place, folder)
        found += [os.path.normpath(f"{here}/{name}") for name in names if os.path.isfile(f"{place}/{name}")]
    return sorted(found)


def called(file: Path, entry: str) -> Inputs:
    """What a Python file's entry uses of it and of modules beside it, by content, and of which libraries."""
    from mico_runner.sources import Sources

    with Sources() as sources:
        reached = sources.reach([(file, entry)])
    return {"file": reached.sources, "file_libraries": reached.libraries}


def model_inputs(spec: Sections) -> Inputs:
    """The model's section; of files that it names the content, of a Python file what the entry uses of it and of modules beside it."""
    section = present(spec.model)
    found: Inputs = {"model": replace(section, exits=None)}  # which are learnt from the network, and no part of it
    found |= _network_inputs(section)
    if section.train and section.train.teacher:
        found["teacher"] = _network_inputs(section.train.teacher)
    if section.train:
        for name, function in (("loss", section.train.loss), ("loop", section.train.loop)):
            if function is not None:
                found[name] = called(Path(function.file), function.entry)
    return found


def _network_inputs(section: Network) -> Inputs:
    from mico_runner.data import catalog

    found: Inputs = {}
    if section.file in catalog.names("network"):
        found["file"] = catalog.fingerprint(section.file)
    elif section.file and section.entry:
        found |= called(Path(section.file), section.entry)
    elif section.file:
        found["file"] = catalog.sha256(Path(section.file))
    if section.weights:
        found["weights"] = catalog.sha256(Path(section.weights))
    return found


def network_of_spec_inputs(spec: Sections) -> Inputs:
    """What the shape of the spec's own network depends on: its section and, for the samples' form, the data's."""
    return {"data": data_inputs(spec), "seed": spec.seed, "validation": spec.datasets.validation, **model_inputs(spec)}


def network_file(section: Network) -> Path:
    """The file of a model's section: of the catalog, where it need not be on this machine yet, its name alone."""
    from mico_runner.data import catalog

    name = present(section.file)
    return Path(catalog.entry(name).files[0].path if name in catalog.names("network") else name)


def chosen(spec: Sections) -> dict[str, list[str]]:
    """The entries of registries that a spec names, by package: the source of the others takes no part. See `sources.Sources`.

    Of features, regressors and validation protocols all take part: strategies name some in their own code.
    """
    from mico_runner import hardware
    from mico_runner.accelerators import ACCELERATORS
    from mico_runner.data import LOADERS
    from mico_runner.formats import READERS, ending
    from mico_runner.models import MODELS
    from mico_runner.profiling.samplers import SAMPLERS
    from mico_runner.proxy import STRATEGIES
    from mico_runner.reproductions import REPRODUCTIONS
    from mico_runner.search import ALGORITHMS
    from mico_runner.targets import TARGETS
    from mico_runner.tasks import TASKS

    parts: list[Network] = [spec.model] if spec.model else []
    parts += [spec.model.train.teacher] if spec.model and spec.model.train and spec.model.train.teacher else []
    networks = [part.name for part in parts if part.name]
    networks += [section.network for section in (spec.allocate, spec.verilog) if section]
    networks += list(spec.codesign.networks) if spec.codesign else []
    proxy, search, profile = spec.proxy, spec.search, spec.profile
    source = source_of_data(spec) if spec.datasets.task else None
    return {
        MODELS.package: networks,
        READERS.package: [ending(network_file(part)) for part in parts if part.file],
        LOADERS.package: [source.loader] if source else [],
        TASKS.package: [source.kind] if source else [],
        ALGORITHMS.package: [search.algorithm, *search.compare] if search else [],
        STRATEGIES.package: [of.strategy for of in (proxy, *proxy.compare)] if proxy else [],
        TARGETS.package: [*([profile.target] if profile else []), *own_targets(spec)],
        SAMPLERS.package: [profile.sampler] if profile else [],
        REPRODUCTIONS.package: [spec.reproduce.runs] if spec.reproduce else [],
        ACCELERATORS.package: [hardware.load(spec.hardware).kind] if spec.hardware else [],
    }


def targets_of(spec: Sections) -> tuple[str, ...]:
    """Where `simulate` runs the network."""
    if spec.simulate is None:
        return ()
    return (spec.simulate.target,) if isinstance(spec.simulate.target, str) else spec.simulate.target


def own_targets(spec: Sections) -> list[str]:
    """Those of the targets of `simulate` that it runs as their contract says, and knows nothing more about."""
    from mico_runner.targets import TARGETS

    return [name for name in targets_of(spec) if name in TARGETS and name not in KNOWN_TARGETS]


def limits_of(constraints: AllocateConstraints | SearchConstraints) -> dict[str, Limit]:
    """The limits of costs that there are, by cost."""

    return {cost: limit for cost, limit in vars(constraints).items() if isinstance(limit, Limit)}


def device_targets(spec: Sections) -> list[str]:
    """The targets of `simulate` that link a program for a board, first those whose latencies are cycles."""
    from mico_runner.targets import linked

    return linked(targets_of(spec))


def scratch_of(spec: Sections) -> str:
    """Scratch memory of the kernels, as `codegen.generate` takes it."""
    return spec.codegen.scratch if spec.codegen else "two_rows"


def schedule_of(spec: Sections) -> tuple[str, float]:
    """The order in which the program computes and what it may compute twice, as `codegen.generate` takes `schedule` and `max_macs`."""
    return (spec.codegen.schedule, spec.codegen.max_macs) if spec.codegen else ("layers", 1.0)


def deployment_of(spec: Sections) -> Deployment:
    """Which program the network becomes.

    It is that of the board on which the spec's `simulate` runs it, else that of the `codegen` section, else the host's.
    """
    from mico_runner.codegen.deployment import Deployment
    from mico_runner.targets import boards

    device, linked = device_of(spec), device_targets(spec)
    runtime = "baremetal" if linked else spec.codegen.runtime if spec.codegen else "host"
    core = None if runtime == "host" else device.core
    runs_on = linked[0] if linked else "rtl" if device.latency_unit == "cycles" else "qemu"
    board = boards(runs_on).get(core) if core else None
    return Deployment(runtime, core, scratch_of(spec), board, *schedule_of(spec))
