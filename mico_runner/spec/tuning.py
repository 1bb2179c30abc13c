"""`tune:` and `dse:` of a spec: its traces are read, its jobs looked for in them, and the file of a training of one's own is found."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mico_runner.data import catalog
from mico_runner.errors import UsageError
from mico_runner.spec.own_code import check_entry
from mico_runner.yaml_schema import show

if TYPE_CHECKING:
    from mico_runner.data.training_traces import Trace
    from mico_runner.spec.complete import Draft
    from mico_runner.yaml_source import Keys


def check_designs(draft: Draft) -> None:
    """The archive that `dse` reads is there; its path becomes absolute."""
    section = draft.data["dse"]
    if section is None:
        return
    if section["file"] is None:
        try:
            catalog.check_present(section["table"])
        except UsageError as error:
            draft.fail(("dse", "table"), str(error))
    elif (file := _existing(draft, ("dse", "file"), section["file"])) is not None:
        section["file"] = str(file)


def check_tuning(draft: Draft) -> None:
    """Add what is wrong with the section to the draft's problems, and make its paths absolute."""
    section = draft.data["tune"]
    if section is None:
        return
    recorded = section["traces"] or section["files"]
    if not section["jobs"] and section["training"] is None:
        draft.fail(("tune",), "found neither jobs nor training; allowed: one of them, or both", of_key=True)
    if section["jobs"] and not recorded:
        draft.fail(("tune", "jobs"), "needs traces to look for them in; add traces or files", of_key=True)
    _check_names(draft, section)
    traces = []
    for i, name in enumerate(section["traces"]):
        try:
            catalog.check_present(name)
        except UsageError as error:
            draft.fail(("tune", "traces", i), str(error))
    for i, files in enumerate(section["files"]):
        traces += _own_trace(draft, ("tune", "files", i), files)
    if traces:
        _check_jobs(draft, section, traces)
    if section["training"] is not None:
        _check_training(draft, section["training"])


def _check_jobs(draft: Draft, section: dict[str, Any], traces: list[Trace]) -> None:
    from mico_runner.tune.trace import TraceJob, Wanted  # needs pandas, as reading a trace does

    for trace in traces:
        for i, job in enumerate(section["jobs"]):
            try:
                TraceJob(trace, Wanted(**{key: value for key, value in job.items() if key != "name"}))
            except UsageError as error:
                draft.fail(("tune", "jobs", i), str(error))


def _check_names(draft: Draft, section: dict[str, Any]) -> None:
    """They are parts of the names of metrics, and so distinct."""
    for key in ("jobs", "files"):
        names = [each["name"] for each in section[key]]
        if key == "files":
            names = [name.rpartition("/")[2] for name in section["traces"]] + names
        first = len(names) - len(section[key])
        for i in range(first, len(names)):
            if names[i] in names[:i]:
                path: Keys = ("tune", key, i - first, "name")
                draft.fail(path, f"found {show(names[i])} once more; allowed: a name of its own")


def _own_trace(draft: Draft, path: Keys, files: dict[str, Any]) -> list[Trace]:
    from mico_runner.data.training_traces import read_trace

    found = {}
    for key in ("runs", "power"):
        if (file := _existing(draft, (*path, key), files[key])) is not None:
            files[key] = str(file)
            found[key] = file
    if len(found) < len(("runs", "power")):
        return []
    try:
        return [read_trace(files["name"], found["runs"], found["power"])]
    except UsageError as error:
        draft.fail(path, str(error))
        return []


def _check_training(draft: Draft, section: dict[str, Any]) -> None:
    path: Keys = ("tune", "training")
    if section["batch"] not in section["batches"]:
        allowed = ", ".join(map(str, section["batches"]))
        draft.fail((*path, "batch"), f"found {section['batch']}; allowed: one of batches: {allowed}")
    if (file := _existing(draft, (*path, "file"), section["file"])) is not None:
        section["file"] = str(file)
        check_entry(draft, path, file, section["entry"])


def _existing(draft: Draft, path: Keys, wanted: str) -> Path | None:
    """The file, absolute; None after a problem."""
    if draft.fail_if_escapes(path, wanted):
        return None
    file = draft.folder / wanted
    if not os.path.isfile(file):
        draft.fail(path, f"found {show(wanted)}; no such file: {file}")
        return None
    return file.resolve()
