"""Files of llama2.c (little endian): version 0 without a magic number, 1 of floats, 2 of groups of 8 bits; and ternary ones.

Order of the weights, with L layers, and after the header: version 0: embedding, attention norms (L), wq (L), wk (L), wv (L), wo (L),
feed-forward norms (L), w1 (L), w2 (L), w3 (L), last norm, two tables of RoPE that nothing reads, classifier unless shared.
Versions 1 and 2: attention norms (L), feed-forward norms (L), last norm, embedding, wq (L), wk (L), wv (L), wo (L), w1 (L), w2 (L),
w3 (L), classifier unless shared; in version 2 each matrix is int8 and then a float32 scale for every group of the flattened matrix.
Ternary (version 1 in its header): last norm, embedding (also the classifier), wq (L) .. w3 (L), each matrix a float32 scale and codes
of 2 bits, four a byte, the first in the top bits: 00 = 0, 01 = +1, 11 = -1.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mico_runner.data.files import opened
from mico_runner.errors import UsageError
from mico_runner.formats.llama_file.content import Content
from mico_runner.formats.network import FileNetwork
from mico_runner.models.llama import BitLinear, Block, Llama, LlamaSizes

MAGIC = 0x616B3432
HEADER = 256  # bytes of versions 1 and 2
SIZES = struct.Struct("<7i")
MOST_BYTES = 1 << 32
_MATRICES = ("wq", "wk", "wv", "wo", "w1", "w2", "w3")
_CODES = np.array([0, 1, 0, -1], np.float32)  # 10 is none


def read(path: Path, token_bits: int = 0) -> FileNetwork:
    """The decoder in a file.

    Args:
        token_bits: of the rows that a ternary network's layers read, as its own program rounds them; 0: as they are.

    Raises UsageError: it is no such file, or one byte is missing or left over, with what was found.
    """
    with opened(path) as file:
        if (size := os.fstat(file.fileno()).st_size) > MOST_BYTES:
            raise UsageError(f"{path}: found {size:,} bytes; allowed: up to {MOST_BYTES:,}")
        raw = file.read()
    if len(raw) < SIZES.size:
        raise UsageError(f"{path}: found {len(raw)} bytes; allowed: a file of llama2.c, whose header has {SIZES.size}")
    has_magic = int.from_bytes(raw[:4], "little") == MAGIC
    module = _with_header(path, raw, token_bits) if has_magic else _version_0(path, raw)
    return FileNetwork(module, ((module.sizes.length,),), whole=(0,))


def _version_0(path: Path, raw: bytes) -> Llama:
    width, hidden, layers, heads, kv_heads, vocabulary, length = SIZES.unpack_from(raw)
    sizes = LlamaSizes(width, hidden, layers, heads, kv_heads, abs(vocabulary), length)
    _check_size(path, sizes, len(raw))
    content = Content(path, raw, SIZES.size)
    model = _empty(sizes, shared=vocabulary > 0)

    def take(what: str, weights: list[Tensor]) -> None:
        stacked = content.take(what, "<f4", len(weights), *weights[0].shape)
        for weight, values in zip(weights, stacked, strict=True):
            _set(weight, values)

    take("embedding", [model.embedding.weight])
    take(f"{layers} attention norms", [_norm(block, "attention_norm") for block in _blocks(model)])
    for name in _MATRICES[:4]:
        take(f"{layers} of {name}", [_matrix(block, name) for block in _blocks(model)])
    take(f"{layers} feed-forward norms", [_norm(block, "ffn_norm") for block in _blocks(model)])
    for name in _MATRICES[4:]:
        take(f"{layers} of {name}", [_matrix(block, name) for block in _blocks(model)])
    take("last norm", [model.norm.weight])
    content.take("tables of RoPE", "<f4", 2, length, sizes.head // 2)
    if not model.shared:
        take("classifier", [model.classifier.weight])
    content.finish()
    return model


def _with_header(path: Path, raw: bytes, token_bits: int) -> Llama:
    if len(raw) < HEADER:
        raise UsageError(f"{path}: found {len(raw)} bytes; allowed: a header of {HEADER} and weights")
    (version,) = struct.unpack_from("<i", raw, 4)
    if version not in (1, 2):
        raise UsageError(f"{path}: found version {version} of llama2.c's format; allowed: 0, 1, 2")
    sizes, shared = LlamaSizes(*SIZES.unpack_from(raw, 8)), raw[8 + SIZES.size]
    end = 9 + SIZES.size + 4 * (version == 2)
    if shared > 1 or any(raw[end:HEADER]):
        raise UsageError(
            f"{path}: found a header that does not end in a byte of 0 or 1 and zeros behind its {end} bytes"
        )
    _check_size(path, sizes, len(raw))
    content = Content(path, raw, HEADER)
    if version == 1 and len(raw) == _ternary_bytes(sizes):
        if not shared:
            raise UsageError(
                f"{path}: found a ternary network with a classifier of its own; allowed: the embedding's table"
            )
        return _ternary(content, sizes, token_bits)
    model = _empty(sizes, bool(shared))
    for what, weight in _norms(model):
        _set(weight, content.take(what, "<f4", *weight.shape))
    group = struct.unpack_from("<i", raw, end - 4)[0] if version == 2 else 0
    if version == 2:
        check_group(str(path), sizes, group)
    for what, weight in _weights(model):
        shape = tuple(weight.shape)
        if version == 1:
            _set(weight, content.take(what, "<f4", *shape))
            continue
        integers = content.take(what, "i1", weight.numel() // group, group).astype(np.float32)
        _set(weight, (integers * content.take(f"{what}: scales", "<f4", len(integers), 1)).reshape(shape))
    content.finish()
    return model


def _ternary(content: Content, sizes: LlamaSizes, token_bits: int) -> Llama:
    model = Llama(sizes, shared=True, ternary=True, token_bits=token_bits)
    _set(model.norm.weight, content.take("last norm", "<f4", sizes.width))
    _set(model.embedding.weight, content.take("embedding", "<f4", sizes.vocabulary, sizes.width))
    for what, weight in list(_weights(model))[1:]:
        (scale,) = content.take(f"{what}: scale", "<f4", 1)
        packed = content.take(what, "u1", weight.numel() // 4)
        codes = (packed[:, None] >> np.array([6, 4, 2, 0], np.uint8) & 3).reshape(tuple(weight.shape))
        if (codes == 2).any():
            first = np.argwhere(codes == 2)[0].tolist()
            raise UsageError(f"{content.path}: {what}: found the code 10 at {first}; allowed: 00, 01, 11")
        # Rows are brought to length 1 / sqrt(n); the norm of `BitLinear` leaves sqrt(n).
        _set(weight, _CODES[codes] * (scale / weight.shape[1]))
    content.finish()
    return model


def write(model: Llama, path: Path, version: int, group: int = 64) -> None:
    """Write a decoder as llama2.c reads it: version 1 in floats, 2 in groups of 8 bits.

    In version 2 a group's scale is its greatest value / 127, and integers are the nearest, ties to even, as llama2.c's own export.

    Raises UsageError: another version, sizes that are no multiples of the group, a network that llama2.c has no form for.
    """
    where = f"{path}: llama2.c, version {version}"
    if version not in (1, 2):
        raise UsageError(f"{where}: allowed: 1, 2")
    if model.ternary or (model.base, model.eps) != (10_000.0, 1e-5):
        raise UsageError(f"{where}: allowed: norms in every layer, RoPE of base 10000, norms with eps 1e-5")
    if version == 2:
        check_group(where, model.sizes, group)
    header = struct.pack("<Ii", MAGIC, version) + SIZES.pack(*astuple(model.sizes)) + bytes([model.shared])
    header += struct.pack("<i", group) if version == 2 else b""
    parts = [header.ljust(HEADER, b"\0"), *(_array(weight).tobytes() for _, weight in _norms(model))]
    for _, weight in _weights(model):
        values = _array(weight)
        if version == 1:
            parts.append(values.tobytes())
            continue
        integers, scales = rounded(values, group)
        parts += [integers.tobytes(), scales.tobytes()]
    path.write_bytes(b"".join(parts))


def rounded(values: np.ndarray, group: int) -> tuple[np.ndarray, np.ndarray]:
    """int8 (groups, group) and their float32 scales."""
    rows = values.reshape(-1, group)
    scales = (np.abs(rows).max(1) / 127).astype("<f4")
    steps = np.where(scales > 0, scales, 1)[:, None]
    return np.rint(rows / steps).astype(np.int8), scales


def check_group(where: str, sizes: LlamaSizes, group: int) -> None:
    """Raise UsageError where a group of version 2 would reach over the end of a row: llama2.c's program computes nonsense then."""
    if group < 1 or sizes.width % group or sizes.hidden % group:
        raise UsageError(
            f"{where}: groups of {group} weights, a width of {sizes.width} and a hidden one of {sizes.hidden};"
            " allowed: a group of which both are multiples"
        )


def _check_size(path: Path, sizes: LlamaSizes, found: int) -> None:
    """Before anything of these sizes is made: a quarter byte for each weight is the least that any form takes."""
    sizes.check(str(path))
    least = sizes.layers * (2 * sizes.width + 3 * sizes.hidden) * sizes.width // 4 + sizes.vocabulary * sizes.width
    if found < least:
        raise UsageError(
            f"{path}: found {found:,} bytes, and a header of {sizes}; allowed: {least:,} bytes or more for these sizes"
        )


def _ternary_bytes(sizes: LlamaSizes) -> int:
    matrices = (2 * sizes.width + 2 * sizes.kv_width + 3 * sizes.hidden) * sizes.width
    return HEADER + 4 * sizes.width * (1 + sizes.vocabulary) + sizes.layers * (matrices // 4 + 4 * len(_MATRICES))


def _empty(sizes: LlamaSizes, shared: bool) -> Llama:
    return Llama(sizes, shared=shared)


def _blocks(model: Llama) -> Iterator[Block]:
    for block in model.blocks:
        assert isinstance(block, Block)
        yield block


def _norms(model: Llama) -> Iterator[tuple[str, Tensor]]:
    for name in ("attention_norm", "ffn_norm"):
        for i, block in enumerate(_blocks(model)):
            yield f"{name} of layer {i}", _norm(block, name)
    yield "last norm", model.norm.weight


def _norm(block: Block, name: str) -> Tensor:
    found: Tensor = getattr(block, name).weight
    return found


def _weights(model: Llama) -> Iterator[tuple[str, Tensor]]:
    """The matrices in the order of versions 1 and 2."""
    yield "embedding", model.embedding.weight
    for name in _MATRICES:
        for i, block in enumerate(_blocks(model)):
            yield f"{name} of layer {i}", _matrix(block, name)
    if not model.shared:
        yield "classifier", model.classifier.weight


def _matrix(block: Block, name: str) -> Tensor:
    layer = getattr(block.attention if name in _MATRICES[:4] else block.feed_forward, name)
    found: Tensor = (layer.linear if isinstance(layer, BitLinear) else layer).weight
    return found


def _set(weight: Tensor, values: np.ndarray) -> None:
    weight.data = torch.from_numpy(values.astype(np.float32))


def _array(weight: Tensor) -> np.ndarray:
    found: np.ndarray = weight.detach().numpy().astype("<f4")
    return found
