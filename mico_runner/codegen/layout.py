"""How a generated folder is laid out: one file or many, and for which build system besides make and CMake."""

from __future__ import annotations

from dataclasses import dataclass

from mico_runner.errors import UnknownName

BUNDLES = ("files", "single")
PACKAGES = ("cmake", "arduino", "platformio", "zephyr")
VERSION = "1.0.0"  # of the library: what is generated anew replaces what was there
_OWN_FOLDER = ("arduino", "platformio")  # these compile every C file of `src/`


@dataclass(frozen=True)
class Layout:
    """Which files a network becomes.

    Attributes:
        bundle: "files", of which kernels, tables and network are some each; "single", one C file and one header with all of it.
        package: what finds the library: make and CMake in any case, and Arduino, PlatformIO or Zephyr.

    Raises:
        UnknownName: a bundle or package that does not exist.
    """

    bundle: str = "files"
    package: str = "cmake"

    def __post_init__(self) -> None:
        for kind, name, known in (("bundle", self.bundle, BUNDLES), ("package", self.package, PACKAGES)):
            if name not in known:
                raise UnknownName(f"codegen {kind}", name, known)

    @property
    def sources(self) -> str:
        """Folder of the library's C, relative to the generated folder."""
        return "src" if self.package in _OWN_FOLDER else "."
