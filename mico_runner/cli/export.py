"""`mico-run export`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from mico_runner import console
from mico_runner.cli.arguments import OK, Commands, add_command, add_outputs, write

ENDINGS = {"ro-crate": "crate.zip", "cyclonedx": "cdx.json"}


def add(commands: Commands) -> None:
    parser = add_command(commands, "export", _export, "write a version's provenance in the form of others")
    add_outputs(parser)
    parser.add_argument("version", metavar="VERSION")
    help_ = (
        "a zip of all its files with their metadata (RO-Crate 1.1), or the packages it was made with (CycloneDX 1.6)"
    )
    parser.add_argument("--as", dest="form", choices=list(ENDINGS), default="ro-crate", help=help_)
    help_ = "default: NAME-VERSION with the form's ending, in this folder"
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help=help_)


def _export(args: argparse.Namespace) -> int:
    from mico_runner import outputs
    from mico_runner.outputs import provenance

    version = outputs.resolve(args.version, args.outputs).resolve()
    file = args.output or Path(f"{version.parent.name}-{version.name}.{ENDINGS[args.form]}")
    if args.form == "cyclonedx":
        write(file, json.dumps(provenance.cyclone_dx(version), indent=1) + "\n")
    else:
        provenance.write_crate(version, file)
    console.out(str(file))
    return OK
