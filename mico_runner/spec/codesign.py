"""What the form of the section `codesign` cannot say: its files, and what goes together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mico_runner import hardware
from mico_runner.data import catalog
from mico_runner.hardware import fpga
from mico_runner.models import MODELS
from mico_runner.yaml_schema import check_part, show

if TYPE_CHECKING:
    from mico_runner.hardware import Hardware
    from mico_runner.spec.complete import Draft
    from mico_runner.yaml_source import Keys

TABLE = "table"  # kind of the catalog's entries
SPACES = ("tables", "engines", "mappings", "vary")


def check_codesign(draft: Draft, device: Hardware | None) -> None:
    """One space, on a device that has it. Tables become absolute paths, so that the resolved spec runs from anywhere."""
    section = draft.data["codesign"]
    if section is None:
        return
    spaces = [name for name in SPACES if section[name] is not None]
    if len(spaces) != 1:
        text = f"found {' and '.join(spaces) or 'none of these'}; allowed: one of {', '.join(SPACES)}"
        draft.fail(("codesign",), text, of_key=True)
    elif spaces == ["tables"]:
        _check_tables(draft, section)
    else:
        _check_networks(draft, section, device, spaces[0])


def _check_networks(draft: Draft, section: dict[str, Any], device: Hardware | None, space: str) -> None:
    if not section["networks"]:
        draft.fail(("codesign", "networks"), "missing, needed by " + space + "; allowed: networks of the zoo")
    for name, network in section["networks"].items():
        path: Keys = ("codesign", "networks", name, "params")
        schema = MODELS.info(name).meta.get("params", {})
        network["params"], problems = check_part(draft.source, path, network["params"], schema)
        draft.problems += problems
    for key, values in (section["vary"] or {}).items():
        if not _is_list(values) and not _is_scale(values):
            text = f"found {show(values)}; allowed: a list of values, or a mapping of scale: shares above 0 of the own value"
            draft.fail(("codesign", "vary", key), text)
    if device is None:
        draft.fail(("hardware",), f"missing, needed by codesign.{space}; allowed: one of {', '.join(hardware.names())}")
        return
    if (space == "engines") != (device.kind == fpga.KIND) or not (device.simulated or space == "engines"):
        wanted = f"a device of kind {fpga.KIND}" if space == "engines" else "a simulated accelerator"
        draft.fail(("codesign", space), f"needs {wanted}; {device.name} is of kind {device.kind}", of_key=True)
        return
    if section["energy_by_size"] and (space != "vary" or device.architecture is None):
        text = f"needs vary and an array with an architecture (kind spatial); {device.name} is of kind {device.kind}"
        draft.fail(("codesign", "energy_by_size"), text)
    if space == "mappings" and device.architecture is None:
        text = f"needs an array with an architecture (kind spatial); {device.name} is of kind {device.kind}"
        draft.fail(("codesign", space), text, of_key=True)
    if space == "mappings" and "edp" in section["objectives"]:
        path = ("codesign", "objectives", section["objectives"].index("edp"))
        draft.fail(path, "found 'edp'; allowed: cycles, energy with mappings")
    tried = section["bits"]
    of = {"weight_bits": device.weight_bits, "activation_bits": device.activation_bits}
    for at, (key, allowed) in enumerate(of.items()):
        named = ", ".join(f"{bits:g}" for bits in allowed)
        for i, value in enumerate(tried[key]):
            if value not in allowed:
                draft.fail(("codesign", "bits", key, i), f"found {value}; allowed: bits of {device.name}: {named}")
        if tried["noise_of"][at] > max(tried[key]):
            text = f"found {tried['noise_of'][at]}; allowed: at most the widest of {key}, {max(tried[key])}"
            draft.fail(("codesign", "bits", "noise_of", at), text)
    if space == "engines" and section["objectives"] != ["cycles"]:
        draft.fail(("codesign", "objectives"), f"found {section['objectives']}; allowed: [cycles] with engines")


def _is_list(values: Any) -> bool:
    return isinstance(values, list) and len(values) > 0


def _is_scale(values: Any) -> bool:
    if not isinstance(values, dict) or list(values) != ["scale"] or not _is_list(values["scale"]):
        return False
    return all(isinstance(share, int | float) and share > 0 for share in values["scale"])


def _check_tables(draft: Draft, section: dict[str, Any]) -> None:
    path: Keys = ("codesign", "tables")
    for name, network in section["tables"]["networks"].items():
        at: Keys = (*path, "networks", name)
        network["layers"] = _file(draft, (*at, "layers"), network["layers"])
        network["costs"] = [_file(draft, (*at, "costs", i), file) for i, file in enumerate(network["costs"])]


def _file(draft: Draft, path: Keys, name: str) -> str:
    if not name.endswith((".csv", ".csv.gz")):
        if name not in catalog.names(TABLE):
            known = catalog.names(TABLE)
            draft.unknown(path, name, known, f"a table of the catalog ({', '.join(known)}), a path to a .csv file")
        return name
    file = draft.existing(path, name)
    return name if file is None else str(file.resolve())
