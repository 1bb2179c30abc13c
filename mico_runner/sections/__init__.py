"""The resolved spec as types: what the schema in `mico_runner.spec.schema` lets through, key by key.

The schema says what the keys mean, which values they take and what their defaults are; a test keeps both alike. There is no behaviour here:
what a step makes of a section is the step's source, and so an input of its result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mico_runner.records import dataclass
from mico_runner.sections.bits import Bits
from mico_runner.sections.codesign import (
    Certificate,
    Codesign,
    Engines,
    Mappings,
    ResourceLimits,
    ShapedNetwork,
    TabledCosts,
    TabledNetwork,
    TriedBits,
)
from mico_runner.sections.deployment import ActivationOptions, Codegen, Quantization, Simulate, Story, WeightOptions
from mico_runner.sections.dse import Dse
from mico_runner.sections.estimate import CurvesOf, Estimate
from mico_runner.sections.exits import Exits, ExitTraining
from mico_runner.sections.filter import Filter, FilterUnits
from mico_runner.sections.latency import (
    BitPairs,
    Calibrate,
    CurveFit,
    Device,
    EfficiencyCurves,
    LearningCurve,
    Predictor,
    Profile,
    Proxy,
    Ranges,
    Validation,
    Verify,
)
from mico_runner.sections.recipe import Augment, Recipe
from mico_runner.sections.reproduction import Reproduce
from mico_runner.sections.running import Diff, Executor, Gate
from mico_runner.sections.search import (
    Allocate,
    AllocateConstraints,
    Budget,
    LatencyLimit,
    Limit,
    Pin,
    QualityLimit,
    Search,
    SearchConstraints,
    Space,
)
from mico_runner.sections.training import (
    Crossvalidate,
    Datasets,
    Evaluate,
    Finetune,
    Function,
    Model,
    Network,
    Teacher,
    Train,
)
from mico_runner.sections.tune import OwnTraining, TraceFiles, TraceJob, Tune, TuneBudget
from mico_runner.sections.verilog import Verilog

__all__ = [
    "ActivationOptions",
    "Allocate",
    "AllocateConstraints",
    "Augment",
    "BitPairs",
    "Bits",
    "Budget",
    "Calibrate",
    "Certificate",
    "Codegen",
    "Codesign",
    "Crossvalidate",
    "CurveFit",
    "CurvesOf",
    "Datasets",
    "Device",
    "Diff",
    "Dse",
    "EfficiencyCurves",
    "Engines",
    "Estimate",
    "Evaluate",
    "Executor",
    "ExitTraining",
    "Exits",
    "Filter",
    "FilterUnits",
    "Finetune",
    "Function",
    "Gate",
    "LatencyLimit",
    "LearningCurve",
    "Limit",
    "Mappings",
    "Model",
    "Network",
    "OwnTraining",
    "Pin",
    "Predictor",
    "Profile",
    "Proxy",
    "QualityLimit",
    "Quantization",
    "Ranges",
    "Recipe",
    "Reproduce",
    "ResourceLimits",
    "Search",
    "SearchConstraints",
    "Sections",
    "ShapedNetwork",
    "Simulate",
    "Space",
    "Story",
    "TabledCosts",
    "TabledNetwork",
    "Teacher",
    "TraceFiles",
    "TraceJob",
    "Train",
    "TriedBits",
    "Tune",
    "TuneBudget",
    "Validation",
    "Verify",
    "Verilog",
    "WeightOptions",
]


@dataclass(frozen=True)
class Sections:
    """A resolved spec; a section that takes no part is None.

    Attributes:
        hardware: a device's name, or the content of its file, as `hardware.load` takes them.
        efficiency_curves: "auto", the path of a file, or how they are fitted.
        steps: in the order in which they run.
        matrix: dotted keys -> their values in the cells of a sweep; None of a spec that runs as it is.
    """

    spec_version: int
    name: str
    description: str
    extends: str | None
    plugins: tuple[str, ...]
    seed: int
    hardware: str | Mapping[str, object] | None
    efficiency_curves: str | EfficiencyCurves | None
    datasets: Datasets
    model: Model | None
    evaluate: Evaluate | None
    proxy: Proxy | None
    quantization: Quantization | None
    search: Search | None
    allocate: Allocate | None
    codesign: Codesign | None
    verilog: Verilog | None
    crossvalidate: Crossvalidate | None
    finetune: Finetune | None
    filter: Filter | None
    codegen: Codegen | None
    simulate: Simulate | None
    profile: Profile | None
    calibrate: Calibrate | None
    estimate: Estimate | None
    verify: Verify | None
    reproduce: Reproduce | None
    tune: Tune | None
    dse: Dse | None
    gates: Mapping[str, Gate]
    diff: Diff
    steps: tuple[str, ...] | None
    matrix: Mapping[str, str | Sequence[object]] | None
    executor: Executor
