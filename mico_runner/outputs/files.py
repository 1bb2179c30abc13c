"""Files that survive a power cut: flushed before they are renamed into place."""

from __future__ import annotations

import os
from pathlib import Path

from mico_runner.durable import flush, sha256

__all__ = ["flush", "flush_tree", "sha256", "write_text"]


def write_text(path: Path, text: str) -> None:
    """Replace a file as a whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        flush(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def flush_tree(folder: Path) -> None:
    """fsync every file below `folder`, then the folders."""
    for root, _, files in os.walk(folder, topdown=False):
        for name in files:
            flush(Path(root) / name)
        flush(Path(root))


def hashes(folder: Path) -> dict[str, str]:
    """sha256 of every file below `folder`, by its path."""
    return {str(p.relative_to(folder)): sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()}
