"""Packaging. The shipped hardware, data and specs are installed inside the package, as `mico_runner/share/...`."""

from pathlib import Path

from setuptools import find_packages, setup

ROOMS = ("hardware", "datasets", "specs")


def room_packages() -> dict[str, str]:
    """Package name -> folder, for each shipped folder of data files."""
    folders = [f for room in ROOMS for f in [Path(room), *sorted(Path(room).rglob("*"))] if f.is_dir()]
    return {"mico_runner.share." + ".".join(f.parts): str(f) for f in folders}


setup(
    name="mico-runner",
    version="0.1.0",
    description="Mixed-precision neural networks on real hardware, from one YAML spec",
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=[*find_packages(include=["mico_runner", "mico_runner.*"]), "mico_runner.share", *room_packages()],
    package_dir={"mico_runner.share": "mico_runner/share", **room_packages()},
    package_data={
        "": ["*.yaml", "*.csv", "*.md", "*.onnx"],
        "mico_runner": ["py.typed"],
        "mico_runner.codegen": ["boards/*/*", "kernels/*", "templates/*"],
        "mico_runner.outputs.report": ["*.j2", "*.css", "*.js"],
        "mico_runner.targets": ["rtl_bench/*", "dot_unit/*", "ibex/*"],
        "mico_runner.verilog": ["sources/*"],
    },
    install_requires=[
        "cerberus>=1.3.5",
        "jinja2>=3.1",
        "matplotlib>=3.8",
        "numpy>=1.26",
        "pandas>=2.2",
        "pillow>=10.0",
        "pygmo>=2.19.5",
        "pyyaml>=6.0",
        "scikit-learn>=1.4",
        "scipy>=1.11",
        "tabulate>=0.9",
        "threadpoolctl>=3.1",
        "torch==2.13.0",  # exact: an open range lets pip take a build with gigabytes of CUDA
        "tqdm>=4.66",
        "xgboost-cpu>=3.0",
    ],
    extras_require={
        "bench": ["onnx", "onnxruntime"],
        "dask": ["distributed>=2024.8"],
        "onnx": ["onnx"],
        "safetensors": ["safetensors"],
        "tflite": ["tflite"],
        "rtl": ["pythondata-cpu-ibex", "pythondata-cpu-vexriscv"],
        "test": [
            "distributed",
            "hypothesis",
            "import-linter",
            "jsonschema",
            "mypy",
            "onnx",
            "onnxruntime",
            "pandas-stubs",
            "pytest",
            "pytest-xdist",
            "ruff",
            "safetensors",
            "tflite",
            "types-PyYAML",
            "types-tabulate",
        ],
    },
    entry_points={"console_scripts": ["mico-run=mico_runner.cli:main"]},
)
