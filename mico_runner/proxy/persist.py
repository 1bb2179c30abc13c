"""Fitted estimators on disk without pickle: `model.json` (structure, parameters), `arrays.npz`, and XGBoost's own JSON files.

An estimator is written as its registry and name, its constructor parameters, and its fitted attributes (those that end in "_"). Reading
therefore never executes anything that the files say, and the numbers come back bit for bit.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from mico_runner.errors import UsageError
from mico_runner.proxy import REGRESSORS, STRATEGIES

FORMAT = 1
_REGISTRIES = {"strategy": STRATEGIES, "regressor": REGRESSORS}


def save(folder: Path, state: dict[str, object]) -> None:
    """Write a nested dict of JSON values, arrays, bytes (JSON of XGBoost) and registered estimators into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, np.ndarray] = {}
    blobs: list[bytes] = []

    def encode(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            if value.dtype.hasobject:
                raise TypeError("arrays of objects cannot be saved")
            arrays[f"a{len(arrays)}"] = value
            return {"$array": f"a{len(arrays) - 1}"}
        if isinstance(value, bytes):
            blobs.append(value)
            return {"$blob": f"booster{len(blobs) - 1}.json"}
        if isinstance(value, BaseEstimator):
            registry, name = _registered(value)
            fitted = {key: item for key, item in vars(value).items() if key.endswith("_") and not key.startswith("_")}
            params = value.get_params(deep=False)
            return {"$estimator": [registry, name], "params": encode(params), "fitted": encode(fitted)}
        if isinstance(value, dict):
            if not all(isinstance(key, str) and not key.startswith("$") for key in value):
                raise TypeError(f"keys must be plain strings: {list(value)}")
            return {key: encode(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [encode(item) for item in value]
        if isinstance(value, np.generic):
            return value.item()
        return value

    encoded = {"format": FORMAT, "state": encode(state)}
    (folder / "model.json").write_text(json.dumps(encoded, indent=1) + "\n", encoding="utf-8")
    np.savez_compressed(folder / "arrays.npz", **arrays)
    for number, blob in enumerate(blobs):
        (folder / f"booster{number}.json").write_bytes(blob)


def load(folder: Path) -> dict[str, object]:
    """Read what `save` wrote. Raises UsageError when the folder holds no saved model, or one of another format."""
    try:
        encoded = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder} holds no saved latency model ({error})") from None
    if encoded.get("format") != FORMAT:
        raise UsageError(f"{folder / 'model.json'}: format is {encoded.get('format')!r}, expected {FORMAT}")
    with np.load(folder / "arrays.npz", allow_pickle=False) as arrays:

        def decode(value: Any) -> Any:
            if isinstance(value, list):
                return [decode(item) for item in value]
            if not isinstance(value, dict):
                return value
            if "$array" in value:
                return arrays[value["$array"]]
            if "$blob" in value:
                return (folder / Path(value["$blob"]).name).read_bytes()
            if "$estimator" in value:
                registry, name = value["$estimator"]
                estimator = _REGISTRIES[registry].get(name)(**decode(value["params"]))
                vars(estimator).update(decode(value["fitted"]))
                return estimator
            return {key: decode(item) for key, item in value.items()}

        return decode(encoded["state"])


def _registered(value: Any) -> tuple[str, str]:
    for registry, entries in _REGISTRIES.items():
        for name, entry in entries.entries.items():
            if entry.module == type(value).__module__ and entries.get(name) is type(value):
                return registry, name
    raise TypeError(f"{type(value).__name__} is neither a registered strategy nor a registered regressor")
