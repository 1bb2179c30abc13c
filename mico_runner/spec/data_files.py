"""Data that a spec names, read and checked before anything runs: profiles, files of the catalog, efficiency curves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mico_runner.data import catalog, profile_csv
from mico_runner.errors import UsageError
from mico_runner.reproductions import REPRODUCTIONS
from mico_runner.spec.network_profile import check_compared, check_network_profile, of_networks
from mico_runner.spec.own_data import check_task
from mico_runner.yaml_schema import SchemaErrors, show

if TYPE_CHECKING:
    from mico_runner.hardware import Hardware
    from mico_runner.spec.complete import Draft
    from mico_runner.yaml_source import Keys


def check_datasets(draft: Draft, device: Hardware | None) -> None:
    """The task and the profiles, and the data set that `reproduce` reads."""
    data = draft.data
    section = data["datasets"]
    if data["model"] is not None and section["task"] is None:
        known = ", ".join(catalog.names("task"))
        draft.fail(("datasets", "task"), f"missing, needed by model; allowed: one of {known}, or a mapping")
    known_as = check_task(draft)
    if known_as is not None:
        _check_sums(draft, ("datasets", "task"), known_as)
    if data["reproduce"] is not None:
        runs = data["reproduce"]["runs"]
        _check_sums(draft, ("reproduce", "runs"), REPRODUCTIONS.info(runs).meta["data"])
    check_compared(draft)
    if of_networks(draft):
        check_network_profile(draft)
        return
    units: dict[str, str] = {}
    for i, name in enumerate(section["profile"]):
        section["profile"][i] = _profile(draft, ("datasets", "profile", i), name, device, units)


def check_sources(draft: Draft, path: Keys, params: dict[str, Any]) -> None:
    """The profiles of another device that a latency predictor learns from (`params.source`)."""
    source = params.get("source")
    units: dict[str, str] = {}
    if isinstance(source, str):
        params["source"] = _profile(draft, (*path, "source"), source, None, units)
    elif isinstance(source, list):  # anything else was refused already
        for i, name in enumerate(source):
            where = (*path, "source", i)
            if isinstance(name, str):
                source[i] = _profile(draft, where, name, None, units)
            else:
                draft.fail(where, f"found {show(name)}; allowed: a profile of the catalog, a path to a .csv file")


def _profile(draft: Draft, path: Keys, name: str, device: Hardware | None, units: dict[str, str]) -> str:
    """Check one profile; returns its name, of a file the absolute path, so that the resolved spec runs from anywhere."""
    resolved, unit = name, None
    if name.endswith(".csv"):
        file = draft.existing(path, name)
        if file is None:
            return name
        with _problems(draft, path):
            rows = profile_csv.read(file, device)
            draft.warnings += rows.warnings
            unit = rows.unit
        resolved = str(file.resolve())
    elif name not in catalog.names("kernel_profile"):
        known = catalog.names("kernel_profile")
        draft.unknown(path, name, known, "a profile of the catalog (mico-run list profiles), a path to a .csv file")
    else:
        if device is not None:
            _check_device(draft, path, catalog.entry(name), device)
        _check_sums(draft, path, name)
        unit = catalog.entry(name).unit
    if unit is not None:
        first = next(iter(units), unit)
        units.setdefault(unit, name)
        if unit != first:
            draft.fail(
                path, f"found latencies in {unit}; allowed: {first}, as {units[first]} has; nothing converts units"
            )
    return resolved


def _check_device(draft: Draft, path: Keys, profile: catalog.Entry, device: Hardware) -> None:
    """A predictor learns one device: latencies of another one would pass for its own."""
    if profile.device == device.name:
        return
    fitting = [n for n in catalog.names("kernel_profile") if catalog.entry(n).device == device.name]
    allowed = f"profiles of {device.name}: {', '.join(fitting) or 'none in the catalog, give a .csv file'}"
    draft.fail(path, f"found {show(profile.name)}, latencies of {profile.device}; allowed: {allowed}")


def _check_sums(draft: Draft, path: Keys, name: str) -> None:
    """A file that is there and damaged is said now, not by the step that reads it."""
    with _problems(draft, path):
        catalog.check_present(name)


def check_curves(draft: Draft, path: Keys, file: Path, with_networks: bool) -> None:
    """A file of efficiency curves: a profile that `calibrate` wrote, or curves of another tool."""
    from mico_runner.calibration import given  # with numpy and scipy: only for a spec that names such a file

    with _problems(draft, path):
        given.read(file, with_networks)


def check_profile(draft: Draft, path: Keys, file: Path) -> None:
    """A profile that `calibrate` wrote."""
    from mico_runner.calibration import profile

    with _problems(draft, path):
        profile.read(file)


@contextmanager
def _problems(draft: Draft, path: Keys) -> Iterator[None]:
    """What is wrong with a file becomes the spec's problems: at the place in the file if it is known, else where the spec names it."""
    try:
        yield
    except SchemaErrors as error:
        draft.problems += error.problems
    except UsageError as error:
        draft.fail(path, str(error))
