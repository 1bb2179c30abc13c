"""Every command of docs/howto/from-mico.md is a spec that is valid with what the command sets."""

import re
import shlex
from pathlib import Path

import pytest

from mico_runner import spec
from mico_runner.models import MODELS

PAGE = (Path(__file__).parents[2] / "docs/howto/from-mico.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"`mico-run (specs/[^`]+)`", PAGE)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_is_valid(command):
    path, *rest = shlex.split(command)
    assert rest[::2] == ["--set"] * (len(rest) // 2)
    assert spec.load(Path(__file__).parents[2] / path, rest[1::2]).data["steps"]


def test_every_network_is_named():
    assert {name for name in MODELS.names() if name.startswith("mico-")} <= set(re.findall(r"`(mico-[\w-]+)`", PAGE))
    assert len(COMMANDS) >= 10
