"""Curves of devices as files: what ships is right, what is wrong is named with its line, and an estimate says what it stands on."""

import os

import numpy as np
import pandas as pd
import pytest
import yaml

from mico_runner import cli
from mico_runner.calibration import device_curves, device_rates, judgement, leave_one_out, measured_networks
from mico_runner.calibration.estimator import Estimator
from mico_runner.calibration.whole_networks import by_class, trace
from mico_runner.data import subgraphs
from mico_runner.errors import UnknownName, UsageError
from mico_runner.yaml_schema import SchemaErrors

needs_mirror = pytest.mark.skipif(not os.environ.get("MICO_DATA_MIRROR"), reason="MICO_DATA_MIRROR is not set")
CONV = {"op": "conv_k3", "launches": 1, "macs": 1.156e8, "weights": 36864, "elements": 401408, "reduction": 576}
CONV |= {"in_channels": 64, "out_channels": 64}
TERMS = {
    "launches_s": {"conv_k3": 1e-5, "view": 1e-6},
    "families_s": {"any": 2e-6},
    "work_s": {"macs conv_k3": 1e-12, "elements other": 1e-10},
    "reach": {"conv_k3": [1e6, 1e9]},
    "errors": {"conv_k3": 0.1},
}
MEASURED = {"provenance": "measured", "source": "a test", "terms": TERMS}
JUDGED = {"protocol": "left out", "networks": 12, "mape": 0.1, "max_ape": 0.3, "log_error": 0.12}


def operators(*rows):
    return pd.DataFrame([CONV | row for row in rows])


def file_of(folder, **precisions):
    path = folder / "chip.yaml"
    path.write_text(yaml.safe_dump({"name": "chip", "precisions": precisions}), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", device_curves.names())
def test_what_ships_can_be_read_and_says_where_it_comes_from(name):
    for curves in device_curves.load(name).values():
        assert curves.device == name and len(curves.source) > 40
        assert curves.provenance == "assumed" or curves.validation.networks >= 10
        seconds = curves.model.predict(operators({}, {"op": "linear", "macs": 1e8, "weights": 1e6}))
        assert (seconds > 1e-6).all() and (seconds < 0.1).all()


def test_a_prediction_is_the_sum_of_its_trace_and_marks_what_it_does_not_know(tmp_path):
    curves = device_curves.load(file_of(tmp_path, fp32=MEASURED))["fp32"]
    rows = operators({}, {"macs": 1e10}, {"op": "softmax", "macs": 0, "weights": 0, "elements": 1000})
    seconds = curves.model.predict(rows)
    np.testing.assert_allclose(seconds, [1e-5 + 1.156e-4, 1e-5 + 1e-2, 2e-6 + 1e-7])
    assert list(curves.model.standing(rows)) == ["measured", "EXTRAPOLATED", "ASSUMED"]
    first, second, third, last = trace(curves.model, rows)
    assert first == "conv 3x3 64→64: 126 µs; macs conv_k3 116 µs + launch conv_k3 10 µs = 126 µs, ±11 %"
    assert second.endswith("EXTRAPOLATED") and third.endswith("ASSUMED")
    assert last.startswith("sum: 10.1 ms, 98.7 % of it EXTRAPOLATED, 0.0 % of it ASSUMED")


def test_an_estimator_reads_back_what_it_wrote(tmp_path):
    path = file_of(tmp_path, fp32=MEASURED)
    model = device_curves.load(path)["fp32"].model
    path.write_text(
        device_curves.document("chip", "", {"fp32": MEASURED | {"terms": model.to_json()}}), encoding="utf-8"
    )
    again = device_curves.load(path)["fp32"].model
    assert again.to_json() == model.to_json()
    np.testing.assert_array_equal(again.predict(operators({})), model.predict(operators({})))


def test_an_interval_is_as_wide_as_networks_left_out_were_wrong(tmp_path):
    curves = device_curves.load(file_of(tmp_path, fp32=MEASURED | {"validation": JUDGED}))["fp32"]
    within, far = operators({}), operators({"macs": 1e9 * np.e**2})
    (low, high), seconds = curves.interval(within), curves.model.predict(within).sum()
    assert low * high == pytest.approx(seconds**2) and high / seconds == pytest.approx(
        np.exp(1.796 * 0.12 * np.sqrt(13 / 12)), rel=1e-3
    )
    low, high = curves.interval(far)  # two e-foldings beyond what was measured
    wide = 1.796 * np.hypot(0.12, 2 * device_curves.BEYOND) * np.sqrt(13 / 12)
    assert high / low == pytest.approx(np.exp(2 * wide), rel=1e-3)
    bare = device_curves.load(file_of(tmp_path, fp32=MEASURED))["fp32"]
    assert np.isnan(bare.interval(within)).all() and "never validated" in bare.in_words()
    rng = np.random.default_rng(0)
    held = []
    for errors in rng.normal(0, 0.2, (1000, 16)):  # fifteen that are known, one that is not
        _, high = device_curves.interval(1.0, float(np.sqrt((errors[:15] ** 2).mean())), 15, 0.0)
        held.append(abs(errors[15]) <= np.log(high))
    assert 0.88 < np.mean(held) < 0.93


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"provenance": "guessed"}, r"chip.yaml:4:.*provenance: found 'guessed'; allowed: one of measured"),
        ({"provenance": "assumed"}, "found assumed with terms; allowed: assumed with efficiency"),
        ({"terms": None}, "found neither terms nor efficiency"),
        ({"terms": TERMS | {"work_s": {"macs conv_k4": 1e-12}}}, "found 'macs conv_k4'; allowed: macs conv_k3"),
        ({"terms": TERMS | {"work_s": {"weights": -1e-12}}}, "weights: found -1e-12; allowed: .* 0"),
        ({"terms": TERMS | {"families_s": {"view_": 1e-6}}}, "families_s: any is missing"),
        ({"terms": TERMS | {"reach": {"conv_k3": [2, 1]}}}, "found a lowest size above the highest"),
        ({"source": ""}, "source"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(tmp_path, changes, message):
    with pytest.raises(SchemaErrors, match=message):
        device_curves.load(file_of(tmp_path, fp32=MEASURED | changes))


def test_an_assumed_file_needs_a_curve_for_every_operation_that_computes(tmp_path):
    curve = {"flops": [1e6, 1e9], "measured_efficiency": [0.1, 0.5]}
    of = {"ops_per_s": 1e12, "bytes_per_s": 1e10, "curves": {"conv2d": curve, "matmul": curve}}
    assumed = {"provenance": "assumed", "source": "a book", "efficiency": of}
    with pytest.raises(SchemaErrors, match="unknown efficiency curve 'conv_dw'"):
        device_curves.load(file_of(tmp_path, fp32=assumed))
    of["curves"]["depthwise"] = curve
    (found,) = device_curves.load(file_of(tmp_path, fp32=assumed)).values()
    assert set(found.model.standing(operators({}, {"op": "add", "macs": 0}))) == {"ASSUMED"}


def test_another_devices_figures_are_never_used_instead():
    with pytest.raises(UnknownName, match="did you mean 'i7-12700k"):
        device_curves.load("i7-12700")


def test_rates_show_where_two_sources_part():
    both = [device_curves.load(name)["fp32"] for name in ("i7-12700k", "i7-12700k-published")]
    table = device_rates.table(both)
    assert set(table["standing"]) == {"measured", "EXTRAPOLATED", "ASSUMED"}
    assert (table["flops_per_s"] > 1e8).all() and table.groupby("device").size().nunique() == 1


def test_error_times_time_names_the_class_that_is_predicted_badly():
    rows = pd.DataFrame(
        {"op": ["add", "add", "linear"], "measured_s": [1.0, 2.0, 10.0], "predicted_s": [3.0, 1.0, 10.5]}
    )
    found = by_class(rows.assign(roofline_s=rows["measured_s"], off_s=0.0))
    assert found["op"].tolist() == ["add", "linear"] and found["off_s"].tolist() == [3.0, 0.5]
    assert found["roofline_off_s"].tolist() == [0.0, 0.0]


def estimate(folder, capsys=None, **section):
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump({"spec_version": 1, "name": "few", "estimate": section}), encoding="utf-8")
    code = cli.main(["run", str(path), "--outputs", str(folder / "out"), "--quiet"])
    return code, folder / "out" / "few" / "latest" / "steps" / "estimate"


def test_a_network_is_estimated_without_calibrating_and_compared_with_what_a_user_measured(tmp_path):
    pytest.importorskip("torch")
    file_of(tmp_path, fp32=MEASURED | {"validation": JUDGED})
    (tmp_path / "mine.csv").write_text("network,device,precision,seconds\nsqueezenet,chip,fp32,0.001\n")
    devices = [{"curves": "chip.yaml"}, {"curves": "i7-12700k-published"}]
    code, folder = estimate(tmp_path, devices=devices, networks=["squeezenet"], measured="mine.csv")
    assert code == 0
    own, published = pd.read_csv(folder / "networks.csv").to_dict("records")
    assert own["low_s"] < own["predicted_s"] < own["high_s"] and own["assumed"] > 0
    assert own["error"] == pytest.approx(own["predicted_s"] / 0.001 - 1, rel=1e-4)
    assert published["assumed"] == 1 and np.isnan(published["low_s"]) and np.isnan(published["error"])
    text = (folder / "trace.txt").read_text()
    assert "chip fp32: measured, 10.0 % mean" in text and "ASSUMED, 26.2 % mean" in text


def test_what_a_spec_names_wrongly_is_said_before_anything_runs(tmp_path, capsys):
    file_of(tmp_path, fp32=MEASURED | {"provenance": "guessed"})
    (tmp_path / "mine.csv").write_text("network,device,precision,seconds\nsqueezenet,chip,fp32,-1\n")
    devices = [{"curves": "chip.yaml"}, {"curves": "jetson-orin-agx-max"}, {"curves": "i7-12700k", "precision": "int8"}]
    assert estimate(tmp_path, devices=devices, networks=["model"], measured="mine.csv")[0] == 2
    said = capsys.readouterr().err
    assert "provenance: found 'guessed'" in said and "did you mean" in said
    assert "found 'int8'; allowed: fp32, which i7-12700k has" in said
    assert "this spec has no model" in said and "mine.csv:2: seconds is '-1'" in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("network,seconds\n", "mine.csv:1: found columns network, seconds; needed: network, device"),
        ("network,device,precision,seconds\na,b,fp32\n", "mine.csv:2: 3 values; allowed: 4"),
        ("network,device,precision,seconds\na,b,fp32,nan\n", "mine.csv:2: seconds is 'nan'"),
        ("network,device,precision,seconds\na,b,fp32,1\na,b,fp32,2\n", "mine.csv:3: a, b, fp32 is there twice"),
    ],
)
def test_a_table_of_measured_networks_is_refused_with_its_line(tmp_path, text, message):
    (tmp_path / "mine.csv").write_text(text)
    with pytest.raises(UsageError, match=message):
        measured_networks.read(tmp_path / "mine.csv")


@needs_mirror
def test_a_users_file_of_one_precision_and_batch_becomes_curves_of_a_device(tmp_path):
    rows = subgraphs.load_subgraphs("graphs/subgraphs")
    rows = leave_one_out.select(rows, "jetson_orin_agx_maxn", "fp32", [1])
    few = rows[rows["model"].isin(["resnet18", "resnet34", "resnet50", "vgg11", "mobilenet_v2"])]
    few.drop(columns="activations").assign(hardware="mine").to_csv(tmp_path / "mine.csv", index=False)
    verify = {"data": "mine.csv", "write_to": "made", "devices": [{"device": "mine"}]}
    spec = {"spec_version": 1, "name": "own", "verify": verify}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    assert cli.main(["run", str(tmp_path / "own.yaml"), "--outputs", str(tmp_path / "out"), "--quiet"]) == 0
    (made,) = device_curves.load(tmp_path / "made" / "mine.yaml").values()
    assert made.provenance == "fitted" and made.validation.networks == 5 and "mine.csv" in made.source
    assert isinstance(made.model, Estimator) and 0 < made.validation.mape < 0.5


def test_a_simple_method_is_exact_where_latency_is_what_it_supposes():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        {"batch": 1, "model": np.repeat(list("abcd"), 12), "fusion_pattern": np.tile(["conv", "linear"], 24)}
    )
    rows["flops"], rows["bytes"] = rng.uniform(1e6, 1e9, 48), rng.uniform(1e4, 1e7, 48)
    slope = np.where(rows["fusion_pattern"] == "conv", 2.0, 9.0)
    rows["lat_mean_ms"] = 0.1 + slope * rows["flops"] / 1e9 + rows["bytes"] / 1e8
    np.testing.assert_allclose(judgement.simple_errors(rows, 1), 0, atol=1e-9)
    assert judgement.simple_errors(rows.assign(fusion_pattern="all"), 1).abs().max() > 0.05
    odd = rows["fusion_pattern"].mask(rows["model"] == "d", "alone")  # a type that no other network has
    assert np.isfinite(judgement.simple_errors(rows.assign(fusion_pattern=odd), 1)).all()


def test_a_networks_interval_does_not_know_its_own_error():
    models = pd.DataFrame({"predicted_ms": 10.0, "error": [0.1, -0.1, 0.1, -0.1, 0.1, 3.0]})
    models = models.assign(measured_ms=10 / (1 + models["error"]), beyond=0.0)
    found = judgement.with_intervals(models)
    assert found["inside"].tolist() == [True] * 5 + [False]
    assert judgement.with_intervals(models.assign(beyond=9.0))["inside"].all()
    assert found["high_ms"].iloc[5] < found["high_ms"].iloc[0]


@pytest.mark.parametrize(("errors", "wanted"), [([1, 1, 1], 1.0), ([1, -1], -1.0), ([1, 1, -2], -0.6), ([2], 0.0)])
def test_errors_that_go_together_correlate(errors, wanted):
    rows = pd.DataFrame({"model": "a", "lat_mean_ms": 5.0, "predicted_ms": 5.0 + np.array(errors)})
    assert judgement.correlation(rows) == pytest.approx(wanted)


def test_validate_takes_a_file_of_curves(tmp_path, capsys):
    good = file_of(tmp_path, fp32=MEASURED)
    assert cli.main(["validate", str(good)]) == 0
    file_of(tmp_path, fp32=MEASURED | {"provenance": "guessed", "source": ""})
    assert cli.main(["validate", str(good)]) == 2
    said = capsys.readouterr().err
    assert "chip.yaml:4:17: precisions.fp32.provenance: found 'guessed'" in said and "precisions.fp32.source" in said
    good.write_text("precisions: [\n")
    assert cli.main(["validate", str(good)]) == 2 and "chip.yaml:2" in capsys.readouterr().err
