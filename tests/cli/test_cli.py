"""mico-run: what each command prints and ends with; the light core without heavy packages."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mico_runner import cli, hardware, outputs, paths, pipeline, spec
from mico_runner.errors import StepError
from mico_runner.outputs import store
from mico_runner.pipeline.planning import PlanRow
from mico_runner.pipeline.running import RunResult
from mico_runner.spec import known
from mico_runner.steps.base import Metric

ROOT = Path(__file__).resolve().parents[2]
PROFILE = str(paths.shipped("specs") / "profile-bitfusion.yaml")
BROKEN = "spec_version: 1\nname: Broken\nseed: -1\n"
HEAVY = ("torch", "xgboost", "pygmo", "sklearn", "pandas", "matplotlib", "scipy")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def runs(monkeypatch):
    """What the pipeline was asked for; it answers with `result`, or raises it."""

    class Runs(list):
        result: RunResult | BaseException = RunResult(
            version=Path("outputs/x/v0001"),
            metrics={"train.test_accuracy": Metric(99.1, "%", "higher")},
            statuses={"train": "run", "simulate": "skipped"},
            skipped={"simulate": "gcc is missing: apt install gcc"},
            broken_gates=[],
        )

    asked = Runs()

    def run(data, options):
        asked.append((data, options))
        if isinstance(asked.result, BaseException):
            raise asked.result
        return asked.result

    monkeypatch.setattr(pipeline, "run", run)
    monkeypatch.setattr(pipeline, "plan", lambda data, options: [PlanRow("train", "cached", "same inputs")])
    return asked


def version(name, accuracy, number=1):
    """A version with one metric."""
    path = Path("outputs") / name / f"v{number:04d}"
    path.mkdir(parents=True)
    store.write_metrics(path, {"train.test_accuracy": Metric(accuracy, "%", "higher")})
    (path / "spec.resolved.yaml").write_text("name: x\n", encoding="utf-8")


def test_run_is_implied_and_passes_everything_on(runs, capsys):
    options = ["--set", "seed=4", "--only", "profile", "--force", "--jobs", "3", "--outputs", "out"]
    assert cli.main([PROFILE, *options]) == 0
    data, asked = runs[0]
    assert data["seed"] == 4
    assert (asked.only, asked.from_, asked.force, asked.jobs, asked.outputs) == ("profile", None, True, 3, Path("out"))
    printed = capsys.readouterr().out
    assert "99.1" in printed and "outputs/x/v0001" in printed and "apt install gcc" in printed
    assert cli.main(["run", PROFILE, "--from", "profile", "--quiet"]) == 0
    assert runs[1][1].from_ == "profile" and runs[1][1].quiet and runs[1][1].jobs == 1
    assert capsys.readouterr().out == ""
    assert cli.main([PROFILE, "--set", "executor.jobs=5", "--json"]) == 0
    assert runs[2][1].jobs == 5
    assert json.loads(capsys.readouterr().out)["metrics"]["train.test_accuracy"]["value"] == 99.1


def test_explain_says_why_before_the_run(runs, capsys):
    assert cli.main([PROFILE, "--explain"]) == 0
    printed = capsys.readouterr().out
    assert printed.index("same inputs") < printed.index("outputs/x/v0001")
    assert cli.main([PROFILE, "--explain", "--json"]) == 0
    printed = capsys.readouterr()
    assert "same inputs" in printed.err and json.loads(printed.out)


def test_json_is_alone_on_the_standard_output(runs, monkeypatch, capfd):
    def run(data, options):
        print("from Python")
        os.write(1, b"from C\n")
        return runs.result

    monkeypatch.setattr(pipeline, "run", run)
    assert cli.main([PROFILE, "--json"]) == 0
    printed = capfd.readouterr()
    assert json.loads(printed.out)["version"] == "outputs/x/v0001"
    assert "from Python" in printed.err and "from C" in printed.err


def test_a_mistyped_command(capsys, folder):
    assert cli.main(["vaildate", PROFILE]) == 2
    assert "unknown command 'vaildate'; did you mean 'validate'?" in capsys.readouterr().err
    assert cli.main(["nothing-like-it"]) == 2
    assert "nothing-like-it: cannot be read" in capsys.readouterr().err
    Path("plans").write_text(BROKEN, encoding="utf-8")
    assert cli.main(["plans"]) == 2, "a file of that name is a spec"
    assert "plans:2:7: name" in capsys.readouterr().err


def test_outputs_that_cannot_be(runs, capsys):
    Path("file").write_text("", encoding="utf-8")
    assert cli.main([PROFILE, "--outputs", "file"]) == 2
    assert "'file' is no folder" in capsys.readouterr().err
    runs.result = OSError(28, "No space left on device", "outputs/x")
    assert cli.main([PROFILE]) == 4
    assert capsys.readouterr().err == "mico-run: outputs/x: No space left on device\n"


def test_exit_codes(runs, capsys):
    results = {
        3: RunResult(Path("v"), {}, {}, {}, ["train.test_accuracy is 9, allowed at least 90"]),
        4: StepError("step train: no memory"),
        130: KeyboardInterrupt(),
    }
    said = {3: "gate broken: train.test_accuracy is 9", 4: "step train: no memory", 130: "interrupted"}
    for code, result in results.items():
        runs.result = result
        assert cli.main([PROFILE]) == code
        assert said[code] in capsys.readouterr().err
    runs.result = ZeroDivisionError("division by zero")
    assert cli.main([PROFILE]) == 4
    error = capsys.readouterr().err
    assert "ZeroDivisionError: division by zero" in error and "--debug" in error and "Traceback" not in error
    assert cli.main([PROFILE, "--debug"]) == 4
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["run"], ["diff"], ["diff", "a", "--against", "0"], ["x", "--jobs", "0"], ["gc", "--keep", "-1"]]
)
def test_wrong_usage(arguments, capsys):
    assert cli.main(arguments) == 2
    assert "usage: mico-run" in capsys.readouterr().err


def test_a_broken_spec_says_all_and_leaves_nothing(runs, folder, capsys):
    Path("broken.yaml").write_text(BROKEN, encoding="utf-8")
    for command in ("run", "plan", "validate"):
        assert cli.main([command, "broken.yaml"]) == 2
        error = capsys.readouterr().err
        assert "broken.yaml:2:7: name: found 'Broken'" in error and "broken.yaml:3:7: seed: found -1" in error
    assert not runs
    assert [p.name for p in folder.iterdir()] == ["broken.yaml"]


def test_validate_checks_several(capsys):
    Path("broken.yaml").write_text(BROKEN, encoding="utf-8")
    assert cli.main(["validate", PROFILE]) == 0
    assert capsys.readouterr().out == f"{PROFILE}: ok\n"
    assert cli.main(["validate", "broken.yaml", PROFILE]) == 2
    assert f"{PROFILE}: ok" in capsys.readouterr().out
    assert cli.main(["validate", "--json", PROFILE, "broken.yaml"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert found[PROFILE] == []
    assert found["broken.yaml"][1]["line"] == 3 and found["broken.yaml"][1]["path"] == "seed"


def test_plan(runs, capsys):
    assert cli.main(["plan", PROFILE]) == 0
    assert capsys.readouterr().out.split("\n")[1].split() == ["train", "cached", "same", "inputs"]
    assert cli.main(["plan", PROFILE, "--json"]) == 0
    row = {"step": "train", "action": "cached", "reason": "same inputs", "seconds": None}
    assert json.loads(capsys.readouterr().out) == [row]


def test_plan_says_what_the_steps_cost_by_earlier_runs(runs, monkeypatch, capsys):
    rows = [PlanRow("train", "run", "forced", 41.3), PlanRow("fit", "run", "forced", 200), PlanRow("x", "run", "new")]
    monkeypatch.setattr(pipeline, "plan", lambda data, options: rows)
    assert cli.main(["plan", PROFILE]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1] == ["train", "run", "~41", "s", "forced"] and lines[2][2:4] == ["~3", "min"]
    assert (
        lines[3] == ["x", "run", "new"]
        and lines[4][:2] == ["~4", "min"]
        and lines[4][-4:] == ["one", "step", "never", "ran"]
    )


def test_a_greeting(capsys):
    assert cli.main([]) == 0
    greeting = capsys.readouterr().out
    commands = [line.split("   ")[0].split()[1:] for line in greeting.splitlines() if line.startswith("  mico-run")]
    assert len(commands) == 3
    parser, verbs = cli.entry.parser()
    for words in commands:
        parser.parse_args(words if words[0] in verbs else ["run", *words])


def test_plan_for_real(folder, capsys):
    assert cli.main(["plan", PROFILE]) == 0
    assert capsys.readouterr().out.split("\n")[1].split()[:2] == ["profile", "run"]


def test_diff_of_versions(capsys):
    version("x", 99.0)
    version("x", 98.0, 2)
    assert cli.main(["diff", "x/v0001", "x"]) == 1
    assert "train.test_accuracy" in capsys.readouterr().out
    assert cli.main(["diff", "x/v0002", "x/v0001", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["regressions"] == []
    assert cli.main(["diff", "x/v0001", "x", "--fail-on", "train.*<-2", "--markdown"]) == 0
    assert "**No regressions**" in capsys.readouterr().out
    assert cli.main(["diff", "x/v0001", "y"]) == 2
    assert "no version 'y'" in capsys.readouterr().err


def test_diff_with_the_baseline(capsys):
    version("x", 99.0)
    assert cli.main(["diff", "x", "--save-baseline"]) == 0
    assert Path("outputs/baselines/x/metrics.json").is_file()
    assert cli.main(["diff", "x"]) == 0
    version("x", 98.0, 2)
    assert cli.main(["diff", "x"]) == 1
    capsys.readouterr()
    assert cli.main(["diff", "x", "--save-baseline"]) == 0, "the new one is accepted"
    assert outputs.diff(Path("outputs/baselines/x"), Path("outputs/x/v0002")).regressions == []


def test_diff_against_another_version(capsys):
    for number, accuracy in enumerate((99.0, 97.0, 98.0), 1):
        version("x", accuracy, number)
    assert cli.main(["diff", "x", "--against", "last"]) == 0
    assert cli.main(["diff", "x", "--against", "1"]) == 1
    assert cli.main(["diff", "x/v0002", "--against", "last", "--fail-on", "train.*<90"]) == 0
    capsys.readouterr()
    for arguments, words in {
        ("x/v0001", "--against", "last"): "no version of x before v0001",
        ("x", "--against", "7"): "there are v0001, v0002, v0003",
        ("x", "x", "--against", "last"): "there are two",
        ("x", "x", "x"): "mico-run compare",
        ("x", "--platform"): "--save-baseline",
        ("x",): "no baseline outputs/baselines/x",
        ("x/v0001", "x", "--junit", "no/folder"): "no/folder cannot be written",
    }.items():
        assert cli.main(["diff", *arguments]) == 2
        assert words in capsys.readouterr().err


def test_diff_for_a_ci(capsys):
    version("x", 99.0)
    version("x", 98.0, 2)
    assert cli.main(["diff", "x/v0001", "x", "--github", "--junit", "diff.xml"]) == 1
    printed = capsys.readouterr().out
    assert printed.startswith("::error title=x%3A train.test_accuracy::") and "\n1 regression\n" in printed
    assert 'failures="1"' in Path("diff.xml").read_text()


def test_diff_shows_what_changed_unless_asked_for_all(capsys):
    version("x", 99.0)
    assert cli.main(["diff", "x", "x"]) == 0
    assert capsys.readouterr().out == "No regressions\n1 the same\n"
    assert cli.main(["diff", "x", "x", "--all"]) == 0
    assert "train.test_accuracy" in capsys.readouterr().out


def test_gc_and_report(monkeypatch, capsys):
    for number in (1, 2, 3):
        version("x", 99.0, number)
    monkeypatch.setattr(outputs, "gc", lambda root, keep, dry_run: [root / "x" / "v0001"])
    assert cli.main(["gc", "--keep", "2", "--dry-run"]) == 0
    assert capsys.readouterr().out == "would delete outputs/x/v0001\n"
    monkeypatch.setattr(outputs, "write_report", lambda path, output: output or path / "report.html")
    assert cli.main(["report", "x"]) == 0
    assert capsys.readouterr().out.endswith("x/v0003/report.html\n")


def test_list(capsys):
    from mico_runner.spec.known import KINDS

    assert cli.main(["list"]) == 0
    printed = capsys.readouterr().out
    assert all(f"\n{kind}\n" in printed for kind in KINDS)
    assert cli.main(["list", "models"]) == 0
    assert "lenet" in capsys.readouterr().out
    assert cli.main(["list", "models", "--json"]) == 0
    (row,) = (row for row in json.loads(capsys.readouterr().out)["models"] if row["name"] == "mico-squeezenet")
    assert (row["input"], row["weights"], row["macs"]) == ("3x32x32", "726048", "52543488")
    assert cli.main(["list", "hardware", "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)["hardware"]] == hardware.names()
    assert cli.main(["list", "datasets", "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)) == ["tasks", "profiles"]
    assert cli.main(["list", "modles"]) == 2
    assert "did you mean 'models'" in capsys.readouterr().err


@pytest.mark.parametrize("name", known.device_templates())
def test_init_writes_a_spec_that_is_valid(name, capsys):
    assert cli.main(["init", "--hardware", name, "--name", "first"]) == 0
    loaded = spec.load("first.yaml")
    assert loaded.data["name"] == "first" and loaded.data["hardware"] == name
    assert cli.main(["init", "--hardware", name, "--name", "first"]) == 2
    assert "first.yaml exists already" in capsys.readouterr().err
    assert cli.main(["init", "--hardware", name, "-o", "other.yaml"]) == 0
    assert spec.load("other.yaml").data["name"] == "other", "the spec is called as its file"


def test_init_takes_sizes(capsys):
    assert cli.main(["init", "--hardware", "cortex-m3", "--flash", "24KiB", "--ram", "16 KiB", "-o", "kws.yaml"]) == 0
    limits = spec.load("kws.yaml").data["search"]["constraints"]
    assert (limits["flash_bytes"]["max"], limits["ram_bytes"]["max"]) == (24576, 16384)
    assert cli.main(["init", "--hardware", "cortex-m3", "--ram", "16KB"]) == 2
    assert "'16KB' is not a size such as 24KiB" in capsys.readouterr().err


def test_init_names_the_chips_that_it_may_be_for(folder, capsys):
    assert cli.main(["init", "--flash", "24KiB", "--ram", "16KiB"]) == 2
    said = capsys.readouterr().err
    assert "--hardware NAME" in said and "cortex-m3" in said and not list(folder.iterdir())


def test_init_refuses(folder, capsys):
    assert cli.main(["init", "--hardware", "bitfuson"]) == 2
    assert "did you mean 'bitfusion'" in capsys.readouterr().err
    assert cli.main(["init", "--hardware", "host", "--name", "My Spec"]) == 2
    assert cli.main(["init", "--hardware", "host", "-o", "no/folder/x.yaml"]) == 2
    assert not list(folder.iterdir())


def test_schema(capsys):
    assert cli.main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == spec.schema()


BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {heavy}:
            raise ImportError(f"{{name}} is heavy")
sys.meta_path.insert(0, Block())
from mico_runner import cli
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["validate", PROFILE, str(paths.shipped("specs") / "quickstart.yaml")],
        ["plan", str(paths.shipped("specs") / "quickstart.yaml")],
        ["diff", "x", "x"],
        ["list"],
        ["init", "--hardware", "host"],
        ["schema"],
        ["--version"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_the_light_core_needs_no_heavy_package(arguments):
    version("x", 99.0)
    command = [sys.executable, "-c", BLOCKED.format(heavy=HEAVY), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    assert done.stdout


ASCII = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["validate", PROFILE, "no\u00e9.yaml"],
        ["validate", "broken\u00e9.yaml", "--json"],
        ["plan", str(paths.shipped("specs") / "quickstart.yaml")],
        ["diff", "x/v0001", "x/v0002"],
        ["diff", "x/v0001", "x/v0002", "--json"],
        ["diff", "x/v0001", "x/v0002", "--markdown"],
        ["diff", "x/v0001", "x/v0002", "--github", "--junit", "x.xml"],
        ["history", "x", "--svg", "x.svg"],
        ["compare", "x/v0001", "x/v0002"],
        ["compare", "x/v0001", "x/v0002", "--markdown"],
        ["list"],
        ["list", "--json"],
        ["schema"],
        ["report", "nothing\u00e9"],
        ["gc", "--dry-run"],
        ["--help"],
    ],
    ids=" ".join,
)
def test_a_terminal_that_knows_ascii_alone(arguments):
    for number, value in ((1, 9.0), (2, 9.5)):
        path = Path("outputs", "x", f"v{number:04d}")
        path.mkdir(parents=True)
        store.write_metrics(path, {"größe.µ→\ud800": Metric(value, "µs", "lower", "1%")})
        (path / "manifest.json").write_text('{"steps": {}}')
    Path("broken\u00e9.yaml").write_text("spec_version: 1\nname: Größe\n", encoding="utf-8")
    command = [sys.executable, "-m", "mico_runner", *arguments]
    done = subprocess.run(command, capture_output=True, env={"PYTHONPATH": str(ROOT), "PATH": os.defpath, **ASCII})
    assert b"Unicode" not in done.stderr and b"unexpected" not in done.stderr, done.stderr
    assert done.returncode == {"validate": 2, "diff": 1, "report": 2}.get(arguments[0], 0)
    (done.stdout + done.stderr).decode("ascii")
    if "--json" in arguments or arguments == ["schema"]:
        assert json.loads(done.stdout)
    if arguments[0] == "diff" and len(arguments) == 3:
        assert b"+-1%" in done.stdout


def test_no_standard_output_at_all():
    command = f"{sys.executable} -m mico_runner schema >&-"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)})
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full to write to")
def test_output_that_cannot_be_written_is_an_error():
    command = f"{sys.executable} -m mico_runner list models > /dev/full"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)})
    assert done.returncode == 4 and "No space left" in done.stderr and "Traceback" not in done.stderr


def test_a_regression_counts_although_nobody_reads_on():
    version("x", 99.0)
    version("x", 90.0, 2)
    command = f"{{ {sys.executable} -m mico_runner diff x/v0001 x; echo $? >&2; }} | true"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)})
    assert done.stderr == "1\n"


@pytest.mark.parametrize("command", [["run"], ["plan"], ["validate"]], ids=lambda command: command[0])
@pytest.mark.parametrize("kind", ["fifo", "/dev/zero", "/dev/null"])
def test_a_spec_that_is_no_file(folder, command, kind, capsys):
    os.mkfifo("fifo")
    assert cli.main([*command, kind]) == 2
    assert f"{kind}: is no regular file" in capsys.readouterr().err
    assert cli.main([*command, PROFILE, "--set", f"hardware={kind if kind[0] == '/' else './fifo.yaml'}"]) == 2
    assert [p.name for p in folder.iterdir()] == ["fifo"]


def test_a_reader_that_leaves_is_no_error():
    command = f"{sys.executable} -m mico_runner schema | head -n 1"
    done = subprocess.run(
        command,
        shell=True,
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )
    assert done.stdout == "{\n" and done.stderr == ""


def complete(*words):
    """What bash offers for the last of the words."""
    script = subprocess.run([sys.executable, "-m", "mico_runner", "completion", "bash"], capture_output=True, text=True)
    ask = f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; _mico_run; echo ${{COMPREPLY[@]}}"
    done = subprocess.run(["bash", "-c", f"{script.stdout}\n{ask}"], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr
    return done.stdout.split()


def test_bash_completes_commands_options_and_files(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    Path("kws.yaml").write_text("")
    assert complete("mico-run", "val") == ["validate"]
    assert complete("mico-run", "k") == ["kws.yaml"]
    assert complete("mico-run", "diff", "--ag") == ["--against"]
    assert complete("mico-run", "kws.yaml", "--for") == ["--force"], "a spec is short for run"


def test_every_shell_knows_every_command(capsys):
    for shell in ("bash", "zsh", "fish"):
        assert cli.main(["completion", shell]) == 0
        printed = capsys.readouterr().out
        assert all(name in printed for name in cli.entry.parser()[1]) and "%%" not in printed
    assert cli.main(["completion", "tcsh"]) == 2
