"""Profiles: every pair of bits of every shape, canonical columns, the same bytes for the same spec."""

import ast
import copy
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml

from mico_runner import data, hardware, machine, profiling
from mico_runner.accelerators import bitfusion
from mico_runner.errors import UnknownName, UsageError
from mico_runner.frozen_data import build, plain
from mico_runner.kernel_table import BITS, COLUMNS, SHAPE
from mico_runner.paths import shipped
from mico_runner.profiling.sources import simulator_conditions
from mico_runner.sections import Profile
from mico_runner.steps import STEPS

SECTION = {
    "target": "bitfusion",
    "sampler": "lhs",
    "shapes": 5,
    "bits": {"weight": [2, 8], "activation": [4, 8]},
    "kernels": {
        "conv2d": {"in_channels": [1, 8], "out_channels": [4, 8], "in_h": [3, 9], "kernel": [1, 3], "stride": [1, 2]},
        "linear": {"in_channels": [8, 64], "out_channels": [4, 32]},
    },
    "repeats": 3,
}
LENET = [
    {"in_channels": 1, "out_channels": 6, "in_h": 32, "kernel_h": 5},
    {"in_channels": 6, "out_channels": 16, "in_h": 14, "kernel_h": 5},
    {"in_channels": 400, "out_channels": 64},
    {"in_channels": 64, "out_channels": 32},
    {"in_channels": 32, "out_channels": 10},
]


class Context:
    """As much of the pipeline's context as the step touches."""

    def __init__(self, spec: SimpleNamespace, folder: Path) -> None:
        self.spec = spec
        self.dir, self.work = folder / "dir", folder / "work"
        self.metrics: dict[str, tuple] = {}
        self.map = map
        for place in (self.dir, self.work):
            place.mkdir(parents=True)

    def metric(self, name, value, unit, direction="info", tolerance=0.0, volatile=False):
        assert np.isfinite(value)
        self.metrics[name] = (value, unit, direction, volatile)


def spec(section: dict, device: str) -> SimpleNamespace:
    return SimpleNamespace(hardware=device, profile=asked({"seed": 3, **section}), codegen=None)


def asked(section: dict) -> Profile:
    return build(Profile, {"seed": 0, **section}, "profile")


def test_every_shape_at_every_pair_of_bits(tmp_path):
    profile = profiling.make(asked(SECTION), hardware.load("bitfusion"), tmp_path)
    for kind, table in profile.tables.items():
        assert list(table.columns) == [*COLUMNS, "latency_cycles"]
        assert (table["kind"] == kind).all() and (table["batch"] == 16).all()
        assert len(table) == 5 * 4 == len(table.drop_duplicates([*SHAPE, *BITS]))
        pairs = table.groupby(SHAPE)[BITS].apply(lambda g: set(map(tuple, g.to_numpy())))
        assert all(p == {(4, 2), (4, 8), (8, 2), (8, 8)} for p in pairs)
        np.testing.assert_array_equal(
            bitfusion.BitFusion(hardware.load("bitfusion")).cycles(table), table["latency_cycles"]
        )


def test_shapes_follow_the_seed_and_not_the_other_kinds():
    alone = {**SECTION, "kernels": {"linear": SECTION["kernels"]["linear"]}}
    first = profiling.sample("linear", asked(SECTION), 1)
    pd.testing.assert_frame_equal(first, profiling.sample("linear", asked(alone), 1))
    assert not first.equals(profiling.sample("linear", asked({**SECTION, "seed": 1}), 1))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("kernels", "conv2d", "in_h"), [9, 3], r"profile\.kernels\.conv2d\.in_h is \[9, 3\]; allowed: \[low, high\]"),
        (("kernels", "linear", "in_channels"), [0, 3], r"linear\.in_channels is \[0, 3\]"),
        (("kernels", "conv2d", "kernel"), [], r"conv2d\.kernel is \[\]; allowed: a list"),
        (("kernels", "linear"), {"in_channels": [1, 2]}, r"linear\.out_channels is missing"),
    ],
)
def test_bad_ranges_are_named(path, value, message, tmp_path):
    section = copy.deepcopy(SECTION)
    place = section
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(UsageError, match=message):
        profiling.make(asked(section), hardware.load("bitfusion"), tmp_path)


@pytest.mark.parametrize(("key", "name"), [("sampler", "lhss"), ("target", "bitfusoin")])
def test_unknown_names_come_with_the_nearest(key, name, tmp_path):
    with pytest.raises(UnknownName, match="did you mean"):
        profiling.make(asked({**SECTION, key: name}), hardware.load("bitfusion"), tmp_path)


def test_what_a_target_cannot_run_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="'bitfusion' has a batch of 16"):
        profiling.make(asked({**SECTION, "target": "host"}), hardware.load("bitfusion"), tmp_path)
    with pytest.raises(UsageError, match="'host' is of kind 'cpu'"):
        profiling.make(asked(SECTION), hardware.load("host"), tmp_path)
    with pytest.raises(UsageError, match=r"ternary weights \(1\.5\)"):
        profiling.make(
            asked({**SECTION, "bits": {"weight": [1.5], "activation": [8]}}), hardware.load("host"), 0, tmp_path
        )


def test_step_writes_a_profile_that_loads(tmp_path):
    step = STEPS.get("profile")()
    first, second = (Context(spec(SECTION, "bitfusion"), tmp_path / name) for name in "ab")
    for ctx in (first, second):
        step.run(ctx)
    files = sorted(p.name for p in first.dir.iterdir())
    assert files == ["conv2d.csv", "linear.csv", "profile.json"]
    for name in files:
        assert (first.dir / name).read_bytes() == (second.dir / name).read_bytes()
    table = data.load_profile([str(first.dir / "conv2d.csv"), str(first.dir / "linear.csv")])
    assert table.attrs["unit"] == "cycles" and len(table) == 40
    about = json.loads((first.dir / "profile.json").read_text())
    assert about["profile"] == {**SECTION, "seed": 3} and about["unit"] == "cycles"
    assert about["hardware"]["name"] == "bitfusion" and set(about["conditions"]) == {"simulator_sha256"}
    assert first.metrics["profile.conv2d.rows"][0] == 20
    assert first.metrics["profile.seconds"][3]  # volatile
    inputs = step.inputs(first.spec)
    json.dumps(plain(inputs))
    assert inputs != step.inputs(spec({**SECTION, "shapes": 6}, "bitfusion"))


@pytest.mark.skipif(not (shutil.which("gcc") and shutil.which("make")), reason="gcc or make is missing")
def test_step_on_the_host(tmp_path):
    section = {**SECTION, "target": "host", "shapes": 2}
    ctx = Context(spec(section, "host"), tmp_path)
    STEPS.get("profile")().run(ctx)
    table = data.load_profile([str(ctx.dir / "conv2d.csv"), str(ctx.dir / "linear.csv")])
    assert table.attrs["unit"] == "ns"
    assert (table["batch"] == 1).all() and len(table) == 2 * 2 * 4
    about = json.loads((ctx.dir / "profile.json").read_text())
    assert {*machine.describe(), "cflags", "native"} <= set(about["conditions"])
    kernels = about["conditions"]["kernels"]
    assert set(kernels) == {"conv2d", "linear"} and all(
        set(k) == {"code_sha256", "calls_sha256"} for k in kernels.values()
    )
    assert 0 <= about["conv2d"]["spread_percent"]["median"] <= about["conv2d"]["spread_percent"]["max"]
    assert "measured" in about
    assert ctx.metrics["profile.linear.spread"][3]  # volatile


def test_a_simulator_is_known_by_what_it_does(tmp_path):
    """Comments, docstrings and layout do not count, nor does another simulator; a changed number counts, in what is imported too."""
    home = Path(bitfusion.__file__).parent
    for name in ("bitfusion.py", "bitfusion_search.py", "systolic.py"):
        shutil.copy(home / name, tmp_path)
    before = simulator_conditions(tmp_path / "bitfusion.py")
    for name in ("bitfusion.py", "bitfusion_search.py"):
        path = tmp_path / name
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
                node.body[0] = ast.parse("'Another docstring.'").body[0]
        path.write_text(f"# A comment.\n{ast.unparse(tree)}\n")
    (tmp_path / "systolic.py").write_text("nothing = 1\n")
    assert simulator_conditions(tmp_path / "bitfusion.py") == before
    search = (tmp_path / "bitfusion_search.py").read_text()
    (tmp_path / "bitfusion_search.py").write_text(search + "\nMORE = 1\n")
    assert simulator_conditions(tmp_path / "bitfusion.py") != before


def test_shipped_bitfusion_profile_is_what_its_spec_makes(tmp_path):
    made = yaml.safe_load((shipped("specs") / "profile-bitfusion.yaml").read_text())
    profile = profiling.make(asked({"repeats": 1, **made["profile"]}), hardware.load("bitfusion"), tmp_path)
    profile.save(tmp_path)
    for kind in ("conv2d", "linear"):
        assert (tmp_path / f"{kind}.csv").read_bytes() == (
            shipped("datasets") / "bitfusion" / f"{kind}.csv"
        ).read_bytes()


@pytest.mark.parametrize("device", ["bitfusion", "host"])
def test_shipped_profiles_cover_small_networks_and_hold_no_layer_of_lenet(device):
    tables = {kind: data.load_profile(f"{device}/{kind}") for kind in ("conv2d", "linear")}
    for kind, table in tables.items():
        shapes = table.drop_duplicates(SHAPE)
        assert len(shapes) >= 48
        assert table.groupby(SHAPE).size().nunique() == 1  # every shape at every pair of bits
        for layer in LENET:
            if ("kernel_h" in layer) == (kind == "conv2d"):
                columns = list(layer)
                assert not (shapes[columns] == pd.Series(layer)).all(axis=1).any(), layer
                assert (shapes[columns].min() <= pd.Series(layer)).all()
                assert (shapes[columns].max() >= pd.Series(layer)).all()
