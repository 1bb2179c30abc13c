"""`estimate:` and `verify:` of a spec: files of curves and of measurements are there and right; their paths become absolute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mico_runner.calibration.cases import OWN_NETWORK
from mico_runner.data import catalog
from mico_runner.errors import UnknownName, UsageError
from mico_runner.yaml_schema import SchemaErrors, show

if TYPE_CHECKING:
    from mico_runner.spec.complete import Draft
    from mico_runner.yaml_source import Keys

MEASUREMENTS = (".csv", ".csv.gz")


def check_estimate(draft: Draft) -> None:
    """Add what is wrong with the section to the draft's problems."""
    section = draft.data["estimate"]
    if section is None:
        return
    check_own_network(draft, ("estimate", "networks"), section["networks"])
    for i, device in enumerate(section["devices"]):
        _check_device(draft, ("estimate", "devices", i), device)
    measured = section["measured"]
    if measured is not None and (file := draft.existing(("estimate", "measured"), measured)) is not None:
        from mico_runner.calibration import measured_networks  # with pandas

        section["measured"] = str(file.resolve())
        try:
            measured_networks.read(file)
        except UsageError as error:
            draft.fail(("estimate", "measured"), str(error))


def check_verify(draft: Draft) -> None:
    """The measurements are there, and where the curves are written is no place above the spec's folder."""
    section = draft.data["verify"]
    if section is None:
        return
    path: Keys = ("verify", "data")
    if section["data"].endswith(MEASUREMENTS):
        if (file := draft.existing(path, section["data"])) is not None:
            section["data"] = str(file.resolve())
    elif section["data"] not in (known := catalog.names("subgraph_profile")):
        draft.unknown(path, section["data"], known, f"one of {', '.join(known)}, a path to a .csv or .csv.gz file")
    else:
        try:
            catalog.check_present(section["data"])
        except UsageError as error:
            draft.fail(path, str(error))
    folder = section["write_to"]
    if folder is not None and not draft.fail_if_escapes(("verify", "write_to"), folder):
        section["write_to"] = str((draft.folder / folder).resolve())


def check_own_network(draft: Draft, path: Keys, networks: list[str]) -> None:
    """Those that name the spec's own network need one."""
    if OWN_NETWORK in networks and draft.data["model"] is None:
        where = (*path, networks.index(OWN_NETWORK))
        draft.fail(
            where, f"found {show(OWN_NETWORK)}, and this spec has no model; add the section model, or take another"
        )


def _check_device(draft: Draft, path: Keys, device: dict[str, Any]) -> None:
    from mico_runner.calibration import device_curves  # with scipy: only for a spec that names such a file

    name, where = device["curves"], (*path, "curves")
    if name.endswith((".yaml", ".yml")):
        if (file := draft.existing(where, name)) is None:
            return
        device["curves"] = name = str(file.resolve())
    try:
        found = device_curves.load(name)
    except UnknownName as error:
        draft.unknown(where, name, list(error.known), f"one of {', '.join(error.known)}, a path to a YAML file")
        return
    except SchemaErrors as error:
        draft.problems += error.problems
        return
    except UsageError as error:
        draft.fail(where, str(error))
        return
    wanted = device["precision"]
    if wanted is not None and wanted not in found:
        draft.fail((*path, "precision"), f"found {show(wanted)}; allowed: {', '.join(found)}, which {name} has")
