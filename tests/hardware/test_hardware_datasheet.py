"""Data sheets: every peak is the product of its factors, and agrees with figures that are published elsewhere."""

import pytest
import yaml

from mico_runner import paths
from mico_runner.errors import UnknownName, UsageError
from mico_runner.hardware import datasheet

PUBLISHED = {  # TFLOP/s or TOP/s of the makers' marketing tables, dense
    **{("a100-sxm", "default", p): v for p, v in {"fp32": 19.5, "tf32": 156, "fp16": 312, "int8": 624}.items()},
    **{("h100-sxm", "default", p): v for p, v in {"fp32": 67, "fp16": 989.5, "int8": 1979}.items()},
    **{("jetson-orin-agx", "maxn", p): v for p, v in {"fp32": 5.3, "int8": 85}.items()},
}


@pytest.mark.parametrize("name", datasheet.names())
def test_every_peak_is_derived_from_its_factors(name):
    sheet = datasheet.load(name)
    raw = yaml.safe_load((paths.shipped("hardware") / "datasheets" / f"{name}.yaml").read_text(encoding="utf-8"))
    for mode, rates in raw["modes"].items():
        for precision, peak in rates.items():
            product = sum(p["units"] * p["ops_per_cycle"] * p["clock_hz"] for p in peak["parts"])
            assert sheet.peaks[mode][precision] == pytest.approx(product, rel=0.01), (mode, precision)
            assert sheet.sources[mode, precision]
    memory = raw["memory"]["derived"]
    assert sheet.bytes_per_s == pytest.approx(
        memory["channels"] * memory["bytes_per_transfer"] * memory["transfers_per_s"], rel=0.01
    )
    assert sheet.name == name


@pytest.mark.parametrize(("name", "mode", "precision"), PUBLISHED)
def test_peaks_agree_with_the_makers_tables(name, mode, precision):
    tera = datasheet.load(name).peaks[mode][precision] / 1e12
    assert tera == pytest.approx(PUBLISHED[name, mode, precision], rel=0.01)


def test_each_power_mode_has_its_own_peak_and_less_power_is_slower():
    peaks = [datasheet.load("jetson-orin-agx").peaks[mode]["fp32"] for mode in ("15w", "30w", "50w", "maxn")]
    assert peaks == sorted(peaks) and len(set(peaks)) == 4


def test_an_unknown_device_is_an_error_with_neighbours():
    with pytest.raises(UnknownName, match="did you mean 'i7-12700k'"):
        datasheet.load("i7-12700kf")


def test_a_peak_that_is_not_the_product_of_its_factors_is_refused(tmp_path):
    text = (paths.shipped("hardware") / "datasheets" / "a100-sxm.yaml").read_text(encoding="utf-8")
    (tmp_path / "a100.yaml").write_text(text.replace("units: 108", "units: 128", 1), encoding="utf-8")
    with pytest.raises(UsageError, match=r"modes.default.fp32.ops_per_s: found 1.95e\+13; its factors give 2.3"):
        datasheet.load(tmp_path / "a100.yaml")
