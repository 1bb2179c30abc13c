"""The page about CIs: its YAML can be read, and the commands in it are commands of mico-run."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from mico_runner.cli import entry

PAGE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "ci.md"
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def commands(node):
    """Every line that starts mico-run, wherever it stands."""
    if isinstance(node, str):
        yield from (line for line in node.splitlines() if line.startswith("mico-run "))
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from commands(child)


COMMANDS = [line for block in BLOCKS for line in commands(yaml.safe_load(block))]


@pytest.mark.parametrize("line", [*COMMANDS, *re.findall(r"`(mico-run [^`]+)`", PAGE.read_text(encoding="utf-8"))])
def test_a_command_is_one(line):
    words = shlex.split(re.sub(r"\$\{\{[^}]*\}\}", "x", line).partition(">>")[0])
    parser, _ = entry.parser()
    parser.parse_args(words[1:] if words[0] == "mico-run" else words)


def test_there_are_some():
    assert len(COMMANDS) == 5
    steps = yaml.safe_load(BLOCKS[1])["jobs"]["compare"]["steps"]
    assert all(("run" in step) != ("uses" in step) for step in steps)
