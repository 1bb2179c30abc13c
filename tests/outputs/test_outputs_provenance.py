"""What a version is exported as holds all of it, and nothing damaged is exported."""

import hashlib
import json
import zipfile

import pytest

from mico_runner import cli
from mico_runner.errors import UsageError
from mico_runner.outputs import provenance, store


@pytest.fixture
def version(tmp_path):
    folder = tmp_path / "outputs/small/v0002"
    (folder / "steps/fit").mkdir(parents=True)
    for name in ("spec.resolved.yaml", "log.jsonl", "report.html", "steps/fit/model.json"):
        (folder / name).write_text(f"{name}\n")
    metrics = {"fit.mape": {"value": 0.05, "unit": "ratio", "direction": "lower", "tolerance": 0.01}}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    about = {"mico_runner": "0.1.0", "python": "3.11", "platform": "Linux", "processor": "x"}
    manifest = {
        "name": "small",
        "created": "2025-01-02T03:04:05Z",
        "environment": {**about, "packages": {"numpy": "2.0.0", "onnx": None}},
        "steps": {},
        "artifacts": store.artifact_hashes(folder),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_a_crate_holds_every_file_with_its_sum(version, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["export", "small"]) == 0
    assert capsys.readouterr().out == "small-v0002.crate.zip\n"
    with zipfile.ZipFile("small-v0002.crate.zip") as crate:
        described = json.loads(crate.read("ro-crate-metadata.json"))
        files = {each["@id"]: each for each in described["@graph"] if each["@type"] == "File"}
        assert {*files, "ro-crate-metadata.json"} == set(crate.namelist())
        for name, about in files.items():
            assert int(about["contentSize"]) == len(crate.read(name))
            if name != "manifest.json":
                assert about["sha256"] == hashlib.sha256(crate.read(name)).hexdigest()
    known = {each["@id"]: each for each in described["@graph"]}
    assert known["ro-crate-metadata.json"]["about"] == {"@id": "./"}
    assert known["#metric-fit.mape"]["value"] == 0.05 and known["#metric-fit.mape"]["unitText"] == "ratio"
    for each in described["@graph"]:  # whatever is referred to is there
        for value in each.values():
            for part in value if isinstance(value, list) else [value]:
                if isinstance(part, dict):
                    assert part["@id"] in known or part["@id"].startswith("https://")


def test_the_same_version_makes_the_same_bytes(version, tmp_path):
    first, second = (provenance.write_crate(version, tmp_path / name).read_bytes() for name in ("a.zip", "b.zip"))
    assert first == second
    assert provenance.cyclone_dx(version) == provenance.cyclone_dx(version)


def test_packages_are_those_of_the_run(version, tmp_path, capsys):
    assert cli.main(["export", str(version), "--as", "cyclonedx", "-o", str(tmp_path / "p.json")]) == 0
    found = json.loads((tmp_path / "p.json").read_text())
    assert found["bomFormat"] == "CycloneDX" and found["specVersion"] == "1.6"
    assert [(each["name"], each["version"]) for each in found["components"]] == [("numpy", "2.0.0")]
    refs = {each["bom-ref"] for each in found["components"]} | {found["metadata"]["component"]["bom-ref"]}
    assert all({d["ref"], *d["dependsOn"]} <= refs for d in found["dependencies"])


@pytest.mark.parametrize("what", ["changed", "missing", "manifest"])
def test_what_is_damaged_is_not_exported(version, what, tmp_path):
    if what == "changed":
        (version / "log.jsonl").write_text("other")
    elif what == "missing":
        (version / "steps/fit/model.json").unlink()
    else:
        (version / "manifest.json").write_text('{"steps": {}, "artifacts": {}')
    with pytest.raises(UsageError, match=r"damaged|manifest"):
        provenance.write_crate(version, tmp_path / "x.zip")
    assert not (tmp_path / "x.zip").exists()
