"""Shipped profiles are current: of the kernels, the core and the simulator that run today."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from test_profiling_rtl import needs_rtl

from mico_runner import codegen, hardware, profiling
from mico_runner.codegen.policy import KernelPolicy
from mico_runner.frozen_data import build
from mico_runner.kernel_table import COLUMNS
from mico_runner.paths import shipped
from mico_runner.profiling.places import target_of
from mico_runner.sections import Profile
from mico_runner.targets import host, rtl
from mico_runner.targets.base import Target
from mico_runner.targets.board_kernels import networks
from mico_runner.targets.kernel_code import version_of

HOME = shipped("datasets")
PROFILES = sorted(str(path.relative_to(HOME)) for path in HOME.glob("*/*.json"))
# One of each kind of core; the machine code of all is compared with that of today besides.
BY_DAY = ("vexriscv-full/profile.json", "vexriscv-fullcfu-dot/profile.json", "vexriscv-lite/profile.json")
COMPILERS = {"host": host.GCC, "rtl": rtl.GCC}
FEWEST = 3  # rows that are measured again
BUDGET = 2_000_000  # cycles: more rows of a kind are measured while they take less
AGAIN = "run specs/profile-{}.yaml and take its files (datasets/{}/README.md)"


def read(profile: str) -> tuple[dict[str, Any], dict[str, pd.DataFrame], hardware.Hardware, Target]:
    """A .json file of a profile, the CSV of each of its kinds, its device, its target."""
    path = HOME / profile
    about = json.loads(path.read_text())
    of = {"tables": "conv2d-tables", "pointwise": "pointwise", "stem": "stem"}
    tables = {
        kind: pd.read_csv(path.with_name(f"{of.get(path.stem, kind)}.csv")) for kind in about["profile"]["kernels"]
    }
    device = hardware.load(about["hardware"]["name"])
    return (
        about,
        tables,
        device,
        target_of(about["profile"]["target"], about["conditions"].get("scratch", "two_rows")),
    )


OTHER_TABLES = {"devices", "search"}  # costs of operations, evaluations of networks: no latencies of kernels


def test_every_shipped_csv_of_this_project_has_its_conditions():
    folders = {path.parent.name for path in HOME.glob("*/*.csv")}
    assert folders - OTHER_TABLES == {Path(profile).parent.name for profile in PROFILES}
    for profile in PROFILES:
        about, tables, *_ = read(profile)
        assert {kind: about[kind]["rows"] for kind in tables} == {kind: len(table) for kind, table in tables.items()}


@pytest.mark.parametrize("profile", PROFILES)
def test_rows_and_device_are_those_of_the_spec(profile):
    """What was asked for, then and now: the recorded section is the spec's, its rows are the file's."""
    about, tables, device, _ = read(profile)
    path = Path(profile)
    name = path.parent.name if path.stem == "profile" else f"{path.parent.name}-{path.stem}"
    spec = yaml.safe_load((shipped("specs") / f"profile-{name}.yaml").read_text())
    filled = {key: about["profile"][key] for key in ("repeats", "seed")}
    assert about["profile"] == {**filled, **spec["profile"]}
    assert about["hardware"] == {"name": device.name, "sha256": device.sha256}, AGAIN.format(name, path.parent.name)
    section = build(Profile, about["profile"])
    for kind, table in tables.items():
        sampled = profiling.sample(kind, section, device.batch)
        pd.testing.assert_frame_equal(sampled[COLUMNS], table[COLUMNS])


@pytest.mark.slow
@pytest.mark.parametrize("profile", PROFILES)
def test_simulators_and_kernels_are_those_of_today(profile):
    """The hashes that `profiling.conditions` gives now are the recorded ones.

    Of compiled kernels they can be compared where the recorded compiler is installed, wherever that is.
    """
    about, tables, device, target = read(profile)
    recorded, name = about["conditions"], about["profile"]["target"]
    gcc = COMPILERS.get(name)
    if gcc is None:
        now, of = target.conditions(tables, device), recorded
    elif version_of(gcc) != recorded["compiler"]:
        pytest.skip(f"the profile's compiler is {recorded['compiler']}; here is {version_of(gcc)}")
    else:
        now, of = target.kernels(tables, device, recorded), recorded["kernels"]
    assert now == of, AGAIN.format("*", Path(profile).parent)
    if name == "rtl" and (core := target.conditions({}, device)["core_sha256"]):
        assert core == recorded["core_sha256"], f"another core; {AGAIN.format('*', Path(profile).parent)}"


@pytest.mark.slow
@needs_rtl
@pytest.mark.parametrize(
    "profile",
    [
        pytest.param(p, marks=[pytest.mark.nightly] * (p not in BY_DAY))
        for p in PROFILES
        if read(p)[0]["profile"]["target"] == "rtl"
    ],
)
def test_rows_measured_again_are_equal(profile, tmp_path):
    """The first rows of one kind, where the compiler is the recorded one; of every kind, where it is another.

    How long a kernel takes depends on where it lies, and on what has run before: the rows run in the program that they were measured in.
    """
    about, tables, device, target = read(profile)
    kinds = list(tables) if version_of(rtl.GCC) != about["conditions"]["compiler"] else list(tables)[:1]
    for kind in kinds:
        latency = tables[kind]["latency_cycles"].to_numpy()
        count = max(FEWEST, int(np.searchsorted(np.cumsum(latency), BUDGET)))
        graphs, images = next(networks(tables[kind]))
        images = [image if i < count else image[:0] for i, image in enumerate(images)]
        folder = tmp_path / kind
        codegen.generate_networks(
            graphs, folder, KernelPolicy.of("baremetal", device.core, target.scratch), device.core
        )
        runs = rtl.run(rtl.build(folder), images, on=device.core, wait_states=int(device.value("wait_states")))
        again = [int(run.cycles[:, :-1].sum()) for run in runs[:count]]
        assert again == latency[:count][: len(graphs)].tolist()
