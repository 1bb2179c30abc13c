"""A spec whose predictor is one of whole networks: what it may name, and which steps go with it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mico_runner.data import catalog
from mico_runner.errors import UsageError
from mico_runner.proxy import predicts_networks
from mico_runner.yaml_schema import show

if TYPE_CHECKING:
    from mico_runner.spec.complete import Draft

KIND = "network_profile"
ENDINGS = (".npz", ".csv")
ALONE = ("profile", "search", "evaluate", "simulate")  # steps that make or use latencies of kernels


def of_networks(draft: Draft) -> bool:
    """Whether the spec's predictor is one of whole networks."""
    section = draft.data["proxy"]
    return section is not None and predicts_networks(section["strategy"])


def check_compared(draft: Draft) -> None:
    """Predictors of networks and of kernels have different data, so that neither stands beside the other."""
    section = draft.data["proxy"] or {"compare": []}
    for i, other in enumerate(section["compare"]):
        if of_networks(draft) or predicts_networks(other["strategy"]):
            allowed = "predictors of kernels beside each other; one of whole networks stands alone"
            draft.fail(("proxy", "compare", i), f"found {show(other['strategy'])}; allowed: {allowed}")


def check_network_profile(draft: Draft) -> None:
    """The one data set that it learns from, and the devices that its parameters name in a file of one's own."""
    names, params = draft.data["datasets"]["profile"], draft.data["proxy"]["params"]
    for step in ALONE:
        if draft.data[step] is not None:
            text = f"predictor {draft.data['proxy']['strategy']!r} knows whole networks, no kernels; leave out {step}"
            draft.fail(("proxy", "strategy"), text)
    if len(names) != 1:
        draft.fail(("datasets", "profile"), f"found {len(names)}; allowed: one data set of whole networks")
        return
    if "splits" in params and {"sources", "targets"} & set(params):
        draft.fail(("proxy", "params", "splits"), "stands beside sources or targets; allowed: one of the two ways")
    elif "splits" not in params and not {"sources", "targets"} <= set(params):
        draft.fail(("proxy", "params"), "lacks devices; allowed: sources and targets, or splits of the data set")
    name = names[0]
    path = ("datasets", "profile", 0)
    if not name.endswith(ENDINGS):
        known = catalog.names(KIND)
        if name not in known:
            draft.unknown(path, name, known, "a data set of whole networks, a path to a .npz or .csv file")
            return
        try:
            catalog.check_present(name)
        except UsageError as error:
            draft.fail(path, str(error))
        return
    if draft.fail_if_escapes(path, name):
        return
    file = draft.folder / name
    if not os.path.exists(file):
        draft.fail(path, f"found {show(name)}; no such file: {file}")
        return
    names[0] = str(file.resolve())
    from mico_runner.data import network_table  # with numpy: only for a spec that names such a file

    try:
        devices = network_table.read(file).latency
    except UsageError as error:
        draft.fail(path, str(error))
        return
    for key in ("sources", "targets"):
        for i, device in enumerate(params.get(key, [])):
            if device not in devices:
                draft.unknown(("proxy", "params", key, i), device, list(devices), "a device of the file")
