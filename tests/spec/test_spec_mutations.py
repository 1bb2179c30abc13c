"""Whatever is written in a spec: it is loaded, or all that is wrong is said; never another error, never a file left behind."""

import copy
from pathlib import Path

import numpy as np
import pytest

from mico_runner import cli, paths, spec, yaml_source, yaml_text

MUTATIONS = 700  # by day; as many with each seed at night
VALID = sorted(paths.shipped("specs").glob("*.yaml"))
VALUES = [
    *(None, True, False, 0, -1, 1, 2, 8, 10**30, 0.5, -0.0, 1e308, float("nan"), float("inf")),
    *(
        "",
        "~",
        "off",
        "lenet",
        "host",
        "../x",
        "/",
        "a.b",
        "x.csv",
        "../x.csv",
        "x" * 5000 + ".csv",
        "chip.yaml",
        "\n",
        "ü",
        "latency",
        "x" * 5000,
    ),
    *([], {}, [[]], [None], [1, 2], ["host"], {"a": 1}, {"": {}}, {"max": 1}, [{"strategy": "single"}]),
]
FRAGMENTS = [
    b"\t",
    b"\n",
    b":",
    b": ",
    b"- ",
    b"[",
    b"}",
    b'"',
    b"'",
    b"&a ",
    b"*a",
    b"!!int ",
    b"? ",
    b"|",
    b"#",
    b"%",
    b"\xff",
    b"\0",
    b"<<",
    b"---\n",
]


def nodes(value, path=()):
    """Paths of all values."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from nodes(item, (*path, key))


def mutate_structure(data, rng):
    """One value replaced, removed, moved, renamed or doubled somewhere."""
    data = copy.deepcopy(data)
    paths_ = [path for path in nodes(data) if path]
    path = paths_[rng.integers(len(paths_))]
    parent = data
    for key in path[:-1]:
        parent = parent[key]
    kind = rng.integers(5)
    if kind == 0:
        del parent[path[-1]]
    elif kind == 1:
        other = paths_[rng.integers(len(paths_))]
        moved = data
        for key in other:
            moved = moved[key]
        parent[path[-1]] = copy.deepcopy(moved)
    elif kind == 2 and isinstance(parent, dict):
        name = str(path[-1])
        cut = rng.integers(len(name) + 1)
        parent[name[:cut] + "x" + name[cut + 1 :]] = parent.pop(path[-1])
    elif kind == 3 and isinstance(parent, list):
        parent.append(copy.deepcopy(parent[0]))
    else:
        parent[path[-1]] = copy.deepcopy(VALUES[rng.integers(len(VALUES))])
    return data


def mutate_bytes(raw, rng):
    """A few bytes cut, copied, flipped or put in."""
    for _ in range(rng.integers(1, 4)):
        start, length = rng.integers(len(raw) + 1), rng.integers(1, 30)
        kind = rng.integers(4)
        if kind == 0:
            raw = raw[:start] + raw[start + length :]
        elif kind == 1:
            raw = raw[:start] + raw[start : start + length] + raw[start:]
        elif kind == 2:
            raw = raw[:start] + bytes(rng.integers(0, 256, 1, dtype=np.uint8)) + raw[start + 1 :]
        else:
            raw = raw[:start] + FRAGMENTS[rng.integers(len(FRAGMENTS))] + raw[start:]
    return raw


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in (1, 2, 3))])
def test_random_mutations_of_valid_specs(tmp_path, monkeypatch, capsys, seed):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(seed)
    outcomes = {"valid": 0, "invalid": 0}
    for i in range(MUTATIONS):
        raw = VALID[rng.integers(len(VALID))].read_bytes()
        if i % 2:
            raw = mutate_bytes(raw, rng)
        else:
            data = yaml_source.parse(raw.decode(), "").data
            for _ in range(rng.integers(1, 4)):
                data = mutate_structure(data, rng)
            raw = yaml_text.dump(data).encode()
        Path("spec.yaml").write_bytes(raw)
        if i % 5 == 0:
            assert cli.main(["validate", "spec.yaml"]) in (0, 2), raw
            assert "Traceback" not in "".join(capsys.readouterr())
        try:
            loaded = spec.load("spec.yaml")
        except spec.SpecErrors as error:
            outcomes["invalid"] += 1
            assert str(error).strip(), raw
        except Exception as error:
            pytest.fail(f"{type(error).__name__}: {error}\n{raw!r}")
        else:
            outcomes["valid"] += 1
            Path("again.yaml").write_text(spec.dump(loaded.data), encoding="utf-8")
            assert spec.load("again.yaml").data == loaded.data
            Path("again.yaml").unlink()
        assert [p.name for p in tmp_path.iterdir()] == ["spec.yaml"]
    assert min(outcomes.values()) > MUTATIONS / 20, outcomes
