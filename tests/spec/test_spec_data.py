"""Data that a spec names is checked by `validate` and `plan`: exit code 2, file, line and column, what is allowed; nothing has run."""

import json
import os

import pytest

from mico_runner import cli, spec
from mico_runner.data import catalog

CHIP = "{name: chip, kind: cpu, latency_unit: ns, weight_bits: [4, 8], activation_bits: [8]}"
SPEC = f"""\
spec_version: 1
name: own
hardware: {CHIP}
datasets: {{profile: [chip.csv]}}
proxy: {{strategy: single}}
"""
HEADER = "kind,in_channels,out_channels,act_bits,weight_bits,latency_ns\n"
ROWS = "".join(f"linear,{n},20,8,{bits},{n * bits}\n" for n in (10, 20, 30) for bits in (4, 8))


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.yaml").write_text(SPEC)
    (tmp_path / "chip.csv").write_text(HEADER + ROWS)
    return tmp_path


def both(capsys, *changes):
    """Exit code and messages of `validate` and `plan`, which must agree."""
    sets = [argument for change in changes for argument in ("--set", change)]
    found = []
    for verb in ("validate", "plan"):
        code = cli.main([verb, "own.yaml", *sets])
        found.append((code, capsys.readouterr().err.replace("mico-run: ", "")))
    assert found[0] == found[1]
    return found[0]


def test_a_good_profile_says_nothing(own, capsys):
    assert both(capsys) == (0, "")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("out_channels", "outputs", "chip.csv:1:18: outputs: unknown column; allowed: kind, batch,"),
        ("10,20,8,4", "10,20,8,100", "chip.csv:2:16: weight_bits: found 100; allowed: 4, 8, the weight bits of chip"),
        (
            "latency_ns",
            "latency_cycles",
            "chip.csv:1:1: found latency_cycles; allowed: one column latency_ns, as chip counts",
        ),
        ("linear,10", "linear,1e300", "chip.csv:2:8: in_channels: found '1e300'; allowed: a whole number from 1 to"),
    ],
)
def test_what_is_wrong_in_a_profile_has_its_place(own, capsys, old, new, message):
    (own / "chip.csv").write_text((HEADER + ROWS).replace(old, new, 1))
    code, said = both(capsys)
    assert code == 2 and message in said
    cli.main(["validate", "own.yaml", "--json"])
    for problem in json.loads(capsys.readouterr().out)["own.yaml"]:
        assert problem["file"] == "chip.csv" and problem["line"] in (1, 2) and problem["column"]
    assert not (own / "outputs").exists()


def test_a_byte_order_mark_changes_nothing(own):
    before = spec.load("own.yaml").data
    (own / "chip.csv").write_text("\ufeff" + HEADER + ROWS, encoding="utf-8")
    assert spec.load("own.yaml").data == before


def test_what_looks_wrong_is_a_warning(own, capsys):
    (own / "chip.csv").write_text(HEADER + ROWS + "linear,10,20,8,4,80\n")
    code, said = both(capsys)
    assert code == 0 and said.startswith("warning: chip.csv:8:1: latency: 1 kernel is listed repeatedly")
    assert cli.main(["plan", "own.yaml", "--quiet"]) == 0 and "warning" not in capsys.readouterr().err


def test_warnings_stand_in_the_log_of_the_fit(own, capsys):
    (own / "chip.csv").write_text(HEADER + ROWS + "linear,10,20,8,4,80\n")
    validation = "proxy.validation={protocols: [in_sample]}"
    assert cli.main(["run", "own.yaml", "--quiet", "--set", validation]) == 0
    log = (own / "outputs" / "own" / "latest" / "log.jsonl").read_text()
    assert "warning: " in log and "1 kernel is listed repeatedly" in log


def test_what_is_no_file_is_said_at_once(own, capsys):
    os.mkfifo(own / "pipe.csv")
    (own / "folder.csv").mkdir()
    for name, message in (
        ("pipe.csv", "found a pipe, socket or device; allowed: a file"),
        ("folder.csv", "found a folder; allowed: a file"),
        ("absent.csv", "found 'absent.csv'; no such file: absent.csv"),
    ):
        code, said = both(capsys, f"datasets.profile=[{name}]")
        assert code == 2 and f"datasets.profile[0]: {message}" in said.replace(f"{name}: ", "", 1)


def test_units_do_not_mix_even_without_a_device(own, capsys):
    (own / "other.csv").write_text(HEADER.replace("_ns", "_us") + ROWS)
    code, said = both(capsys, "hardware=null", "datasets.profile=[chip.csv, other.csv]")
    assert code == 2 and "datasets.profile[1]: found latencies in us; allowed: ns, as chip.csv has" in said


def test_the_sources_of_a_transfer_are_read_too(own, capsys):
    (own / "source.csv").write_text(HEADER.replace("act_bits", "bits") + ROWS)
    transfer = "proxy={strategy: transfer, params: {source: source.csv}}"
    code, said = both(capsys, transfer)
    assert code == 2 and "source.csv:1:31: bits: unknown column" in said
    code, said = both(capsys, transfer.replace("source.csv", "mico-smal/matmul-zoo"))
    assert code == 2 and "proxy.params.source: found 'mico-smal/matmul-zoo'; allowed: a profile of the catalog" in said
    code, said = both(capsys, transfer.replace("source.csv", "[chip.csv, 3]"))
    assert code == 2 and "proxy.params.source[1]: found 3; allowed: a profile" in said
    (own / "source.csv").write_text(HEADER.replace("_ns", "_cycles") + ROWS)  # another device counts otherwise
    assert both(capsys, transfer) == (0, "")
    changed = spec.load("own.yaml", [transfer]).data["proxy"]["params"]["source"]
    assert changed == str((own / "source.csv").resolve()), "from the spec's folder, wherever it is run"


@pytest.mark.parametrize(("key", "entry"), [("datasets.task", "mnist"), ("verify.data", "graphs/subgraphs")])
def test_a_damaged_file_of_the_catalog_is_said(own, capsys, monkeypatch, key, entry):
    monkeypatch.setenv("MICO_DATA_DIR", str(own / "mine"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(own / "cache"))
    path = own / "mine" / catalog.entry(entry).files[0].path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"damaged")
    value = (
        f"{key}={entry}" if key.startswith("datasets") else "verify={devices: [{device: i7_12700K, precision: fp32}]}"
    )
    code, said = both(capsys, value)
    assert code == 2 and f"{key}: data set '{entry}': {path} has sha256" in said
