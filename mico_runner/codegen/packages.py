"""What Arduino, PlatformIO and Zephyr read of a library, besides its C.

Sources: https://arduino.github.io/arduino-cli/latest/library-specification/, https://docs.platformio.org/en/latest/manifests/library-json/,
https://docs.zephyrproject.org/latest/develop/modules.html
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from mico_runner.codegen import emit
from mico_runner.codegen.layout import VERSION, Layout
from mico_runner.codegen.program import Program


def package_files(
    program: Program, title: str, units: Sequence[str], layout: Layout, test_vector: str
) -> dict[str, str]:
    """The files of a layout's package, none for CMake's, which every folder has.

    Args:
        units: names of the library's C files, without suffix.
        test_vector: text of the example's header, which Arduino wants beside the sketch.
    """
    name = program.name
    if layout.package == "arduino":
        sketch = emit.render("sketch.ino", program, title)
        properties = emit.render("library.properties", program, title, version=VERSION)
        example = {f"{name}.ino": sketch, f"{name}_test_vector.h": test_vector}
        return {"library.properties": properties, **{f"examples/{name}/{k}": text for k, text in example.items()}}
    if layout.package == "platformio":
        return {"library.json": _platformio(program, title)}
    if layout.package == "zephyr":
        return {
            "zephyr/module.yml": emit.render("zephyr_module.yml", program, title),
            "zephyr/CMakeLists.txt": emit.render("zephyr_CMakeLists.txt", program, title, units=units),
            "zephyr/Kconfig": emit.render("zephyr_Kconfig", program, title),
        }
    return {}


def _platformio(program: Program, title: str) -> str:
    content = {
        "name": program.name,
        "version": VERSION,
        "description": f"{title}: a quantised network in integers",
        "headers": f"{program.name}.h",
        "frameworks": "*",
        "platforms": "*",
        "build": {"srcDir": "src", "includeDir": "src"},
        "export": {"include": ["src", "example", "library.json", "README.md", "memory.txt"]},
    }
    return json.dumps(content, indent=2) + "\n"
