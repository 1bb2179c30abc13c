"""What steps give to other processes can be copied there, and comes back as it would here: a map that copies stands in for them."""

import json
import pickle
import shutil

import pytest

from mico_runner import paths, spec
from mico_runner.pipeline import Options, running

NETWORK = ["model.train.epochs=1", "search.budget.evaluations=4", "search.constraints=null", "gates=null"]
NETWORK += ["extends=templates/bitfusion.yaml", "profile=null", "evaluate=null", "codegen=null", "simulate=null"]
FIT = [
    "extends=templates/bitfusion.yaml",
    "profile=null",
    "proxy={strategy: lut, compare: [{strategy: structural}], validation: {protocols: [group_kfold], folds: 2}}",
]
FIT += ["datasets.profile=[bitfusion/linear]", "steps=[fit]", "gates=null"]
ALONE = [f"{section}=null" for section in ("search", "proxy", "codegen", "simulate", "evaluate", "gates")]
KERNELS = "{linear: {in_channels: [4, 8], out_channels: [4, 8]}}"
BOARD = [
    "profile.target=qemu",
    f"profile.kernels={KERNELS}",
    "profile.shapes=2",
    "profile.bits={weight: [8], activation: [8]}",
    "steps=[profile]",
]
CASES = {
    "search": ("quickstart", [*NETWORK, "proxy=null", "search.objectives=[accuracy, flash_bytes]"], 1),
    "fit": ("quickstart", [*FIT], 1),
    "folds": ("quickstart", [*FIT, "proxy.compare=[]"], 1),
    "crossvalidate": ("quickstart", [*ALONE, "profile=null", "model.train.epochs=1", "crossvalidate={folds: 2}"], 1),
    "profile": (
        "quickstart",
        ["extends=templates/cortex-m3.yaml", "datasets.profile=[]", "model=null", *ALONE, *BOARD],
        1,
    ),
}


class Copying:
    """In place of `executor.Mapper`."""

    calls = 0

    def __init__(self, *_):
        pass

    def __call__(self, function, items):
        type(self).calls += 1
        for item in items:
            copied = pickle.loads(pickle.dumps((function, item)))
            yield pickle.loads(pickle.dumps(copied[0](copied[1])))

    def close(self):
        pass


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_results_of_copies_are_the_same(case, tmp_path, monkeypatch):
    if case == "profile" and not (shutil.which("qemu-system-arm") and shutil.which("arm-none-eabi-gcc")):
        pytest.skip("qemu-system-arm or arm-none-eabi-gcc is missing")
    name, changes, least = CASES[case]
    data = spec.load(paths.shipped("specs") / f"{name}.yaml", changes).data
    here = running.run(data, Options(outputs=tmp_path / "here", quiet=True))
    monkeypatch.setattr(running, "Mapper", Copying)
    monkeypatch.setattr(Copying, "calls", 0)
    there = running.run(data, Options(outputs=tmp_path / "there", quiet=True))
    assert Copying.calls >= least, "the step maps nothing"
    assert not {"skipped"} & set(there.statuses.values()), there.skipped
    stable = [
        json.dumps({name: metric.to_json() for name, metric in run.metrics.items() if not metric.volatile})
        for run in (here, there)
    ]
    assert stable[0] == stable[1]
    tables = [sorted((run.version / "steps").rglob("*.csv")) for run in (here, there)]
    assert [table.read_bytes() for table in tables[0]] == [table.read_bytes() for table in tables[1]]
