"""An integer graph on disk: `<stem>.json` for the structure, `<stem>.npz` for the arrays. No pickle."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from mico_runner.quant.qgraph import Exit, QGraph, QNode, QTensor, QType


def save(graph: QGraph, stem: Path) -> None:
    """Write `graph` to `stem`.json and `stem`.npz."""
    arrays: dict[str, np.ndarray] = {}

    def node(n: QNode) -> dict[str, Any]:
        fields = {f.name: getattr(n, f.name) for f in dataclasses.fields(n)}
        named = fields.pop("constants") | {"weight_scale": fields.pop("weight_scale")}
        arrays.update({f"{n.name}/{key}": value for key, value in named.items() if value is not None})
        return fields

    content = {
        "name": graph.name,
        "inputs": graph.inputs,
        "outputs": graph.outputs,
        "exits": [dataclasses.asdict(exit) for exit in graph.exits],
        "nodes": [node(n) for n in graph.nodes],
        "tensors": {k: {"shape": t.shape, **dataclasses.asdict(t.type)} for k, t in graph.tensors.items()},
    }
    stem.with_suffix(".json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    np.savez(stem.with_suffix(".npz"), **arrays)  # type: ignore[arg-type]  # the stubs take a key for allow_pickle


def load(stem: Path) -> QGraph:
    """The graph that `save` wrote, equal in every integer."""
    content = json.loads(stem.with_suffix(".json").read_text(encoding="utf-8"))
    with np.load(stem.with_suffix(".npz")) as arrays:
        stored = {key: arrays[key] for key in arrays.files}

    def node(fields: dict[str, Any]) -> QNode:
        own = {key.rsplit("/", 1)[1]: value for key, value in stored.items() if key.rsplit("/", 1)[0] == fields["name"]}
        scale = own.pop("weight_scale", None)
        attrs = {k: tuple(v) if isinstance(v, list) else v for k, v in fields["attrs"].items()}
        own_fields = {"inputs": tuple(fields["inputs"]), "attrs": attrs, "constants": own, "weight_scale": scale}
        return QNode(**fields | own_fields)

    return QGraph(
        name=content["name"],
        inputs=tuple(content["inputs"]),
        outputs=tuple(content["outputs"]),
        nodes=tuple(node(n) for n in content["nodes"]),
        tensors={
            k: QTensor(tuple(t["shape"]), QType(t["bits"], t["signed"], t["scale"]))
            for k, t in content["tensors"].items()
        },
        exits=tuple(Exit(**exit) for exit in content["exits"]),
    )
