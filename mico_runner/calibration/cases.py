"""What is calibrated: operators at sizes over decades, and the counts that their latency is explained by. Light: needs no torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from mico_runner.calibration.case_sizes import CONVOLUTIONS, LINEARS
from mico_runner.ops import OPERATORS

ELEMENTWISE = ("add", "mul", "act_ReLU", "act_ReLU6", "act_Hardswish", "act_SiLU", "act_GELU", "softmax", "copy")
KERNELS = (
    *("conv_k3", "conv_std", "conv_pw", "conv_dw", "linear", "matmul", "attention"),
    *("bn", "norm", "maxpool", "pool", "view"),
)
OPERATIONS = (*KERNELS, *ELEMENTWISE)  # of networks of any kind; operators beyond them are found by their names
NETWORK_NAMES = (
    *(
        "vgg11",
        "vgg16",
        "resnet18",
        "resnet34",
        "resnet50",
        "mobilenet_v2",
        "mobilenet_v3_small",
        "efficientnet_b0",
        "squeezenet",
    ),
    *("vit_b_16", "vit_s_16", "llama_15m"),
)  # of `calibration.networks`
OWN_NETWORK = "model"  # stands for the network of the spec
COMPUTING = ("conv_k3", "conv_std", "conv_pw", "conv_dw", "linear", "matmul", "attention")  # operations with FLOPs
CURVE_SHAPES = ("constant", "linear", "log_linear", "sigmoid", "piecewise", "spline")  # of `calibration.curves`
BYTES = {"fp32": 4, "bf16": 2, "fp16": 2, "int8": 1}
INT8_OPERATIONS = (
    "conv_k3",
    "conv_std",
    "conv_pw",
    "conv_dw",
    "linear",
)  # the others compute in floating point between them


@dataclass(frozen=True)
class Case:
    """One operator at one size. `shape` holds what its builder takes; counts are those of the whole batch."""

    op: str
    precision: str
    batch: int
    shape: dict[str, int]
    macs: float = 0.0
    weights: float = 0.0
    elements: float = 0.0
    reduction: float = 0.0
    in_channels: float = 0.0
    out_channels: float = 0.0

    @property
    def key(self) -> str:
        """Unique name: "conv_k3 fp32 batch=1 ins=64 outs=64 size=56"."""
        return " ".join([self.op, self.precision, f"batch={self.batch}", *(f"{k}={v}" for k, v in self.shape.items())])

    @property
    def flops(self) -> float:
        return 2 * self.macs

    @property
    def bytes(self) -> float:
        return BYTES[self.precision] * (self.weights + self.elements)

    def counts(self) -> dict[str, object]:
        """As a row of an operator table (`calibration.operators`)."""
        row = {k: v for k, v in asdict(self).items() if k not in ("precision", "batch", "shape")}
        return row | {"launches": 1}


@dataclass
class Plan:
    """Which cases: operations, precisions, batches; `quick` thins the sizes."""

    operations: Sequence[str] = OPERATIONS
    precisions: Sequence[str] = ("fp32",)
    batches: Sequence[int] = (1,)
    quick: bool = True

    def cases(self) -> list[Case]:
        made = []
        for p in self.precisions:
            operations = [op for op in self.operations if op in _of(p)]
            made += [c for b in self.batches for op in operations for c in _cases(op, p, b)]
        large = 4e9 if self.quick else 2e10  # FLOPs of one call
        kept = [c for c in made if c.flops <= large and c.bytes <= 5e8]
        return kept if not self.quick else [c for i, c in enumerate(kept) if c.batch == 1 or i % 2 == 0]


def registered(own: bool = False) -> list[str]:
    """Names of registered operators that are no operation of the list; `own`: those of plug-ins alone, which nobody else measures."""
    entries = OPERATORS.entries
    return [name for name in OPERATORS.names() if name not in OPERATIONS and not (own and entries[name].path is None)]


def _of(precision: str) -> Sequence[str]:
    """The operations that compute at a precision; registered operators state what they compute in fp32."""
    if precision == "int8":
        return INT8_OPERATIONS
    return (*OPERATIONS, *registered()) if precision == "fp32" else OPERATIONS


def _cases(op: str, precision: str, batch: int) -> Iterator[Case]:
    if op not in OPERATIONS:
        from mico_runner.calibration import registered as own

        for shape, elements in own.sizes(op):
            yield Case(op, precision, batch, shape, elements=batch * elements)
    elif op.startswith("conv_"):
        for kernel, stride, ins, outs, size in CONVOLUTIONS[op]:
            groups = ins if op == "conv_dw" else 1
            out = -(-size // stride)
            reduction = kernel**2 * ins // groups
            yield Case(
                op,
                precision,
                batch,
                {"kernel": kernel, "stride": stride, "ins": ins, "outs": outs, "size": size},
                macs=batch * outs * out**2 * reduction,
                weights=outs * reduction,
                elements=batch * (ins * size**2 + outs * out**2),
                reduction=0 if op == "conv_dw" else reduction,
                in_channels=0 if op == "conv_dw" else ins,
                out_channels=0 if op == "conv_dw" else outs,
            )
    elif op == "linear":
        for tokens, ins, outs in LINEARS:
            macs = batch * tokens * ins * outs
            elements = batch * tokens * (ins + outs)
            shape = {"tokens": tokens, "ins": ins, "outs": outs}
            yield Case(op, precision, batch, shape, macs, ins * outs, elements, ins, ins, outs)
    elif op == "matmul":  # of two activations
        for products, tokens, ins, outs in (
            *((1, 64, 64, 64), (1, 256, 256, 256), (1, 512, 512, 512), (1, 1024, 1024, 1024), (1, 16, 1024, 1024)),
            *((12, 197, 64, 197), (12, 197, 197, 64), (6, 64, 64, 64), (8, 512, 64, 512), (32, 32, 32, 32)),
        ):
            n = batch * products
            elements = n * (tokens * ins + ins * outs + tokens * outs)
            shape = {"products": products, "tokens": tokens, "ins": ins, "outs": outs}
            yield Case(op, precision, batch, shape, n * tokens * ins * outs, elements=elements)
    elif op == "attention":
        for heads, tokens in ((3, 64), (6, 197), (12, 64), (12, 197), (8, 512)):
            inner = heads * 64
            shape = {"heads": heads, "tokens": tokens, "width": 64}
            yield Case(op, precision, batch, shape, 2 * batch * tokens**2 * inner, elements=batch * 4 * tokens * inner)
    elif op == "view":
        yield Case(op, precision, batch, {"size": 64})
    elif op == "maxpool":
        for kernel, channels, size in (
            *((2, 64, 112), (2, 128, 56), (2, 256, 28), (2, 512, 14), (2, 64, 224), (2, 16, 28)),
            *((3, 64, 112), (3, 128, 56), (3, 256, 28), (3, 512, 14), (3, 32, 54), (3, 16, 28)),
        ):
            written = batch * channels * (-(-(size - kernel + 1) // 2)) ** 2  # stride 2, no padding
            shape = {"kernel": kernel, "channels": channels, "size": size}
            yield Case(op, precision, batch, shape, elements=batch * channels * size**2 + written)
    elif op == "pool":
        for channels, size in ((64, 112), (128, 56), (256, 28), (512, 14), (1280, 7), (64, 224), (96, 14)):
            shape = {"channels": channels, "size": size}
            yield Case(op, precision, batch, shape, elements=batch * channels * (size**2 + 1))
    else:
        tensors = 3 if op in ("add", "mul") else 2
        for channels, size in (
            (16, 7),
            (128, 14),
            (64, 28),
            (512, 14),
            (256, 28),
            (128, 56),
            (64, 112),
            (512, 56),
            (64, 224),
        ):
            elements = tensors * batch * channels * size**2
            yield Case(op, precision, batch, {"channels": channels, "size": size}, elements=elements)
