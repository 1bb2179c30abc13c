"""The corpus of broken specs: every problem is named, with its place, and nothing else is."""

import re
from pathlib import Path

import pytest

from mico_runner import spec, yaml_source

CORPUS = yaml_source.read(Path(__file__).with_name("broken.yaml")).data
CASES = CORPUS["specs"]


def text_of(case: dict) -> str:
    text = case["text"] if "text" in case else CORPUS["bases"][case["from"]]
    if "swap" in case:
        old, new = case["swap"]
        assert text.count(old) >= 1, f"{old!r} is not in the base"
        text = text.replace(old, new, 1)
    return text


def test_the_corpus_is_large_enough():
    assert len(CASES) >= 60


@pytest.mark.parametrize("base", CORPUS["bases"])
def test_bases_are_valid(base, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("spec.yaml").write_text(CORPUS["bases"][base], encoding="utf-8")
    spec.load("spec.yaml")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["says"][0][:80])
def test_says_what_is_wrong(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("spec.yaml").write_text(text_of(case), encoding="utf-8")
    with pytest.raises(spec.SpecErrors) as caught:
        spec.load("spec.yaml", case.get("set", []))
    said = str(caught.value).split("\n")
    assert len(said) == len(case["says"]), "\n".join(said)
    for line, wanted in zip(said, case["says"], strict=True):
        pattern = ".*".join(re.escape(part) for part in wanted.split("..."))
        assert re.fullmatch(pattern, line), f"{line}\nis not\n{wanted}"
    assert caught.value.exit_code == 2
    assert [p.name for p in tmp_path.iterdir()] == ["spec.yaml"]
