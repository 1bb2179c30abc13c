"""The resolved spec as types: what the schema in `mico_runner.spec.schema` lets through, key by key.

The schema says what the keys mean, which values they take and what their defaults are; a test keeps both alike. There is no behaviour here:
what a step makes of a section is the step's source, and so an input of its result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Bits = float  # 1.5 is ternary, all other widths are whole


@dataclass(frozen=True)
class CurveFit:
    """How efficiency curves are fitted.

    Attributes:
        smooth: p of the p-norm of compute and memory time; None: the larger of both.
    """

    shapes: tuple[str, ...]
    folds: int
    smooth: float | None


@dataclass(frozen=True)
class EfficiencyCurves:
    fit: CurveFit


@dataclass(frozen=True)
class Datasets:
    """What is learned from.

    Attributes:
        task: see `data.source.source_of`.
        scale: what a pixel of full brightness is to the network.
        mean, std: of pixels, per channel or one for all: (pixel - mean) / std is the first step of the network, and deployed with it.
        profile: kernel-latency profiles, each a name of the catalog or the path of a CSV file.
        validation: samples held out of the training part; None: as many as `data.loading.load` says.
        test: samples of the test part that are used, the first ones; None: all.
    """

    task: str | Mapping[str, Any] | None
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    profile: tuple[str, ...]
    validation: int | None
    test: int | None


@dataclass(frozen=True)
class Augment:
    """Random changes of each sample.

    Attributes:
        flip: left to right, half of them.
        crop: pixels by which each is moved at most, filled with zeros.
        mixup: a of Beta(a, a), by which pairs of samples and their losses are mixed; 0: not.
        speed: sounds are played at 1 / (1 + speed) to 1 + speed times their own.
        mask_rows, mask_columns: neighbouring ones that are blanked at most.
    """

    flip: bool = False
    crop: int = 0
    mixup: float = 0.0
    speed: float = 0.0
    mask_rows: int = 0
    mask_columns: int = 0


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
        lr: the schedule's highest.
        shift: pixels by which the images of a batch are moved at most, all alike.
        optimizer: "adamw" or "sgd", with Nesterov's momentum of 0.9.
        schedule: "one-cycle", "cosine" or "constant".
        keep: whose weights are kept, the "last" epoch's or the "best" one's on the validation part.
        patience: epochs without a better one after which it ends.
        balance: samples of each class are drawn equally often.
    """

    epochs: int
    lr: float
    batch_size: int
    weight_decay: float
    shift: int = 0
    optimizer: str = "adamw"
    schedule: str = "one-cycle"
    augment: Augment = Augment()
    keep: str = "last"
    patience: int | None = None
    balance: bool = False


@dataclass(frozen=True)
class Train(Recipe):
    """How a network of the user's own, or of the zoo, is trained.

    Attributes:
        freeze_norms: batch norms keep the statistics that they begin with.
        device: "cpu", or "auto": a GPU if there is one.
    """

    freeze_norms: bool = False
    device: str = "cpu"


@dataclass(frozen=True)
class Finetune(Recipe):
    """Attributes: distillation: share of the loss that is the distance from the float network's outputs; the rest is the task's."""

    keep: str = "best"
    distillation: float = 1.0


@dataclass(frozen=True)
class Model:
    """The network and its training.

    Attributes:
        name: of an entry of the zoo, else None.
        file: a file of the user's own, or a network of the catalog.
        entry: of a Python file, the class or function that makes the network.
        params: of the zoo's entry, or of `entry`.
        weights: file that holds those to begin with.
        input: shape of one input without the batch; None: that of the data.
        train: None takes the network as it is.
    """

    name: str | None
    file: str | None
    entry: str | None
    params: Mapping[str, Any]
    weights: str | None
    input: tuple[int, ...] | None
    train: Train | None


@dataclass(frozen=True)
class Evaluate:
    """Attributes: uniform_bits: (weight bits, activation bits) of whole networks; None without a device to choose them for."""

    uniform_bits: tuple[tuple[Bits, int], ...] | None


@dataclass(frozen=True)
class Predictor:
    """A latency predictor by the names of its parts."""

    strategy: str
    features: str
    regressor: str
    params: Mapping[str, Any]


@dataclass(frozen=True)
class LearningCurve:
    """Attributes: rows: sizes of the profile; repeats: draws per size."""

    rows: tuple[int, ...]
    repeats: int


@dataclass(frozen=True)
class Validation:
    """Attributes: group_by: what no two folds share: "shape", or names of columns."""

    protocols: tuple[str, ...]
    group_by: str | tuple[str, ...]
    folds: int


@dataclass(frozen=True)
class Proxy(Predictor):
    """The predictor that is used, those that are validated beside it, and how."""

    compare: tuple[Predictor, ...]
    learning_curve: LearningCurve | None
    validation: Validation
    seed: int


@dataclass(frozen=True)
class WeightOptions:
    """How weights are quantised: "channel" or "tensor" shares a scale, which "mse" or "minmax" chooses."""

    granularity: str = "channel"
    scale: str = "mse"


@dataclass(frozen=True)
class ActivationOptions:
    """How activations are quantised.

    Attributes:
        calibration: "mse", "minmax" or "percentile" chooses the scale.
        percentile: of the values, in percent, of calibration "percentile".
        images: calibration images that are used.
    """

    calibration: str = "mse"
    percentile: float = 99.9
    images: int = 256


@dataclass(frozen=True)
class Quantization:
    weights: WeightOptions
    activations: ActivationOptions


@dataclass(frozen=True)
class Pin:
    """Bits of one layer that are fixed."""

    weight_bits: Bits | None = None
    activation_bits: int | None = None


@dataclass(frozen=True)
class Space:
    """Bits that are tried for every layer, except those of `pinned` layers."""

    weight_bits: tuple[Bits, ...]
    activation_bits: tuple[int, ...]
    pinned: Mapping[str, Pin]


@dataclass(frozen=True)
class Limit:
    """A limit of a cost: in its unit, or as a share of that of the 8-bit network when `relative_to` is "int8"."""

    max: float
    relative_to: str | None


@dataclass(frozen=True)
class LatencyLimit(Limit):
    """Attributes: risk: probability that the limit is kept; None: the expected latency counts."""

    risk: float | None


@dataclass(frozen=True)
class QualityLimit:
    """Attributes: relative_to: "float" or "int8"; max_drop: by how much it may be worse; min, max: in the unit of the task's measure."""

    relative_to: str
    max_drop: float | None = None
    min: float | None = None
    max: float | None = None


@dataclass(frozen=True)
class AllocateConstraints:
    energy: Limit | None = None
    latency: Limit | None = None
    flash_bytes: Limit | None = None


@dataclass(frozen=True)
class Allocate:
    """Bits of a network that is known by its layers alone.

    Attributes:
        input: channels, height, width.
        over: the cost that the front runs over.
        points: of the front.
    """

    network: str
    params: Mapping[str, Any]
    input: tuple[int, int, int]
    classes: int
    space: Space
    constraints: AllocateConstraints
    over: str
    points: int


@dataclass(frozen=True)
class Crossvalidate:
    """A training for each part of the samples.

    Attributes:
        bits: (weight bits, activation bits) of every layer.
        folds: number of parts, or
        group_by: a fact of the samples; each of its values is a part.
    """

    bits: tuple[float, int]
    folds: int | None = None
    group_by: str | None = None


@dataclass(frozen=True)
class SearchConstraints:
    """The limits that there are, in the order in which the search hears of them."""

    latency: LatencyLimit | None = None
    energy: Limit | None = None
    edp: Limit | None = None
    flash_bytes: Limit | None = None
    ram_bytes: Limit | None = None
    bops: Limit | None = None
    quality: QualityLimit | None = None


@dataclass(frozen=True)
class Budget:
    """Networks that may be evaluated, and seconds that this may take."""

    evaluations: int
    seconds: float | None


@dataclass(frozen=True)
class Search:
    """Attributes: objectives: the most important first; compare: further algorithms at the same budget."""

    space: Space
    algorithm: str
    params: Mapping[str, Any]
    objectives: tuple[str, ...]
    constraints: SearchConstraints
    budget: Budget
    compare: tuple[str, ...]
    enumerate: bool


@dataclass(frozen=True)
class Codegen:
    """The program.

    Attributes:
        bits: (weight bits, activation bits) of every layer; None where a search chooses them.
        ends: the same of the first and the last layer; None: as the others.
    """

    target: str
    runtime: str
    scratch: str
    bits: tuple[Bits, int] | None
    ends: tuple[Bits, int] | None
    bundle: str
    package: str


@dataclass(frozen=True)
class Simulate:
    """Where the network runs; the numbers of images are "all" or how many of the test part."""

    target: str | tuple[str, ...]
    images: int | str
    qemu_images: int | str
    rtl_images: int
    rtl_assignments: int
    sanitize: bool


@dataclass(frozen=True)
class BitPairs:
    """Every pair of these is timed."""

    weight: tuple[Bits, ...]
    activation: tuple[int, ...]


@dataclass(frozen=True)
class Ranges:
    """Sizes of the kernels of one kind: (lowest, highest) of each that the kind has.

    Attributes:
        in_h: pixels of a side, padding included.
        kernel, stride: the values themselves.
    """

    in_channels: tuple[int, int] | None = None
    out_channels: tuple[int, int] | None = None
    in_h: tuple[int, int] | None = None
    kernel: tuple[int, ...] | None = None
    stride: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Profile:
    """A kernel-latency profile to be made.

    Attributes:
        shapes: per kind of kernel.
        kernels: by kind, of `ops.families`.
        repeats: timings of one kernel, whose median counts.
    """

    target: str
    sampler: str
    shapes: int
    bits: BitPairs
    kernels: Mapping[str, Ranges]
    repeats: int
    seed: int


@dataclass(frozen=True)
class Calibrate:
    """Micro-benchmarks of this machine.

    Attributes:
        budget: "quick" or "full".
        threads: of torch.
        write_to: folder for a copy of the profile.
        compare: a previous profile.
        networks: predicted, then measured end to end.
    """

    seed: int
    budget: str
    operations: tuple[str, ...]
    precisions: tuple[str, ...]
    batches: tuple[int, ...]
    threads: int
    write_to: str | None
    compare: str | None
    networks: tuple[str, ...]


@dataclass(frozen=True)
class Device:
    """A measured device as its data set calls it, and the batch sizes that are learned from."""

    device: str
    precision: str
    batches: tuple[int, ...]


@dataclass(frozen=True)
class Verify:
    """Attributes: batch: whose latency is estimated; runs: of one machine that was measured twice."""

    data: str
    devices: tuple[Device, ...]
    batch: int
    runs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Gate:
    """Limits of a metric, in its unit."""

    min: float | None = None
    max: float | None = None


@dataclass(frozen=True)
class Diff:
    """What `mico-run diff` takes for a regression.

    Attributes:
        fail_on: rules, see `outputs.diff`.
        runs: the newest runs of one state that stand for each side.
        confidence: of the interval of the difference of their means.
    """

    fail_on: tuple[str, ...] = ()
    runs: int = 1
    confidence: float = 0.95


@dataclass(frozen=True)
class Executor:
    """Where steps run.

    Attributes:
        backend: "processes".
        jobs: processes that work at once.
        threads: of torch in each; an input of what is trained and evaluated.
    """

    backend: str
    jobs: int
    threads: int


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
    hardware: str | Mapping[str, Any] | None
    efficiency_curves: str | EfficiencyCurves | None
    datasets: Datasets
    model: Model | None
    evaluate: Evaluate | None
    proxy: Proxy | None
    quantization: Quantization | None
    search: Search | None
    allocate: Allocate | None
    crossvalidate: Crossvalidate | None
    finetune: Finetune | None
    codegen: Codegen | None
    simulate: Simulate | None
    profile: Profile | None
    calibrate: Calibrate | None
    verify: Verify | None
    gates: Mapping[str, Gate]
    diff: Diff
    steps: tuple[str, ...] | None
    matrix: Mapping[str, Any] | None
    executor: Executor
