"""Every registered latency strategy keeps the contract: `mico_runner.testing.check_predictor`."""

import pytest

from mico_runner import hardware
from mico_runner.accelerators import bitfusion
from mico_runner.proxy import STRATEGIES
from mico_runner.testing import check_predictor
from mico_runner.testing.predictors import profile

ELSEWHERE = ("analytical", "transfer", "network-transfer")  # below, the last in test_proxy_networks.py


@pytest.mark.parametrize("name", [name for name in STRATEGIES.names() if name not in ELSEWHERE])
def test_contract(name, tmp_path):
    check_predictor(name, tmp_path)


def test_contract_of_analytical(tmp_path):
    """It knows one device, in its own cycles."""
    check_predictor("analytical", tmp_path, latency=bitfusion.BitFusion(hardware.load("bitfusion")).cycles)


def test_contract_of_transfer(tmp_path):
    """It needs a source device: another made-up one."""
    source = tmp_path / "source.csv"
    for kind in ("linear", "conv2d"):
        profile(kind, seed=1).rename(columns={"latency": "latency_cycles"}).to_csv(source, index=False)
        check_predictor("transfer", tmp_path, {"source": str(source)}, kinds=[kind])
