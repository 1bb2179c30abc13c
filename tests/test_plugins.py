"""Files of a user's own: read without being run, imported under a name of their own, and every mistake in them is said with its place."""

import sys

import pytest

from mico_runner import cli, plugins, spec
from mico_runner.errors import UsageError
from mico_runner.models import MODELS
from mico_runner.sources import Sources
from mico_runner.spec import SpecErrors

GOOD = """
from mico_runner.models import register
from .widths import WIDTH

@register("wide", params={"depth": {"type": "integer"}})
def wide(input_shape, classes, depth=1):
    '''Wide.'''
    return WIDTH * depth
"""
SPEC = """
spec_version: 1
name: own
plugins: [%s]
hardware: host
datasets: {task: digits, validation: 100}
model: {name: wide, params: {depth: 2}}
"""


@pytest.fixture(autouse=True)
def none_afterwards():
    yield
    plugins.use(())


def write(folder, content=GOOD, name="wide.py", listed="own"):
    (folder / "own").mkdir(exist_ok=True)
    (folder / "own" / name).write_text(content, encoding="utf-8")
    (folder / "own/widths.py").write_text("WIDTH = 5\n", encoding="utf-8")
    (folder / "spec.yaml").write_text(SPEC % listed, encoding="utf-8")
    return folder / "spec.yaml"


@pytest.mark.parametrize("listed", ["own", "own/wide.py"])
def test_reading_a_spec_runs_nothing_and_using_an_entry_imports_it(listed, tmp_path):
    path = write(tmp_path, GOOD + "\nimport sys\nsys.was_run = True\n", listed=listed)
    loaded = spec.load(path)
    assert not hasattr(sys, "was_run") and loaded.data["plugins"] == [str(tmp_path / listed)]
    assert loaded.data["model"]["params"] == {"depth": 2} and "wide" in MODELS.names()
    assert MODELS.get("wide")((1, 8, 8), 10) == 5 and vars(sys).pop("was_run")
    with Sources() as sources:
        reached = sources.reach([(tmp_path / "own/wide.py", "wide")]).sources
    assert {"wide.py", "widths.py"} <= set(reached)


def test_the_next_spec_knows_them_no_more_and_a_changed_file_is_imported_anew(tmp_path):
    path = write(tmp_path)
    spec.load(path)
    assert MODELS.get("wide")((1, 8, 8), 10) == 5
    (tmp_path / "own/widths.py").write_text("WIDTH = 77\n", encoding="utf-8")
    spec.load(path)
    assert MODELS.get("wide")((1, 8, 8), 10) == 77
    spec.load("quickstart")
    assert "wide" not in MODELS.names()


def test_specs_may_take_turns_with_files_that_register_the_same_name(tmp_path):
    paths = []
    for width in (3, 4):
        folder = tmp_path / str(width)
        folder.mkdir()
        paths.append(write(folder, GOOD.replace("WIDTH * depth", f"{width} * depth")))
    for path, width in ((paths[0], 3), (paths[1], 4), (paths[0], 3)):
        spec.load(path)
        assert MODELS.get("wide")((1, 8, 8), 10) == width


def test_what_an_editor_leaves_in_the_folder_is_no_plug_in(tmp_path):
    path = write(tmp_path)
    (tmp_path / "own/.#wide.py").symlink_to("nobody@nowhere")
    spec.load(path)
    assert MODELS.get("wide")((1, 8, 8), 10) == 5


def test_the_resolved_spec_is_one_that_runs_from_anywhere(tmp_path):
    loaded = spec.load(write(tmp_path))
    again = tmp_path / "else"
    again.mkdir()
    (again / "spec.yaml").write_text(spec.dump(loaded.data), encoding="utf-8")
    assert spec.load(again / "spec.yaml").data == loaded.data


WRONG = {
    "def f(:\n": "wide.py:1: this is no Python",
    "import os\n": "imports no register; allowed: the register of model (mico_runner.models)",
    "from mico_runner.steps import register\n": "imports register from mico_runner.steps; allowed",
    GOOD.replace('"wide"', "NAME"): "must be literals",
    GOOD.replace('"wide"', '"lenet"'): "there is a model 'lenet' already, in mico_runner.models.lenet",
    GOOD.replace('"integer"', '"whole"'): "params of 'wide' are no Cerberus schema",
    GOOD.replace('{"type": "integer"}', "3"): "params of 'wide' are no Cerberus schema",
}


@pytest.mark.parametrize("content", WRONG)
def test_a_mistake_is_one_located_error(content, tmp_path):
    with pytest.raises(SpecErrors) as error:
        spec.load(write(tmp_path, content, listed="own/wide.py"))
    assert "spec.yaml:4:" in str(error.value) and WRONG[content] in str(error.value)
    assert not plugins.used()


@pytest.mark.parametrize(
    "listed, words",
    [
        ("nowhere", "no such file or folder"),
        ("../own", "without '..'"),
        ("3", "allowed: a path to a Python file or a folder"),
        ("own/spam", "registers anything"),
    ],
)
def test_a_place_where_nothing_is(listed, words, tmp_path):
    path = write(tmp_path, listed=listed)
    (tmp_path / "own/spam").mkdir()
    with pytest.raises(SpecErrors, match=words):
        spec.load(path)


def test_two_files_may_not_register_one_name(tmp_path):
    path = write(tmp_path)
    write(tmp_path, name="wider.py")
    with pytest.raises(SpecErrors, match="there is a model 'wide' already"):
        spec.load(path)


def test_a_failing_import_names_the_line(tmp_path):
    spec.load(write(tmp_path, GOOD + "\n1 / 0\n"))
    for _ in range(2):  # what was registered before the mistake is not used the second time
        with pytest.raises(UsageError, match=r"wide\.py:10: importing this plug-in failed: ZeroDivisionError"):
            MODELS.get("wide")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package whose entry point names a module with the model `wide`."""
    inner = tmp_path / "installed/others/inner"
    inner.mkdir(parents=True)
    inner.joinpath("wide.py").write_text(GOOD + "\nimport sys\nsys.was_run = True\n", encoding="utf-8")
    inner.joinpath("widths.py").write_text("WIDTH = 5\n", encoding="utf-8")
    for folder in (inner, inner.parent):
        folder.joinpath("__init__.py").write_text("raise AssertionError('imported')\n", encoding="utf-8")
    about = tmp_path / "installed/others-1.0.dist-info"
    about.mkdir()
    about.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1.0\n", encoding="utf-8")
    about.joinpath("entry_points.txt").write_text("[mico_runner.plugins]\nwide = others.inner.wide\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path / "installed"))
    plugins.installed.cache_clear()
    plugins.use(())
    yield inner
    monkeypatch.undo()
    plugins.installed.cache_clear()


def test_an_installed_package_adds_entries_to_every_spec(package, tmp_path, capsys):
    assert cli.main(["list", "models"]) == 0 and "Wide." in capsys.readouterr().out
    (tmp_path / "spec.yaml").write_text((SPEC % "").replace("plugins: []\n", ""), encoding="utf-8")
    assert spec.load(tmp_path / "spec.yaml").data["plugins"] == []
    assert not hasattr(sys, "was_run") and not any(name.startswith("others") for name in sys.modules)
    assert MODELS.get("wide")((1, 8, 8), 10, 2) == 10 and vars(sys).pop("was_run")
    with Sources() as sources:
        assert "wide.py" in sources.reach([(package / "wide.py", "wide")]).sources


def test_a_spec_may_name_a_file_that_is_installed_and_not_its_name_again(package, tmp_path):
    assert spec.load(write(tmp_path, listed="installed/others/inner")).data["model"]["name"] == "wide"
    with pytest.raises(SpecErrors, match="there is a model 'wide' already"):
        spec.load(write(tmp_path))


@pytest.mark.parametrize(
    "content, words",
    [
        (None, "entry point 'wide' of others: there is no source file of the module 'others.inner.wide'"),
        ("import os\n", "wide.py imports no register; allowed"),
        (GOOD.replace('{"type": "integer"}', "3"), "params of 'wide' are no Cerberus schema"),
    ],
)
def test_a_mistake_of_an_installed_package_names_it(content, words, package, tmp_path, capsys):
    plugins.installed.cache_clear()
    package.joinpath("wide.py").unlink() if content is None else package.joinpath("wide.py").write_text(content)
    (tmp_path / "spec.yaml").write_text((SPEC % "").replace("name: wide, params: {depth: 2}", "name: lenet"))
    assert cli.main(["validate", str(tmp_path / "spec.yaml")]) == 2 and words in capsys.readouterr().err


def test_a_file_that_has_not_changed_is_not_parsed_again(tmp_path, monkeypatch):
    """Hundreds of plug-ins must not slow down every start."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    parsed = []
    parse = plugins.parse
    monkeypatch.setattr(plugins, "parse", lambda path: parsed.append(path.name) or parse(path))
    for number in range(12):
        write(tmp_path, GOOD.replace('"wide"', f'"wide{number}"'), f"wide{number}.py")
    path = write(tmp_path)
    spec.load(path)
    assert sorted(parsed) == sorted(file.name for file in (tmp_path / "own").iterdir())
    parsed.clear()
    spec.load(path)
    assert {"wide", "wide3", "wide11"} <= set(MODELS.names()) and parsed == []
    write(tmp_path, GOOD.replace('"wide"', '"wider"'), "wide3.py")
    spec.load(path)
    assert "wider" in MODELS.names() and "wide3" not in MODELS.names() and "wide4.py" not in parsed


@pytest.mark.parametrize(
    ("text", "keywords"),
    [("params={1: ('a', {2.5}), 'b': None}", {"params": {1: ("a", {2.5}), "b": None}}), ("needs=[]", {"needs": []})],
)
def test_keywords_are_remembered_as_they_are(text, keywords, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "any.py"
    path.write_text(f"from mico_runner.models import register\n@register('x', {text})\ndef x():\n    'An x.'\n")
    for _ in range(2):
        plugins.use([path])
        assert plugins.heads(path) == [("x", "An x.", keywords)]
