"""Names are followed through packages of any shape."""

from pathlib import Path

import pytest

from mico_runner import paths
from mico_runner.sources import Sources, files, reach


def test_a_package_may_import_from_a_module_of_the_same_name(tmp_path):
    for file, text in (
        ("parts/__init__.py", "from parts.build import build\n"),
        ("parts/build.py", "WIDTH = 3\ndef build():\n    return WIDTH\n"),
        ("net.py", "import parts\ndef net():\n    return parts.build()\n"),
    ):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text, encoding="utf-8")
    with Sources() as sources:
        before = sources.reach([(tmp_path / "net.py", "net")]).sources
        (tmp_path / "parts/build.py").write_text("WIDTH = 4\ndef build():\n    return WIDTH\n", encoding="utf-8")
    with Sources() as sources:
        after = sources.reach([(tmp_path / "net.py", "net")]).sources
    assert before.keys() == after.keys()
    assert {Path(name).name for name in before if before[name] != after[name]} == {"build.py"}


def test_what_is_asked_again_is_followed_once_and_other_entries_are_followed_anew():
    """A sweep asks for the same steps in every cell."""
    root = (paths.PACKAGE / "steps" / "train.py", "Train")
    with Sources() as sources:
        lenet = sources.reach([root], {"mico_runner.models": ["lenet"]})
        assert sources.reach([root], {"mico_runner.models": ["lenet"]}) is lenet
        mlp = sources.reach([root], {"mico_runner.models": ["mlp"]})
    assert "models/lenet.py" in lenet.sources and "models/lenet.py" not in mlp.sources


def test_what_one_plan_read_is_used_by_the_next_until_a_file_changes_or_is_new(tmp_path, monkeypatch):
    package = tmp_path / "mico_runner"
    package.mkdir()
    for module, name in ((files, str(package)), (reach, str(package))):
        monkeypatch.setattr(module, "PACKAGE", name)
    monkeypatch.setattr(paths, "PACKAGE", package)
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / ".#lock").symlink_to("user@nowhere.1")  # as an editor leaves it
    (package / "use.py").write_text(
        "from mico_runner.made import width\ndef net():\n    return width()\n", encoding="utf-8"
    )
    (package / "made.py").write_text("def width():\n    return 3\n", encoding="utf-8")

    def found():
        with Sources() as sources:
            return sources.reach([(package / "use.py", "net")])

    first = found()
    assert found() is first and first.sources.keys() == {"use.py", "made.py"}
    (package / "made.py").write_text("def width():\n    return 4\n", encoding="utf-8")
    edited = found()
    assert {name for name in first.sources if first.sources[name] != edited.sources[name]} == {"made.py"}
    (package / "made").mkdir()
    (package / "made" / "__init__.py").write_text("def width():\n    return 5\n", encoding="utf-8")
    assert "made/__init__.py" in found().sources, "a package goes before a module of its name"


def test_what_was_reached_is_kept_while_the_project_stays_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asked = [(Path(reach.__file__), "Sources")]

    def afresh(allowed=True):
        monkeypatch.setattr(reach, "_project", None)  # as another process would begin
        with monkeypatch.context() as patch, Sources() as sources:
            if not allowed:
                patch.setattr(sources, "_follow", None)
            return sources.reach(asked, {})

    first = afresh()
    assert afresh(allowed=False) == first
    real = reach._stamps_below
    monkeypatch.setattr(reach, "_stamps_below", lambda folder: real(folder) | {"another file": [1]})
    with pytest.raises(TypeError):
        afresh(allowed=False)  # a file is there that was not: nobody knows what it changes
    (kept,) = (tmp_path / "mico-runner" / "reached").glob("*.json")
    kept.write_bytes(kept.read_bytes()[:-5])
    assert afresh() == first == afresh(allowed=False)
