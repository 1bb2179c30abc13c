"""The tutorials work as they are printed: their files are written, their commands run, and print what is shown."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mico_runner import cli, plugins

FOLDER = Path(__file__).resolve().parents[2] / "docs/tutorial"
BLOCK = re.compile(r"^(?P<before>[^\n]+\n)?(?:\n)?```(?P<language>\w+)\n(?P<text>.*?)^```", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"^`([\w.]+\.(?:py|yaml|csv))` ", re.MULTILINE)


def parts(text):
    """The page in order: ("file", name, content) and ("run", command, lines that it shows)."""
    end = 0
    for block in BLOCK.finditer(text):
        named = FILE.findall(text[end : block.start("text")])
        end = block.end()
        if block["language"] == "console":
            for run in re.split(r"^\$ ", block["text"].replace("\\\n", " "), flags=re.MULTILINE)[1:]:
                command, *shown = run.splitlines()
                yield "run", command, [line for line in shown if line.strip()]
        elif named:
            yield "file", named[-1], block["text"]


def shows(line, output):
    """Whether a line is in the output, however many spaces there are, and whatever stands where it has three dots."""
    pattern = ".*".join(re.escape(" ".join(part.split())) for part in line.split("..."))
    pattern = pattern.replace(".*", r" ?.* ?")
    return any(re.fullmatch(pattern, " ".join(printed.split())) for printed in output.splitlines())


def run_file(path):
    """Its output is printed, where `capsys` finds it."""
    done = subprocess.run([sys.executable, path], capture_output=True, text=True)
    print(done.stdout, done.stderr)
    return done.returncode


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    plugins.use(())


def pages():
    for page in sorted(FOLDER.glob("*.md")):
        marks = pytest.mark.slow if page.stem[:2] in ("01", "02", "03") else pytest.mark.nightly
        yield pytest.param(page, marks=marks, id=page.stem)


@pytest.mark.slow
@pytest.mark.parametrize("page", pages())
def test_tutorial(page, folder, capsys):
    code = 0
    commands = 0
    for kind, what, shown in parts(page.read_text(encoding="utf-8")):
        if kind == "file":
            (folder / what).write_text(shown, encoding="utf-8")
        elif what == "echo $?":
            assert shown == [str(code)]
            code = 0
        else:
            assert code == 0, f"the command before {what!r} ended with exit code {code}"
            program, *arguments = shlex.split(what)
            assert program in ("mico-run", "python")
            code = cli.main(arguments) if program == "mico-run" else run_file(*arguments)
            output = "\n".join(capsys.readouterr())
            for line in shown:
                assert shows(line, output), f"{what} does not print {line!r}, but\n{output}"
            commands += 1
    assert code == 0 and commands
