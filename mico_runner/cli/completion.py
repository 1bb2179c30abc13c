"""`mico-run completion`: what a shell needs to complete commands and options; files complete as everywhere."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from mico_runner import console
from mico_runner.cli.arguments import OK, Commands, add_command

_BASH = """\
# mico-run completion bash > ~/.local/share/bash-completion/completions/mico-run
_mico_run() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} words
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="{commands}"
    else
        case ${{COMP_WORDS[1]}} in
{cases}
            *) words="{of_run}" ;;
        esac
    fi
    case $word in
        -*) ;;
        *) COMPREPLY=($(compgen -f -- "$word")) ;;
    esac
    COMPREPLY+=($(compgen -W "$words" -- "$word"))
}}
complete -o filenames -F _mico_run mico-run
"""
_ZSH = """\
# Add to ~/.zshrc: source <(mico-run completion zsh)
autoload -U +X bashcompinit && bashcompinit
"""


def add(commands: Commands) -> None:
    def run(args: argparse.Namespace) -> int:
        console.out(_SHELLS[args.shell](commands.choices).rstrip("\n"))
        return OK

    parser = add_command(commands, "completion", run, "print what a shell needs to complete mico-run")
    parser.add_argument("shell", choices=list(_SHELLS))


def _options(parser: argparse.ArgumentParser) -> dict[str, str]:
    """Long option -> help, of every option that has one."""
    return {
        name: (action.help or "").replace("%%", "%")
        for action in parser._actions
        for name in action.option_strings
        if name.startswith("--")
    }


def _bash(commands: Mapping[str, argparse.ArgumentParser]) -> str:
    cases = "\n".join(
        f'            {name}) words="{" ".join(_options(parser))}" ;;' for name, parser in commands.items()
    )
    of_run = " ".join(_options(commands["run"]))
    return _BASH.format(commands=" ".join(commands), cases=cases, of_run=of_run)


def _zsh(commands: Mapping[str, argparse.ArgumentParser]) -> str:
    return _ZSH + _bash(commands).partition("\n")[2]


def _fish(commands: Mapping[str, argparse.ArgumentParser]) -> str:
    lines = ["# mico-run completion fish > ~/.config/fish/completions/mico-run.fish"]
    for name, parser in commands.items():
        about = _quoted(parser.description or "")
        lines.append(f"complete -c mico-run -n __fish_use_subcommand -a {name} -d {about}")
        for option, help_ in _options(parser).items():
            seen = f"'__fish_seen_subcommand_from {name}'"
            lines.append(f"complete -c mico-run -n {seen} -l {option.removeprefix('--')} -d {_quoted(help_)}")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


_SHELLS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
