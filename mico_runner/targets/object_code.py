"""What functions compile to: a hash of machine code and constants that does not depend on names, on other functions of the same file, or
on where anything lies.

An object file that was compiled with `FLAGS` has a section for each function and constant. Sections refer to each other by relocations.
The digest walks from a function to all that it refers to, and names each section by the order in which it is met.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from mico_runner.errors import StepError

FLAGS = ("-ffunction-sections", "-fdata-sections")

_KIND, _CONSTANTS = 0x30, 0x10  # SHF_MERGE without SHF_STRINGS: constants of `entry` bytes each, pooled by the compiler
_SECTION = 3  # STT_SECTION: a symbol of a whole section
_SYMBOLS, _RELA, _NOBITS, _REL = 2, 4, 8, 9  # types of sections
_SHN_UNDEFINED, _SHN_SPECIAL = 0, 0xFF00


class _Relocation(NamedTuple):
    offset: int
    kind: int
    symbol: _Symbol
    addend: int


class _Symbol(NamedTuple):
    name: str
    file: int
    section: int  # _SHN_UNDEFINED: of another file, or of a library
    value: int  # offset in its section
    size: int
    is_global: bool
    is_section: bool


class _Section(NamedTuple):
    content: bytes
    size: int
    flags: int
    entry: int  # bytes of one constant, of merged sections
    relocations: list[_Relocation]


class Objects:
    """The sections and symbols of little-endian ELF object files that belong together."""

    def __init__(self, files: Iterable[Path]) -> None:
        """Raises StepError: a file is no ELF object, or two define one global name."""
        self._sections: list[list[_Section]] = []
        self._symbols: dict[str, _Symbol] = {}
        for number, path in enumerate(files):
            sections, symbols = _parse(path, number)
            self._sections.append(sections)
            for symbol in symbols:
                if symbol.is_global and symbol.section != _SHN_UNDEFINED:
                    if symbol.name in self._symbols:
                        raise StepError(f"{path.name}: {symbol.name!r} is defined in two object files")
                    self._symbols[symbol.name] = symbol

    def digest(self, function: str) -> str:
        """sha256 of a global function and of all that it refers to; what no file defines counts by its name.

        Raises StepError: no file defines it.
        """
        digest = hashlib.sha256()
        met: dict[tuple[int, ...], int] = {}

        def place(symbol: _Symbol) -> list[int | str]:
            """A symbol without its name: number of its section or constant, offset there."""
            symbol = self._symbols.get(symbol.name, symbol) if symbol.section == _SHN_UNDEFINED else symbol
            if symbol.section == _SHN_UNDEFINED or symbol.section >= _SHN_SPECIAL:
                return [symbol.name, symbol.value]
            flags = self._sections[symbol.file][symbol.section].flags
            alone = flags & _KIND == _CONSTANTS and not symbol.is_section
            key = (symbol.file, symbol.section, symbol.value) if alone else (symbol.file, symbol.section)
            return [met.setdefault(key, len(met)), 0 if alone else symbol.value]

        digest.update(json.dumps(place(self._defined(function))).encode())
        done = 0
        while done < len(met):
            file, number, *constant = list(met)[done]
            section = self._sections[file][number]
            content, relocations = section.content, section.relocations
            if constant:
                (start,) = constant
                content, relocations = content[start : start + section.entry], []
            targets = [[r.offset, r.kind, r.addend, *place(r.symbol)] for r in relocations]
            digest.update(json.dumps([len(content) or section.size, targets]).encode() + content)
            done += 1
        return digest.hexdigest()

    def constant(self, name: str) -> bytes:
        """The bytes of a global constant. Raises StepError: no file defines it."""
        symbol = self._defined(name)
        content = self._sections[symbol.file][symbol.section].content
        return content[symbol.value : symbol.value + symbol.size]

    def _defined(self, name: str) -> _Symbol:
        if name not in self._symbols:
            raise StepError(f"no object file defines {name!r}")
        return self._symbols[name]


def _parse(path: Path, number: int) -> tuple[list[_Section], list[_Symbol]]:
    """Sections by number, and symbols, of an ELF file of 32 or 64 bits (System V ABI, chapter 4)."""
    data = path.read_bytes()
    if data[:4] != b"\x7fELF" or data[5] != 1:
        raise StepError(f"{path.name} is no little-endian ELF object file")
    wide = data[4] == 2
    head, symbol_format, rela, rel = (
        ("<IIQQQQIIQQ", "<IBBHQQ", "<QQq", "<QQ") if wide else ("<IIIIIIIIII", "<IIIBBH", "<IIi", "<II")
    )
    (start,) = struct.unpack_from("<Q" if wide else "<I", data, 40 if wide else 32)
    size, count, _ = struct.unpack_from("<HHH", data, 58 if wide else 46)
    heads = [struct.unpack_from(head, data, start + i * size) for i in range(count)]
    # name, type, flags, address, offset, size, link, info, alignment, entry

    def body(i: int) -> bytes:
        return b"" if heads[i][1] == _NOBITS else data[heads[i][4] : heads[i][4] + heads[i][5]]

    symbols: list[_Symbol] = []
    for i, found in enumerate(heads):
        if found[1] == _SYMBOLS:
            names = body(found[6])
            for fields in struct.iter_unpack(symbol_format, body(i)):
                if wide:
                    name, info, _, section, value, length = fields
                else:
                    name, value, length, info, _, section = fields
                text = names[name : names.index(b"\0", name)].decode()
                symbols.append(_Symbol(text, number, section, value, length, info >> 4 != 0, info & 15 == _SECTION))
    relocations: dict[int, list[_Relocation]] = {}
    for i, found in enumerate(heads):
        if found[1] in (_RELA, _REL):
            for offset, info, *addend in struct.iter_unpack(rela if found[1] == _RELA else rel, body(i)):
                symbol, kind = (info >> 32, info & 0xFFFFFFFF) if wide else (info >> 8, info & 0xFF)
                relocations.setdefault(found[7], []).append(_Relocation(offset, kind, symbols[symbol], sum(addend)))
    sections = [_Section(body(i), h[5], h[2], h[9], relocations.get(i, [])) for i, h in enumerate(heads)]
    return sections, symbols
