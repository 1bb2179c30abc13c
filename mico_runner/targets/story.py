"""A decoder on the host that goes on with a text, one token at a time, in C."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mico_runner import codegen
from mico_runner.codegen import emit
from mico_runner.codegen.policy import KernelPolicy
from mico_runner.data.tokenizer import BOS
from mico_runner.errors import StepError
from mico_runner.ops.c import input_dtype
from mico_runner.quant.one_token import one_token
from mico_runner.quant.qgraph import QGraph
from mico_runner.targets import host, program


class Told(NamedTuple):
    """Tokens, those that were given first, and the seconds that the steps from the first to the last took."""

    tokens: list[int]
    seconds: float


def build(graph: QGraph, folder: Path) -> Path:
    """The program of a decoder over whole sequences, written into `folder`; its binary.

    Raises UsageError: the network is no decoder; StepSkipped: there is no compiler.
    """
    single = one_token(graph)
    (places,) = graph.tensors[graph.input].shape
    (made,) = codegen.generate_networks([single], folder, KernelPolicy.of("host"))
    types = [f"{np.dtype(input_dtype(single.tensors[tensor].type))}_t" for tensor in single.inputs]
    main = emit.render("story.c", made, graph.name, places=places, first=BOS, types=types)
    (folder / "boards" / "host.c").write_text(main, encoding="utf-8")
    return host.build(folder)


def tell(binary: Path, tokens: Sequence[int], count: int) -> Told:
    """Go on with tokens, up to `count` in all or until token 1 comes up again, each the first of the most likely.

    Raises StepError: the program failed.
    """
    with tempfile.TemporaryDirectory(prefix="mico-story-") as scratch:
        file = Path(scratch) / "tokens.bin"
        file.write_bytes(np.array(tokens, np.int32).tobytes())
        said = program.checked([str(binary.resolve()), str(count), str(file)], binary.name, host.RUN_TIMEOUT_S)
        found = np.fromfile(file, np.int32).tolist()
    if found[: len(tokens)] != list(tokens):
        raise StepError(f"{binary.name}: other tokens than it was given: {found[: len(tokens)]}")
    return Told(found, int(said) / 1e9)
