"""One small file for each operator and use of it that is read; litert_outputs.npz holds what LiteRT computes of them.

Run by hand where the package `ai-edge-litert` is installed, this file records those outputs (it needs no torch):

    python tests/formats/tflite_cases.py
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
from tflite_builder import File

RECORDED = Path(__file__).with_name("litert_outputs.npz")
SAME, VALID = 0, 1
NONE, RELU, N1_TO_1, RELU6 = range(4)
CASES = {}


def case(name):
    def register(build):
        CASES[name] = build
        return build

    return register


def made(name):
    """The file of a case, and its inputs."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    f = File()
    outputs = CASES[name](f, rng)
    data = f.data(*(outputs if isinstance(outputs, list) else [outputs]))
    return data, [rng.standard_normal(f._tensors[i]["shape"]).astype(np.float32) for i in f.inputs]


def _conv(
    kind, size, out, kernel, stride=(1, 1), padding=SAME, dilation=(1, 1), act=NONE, cin=3, cout=4, weight_in=None
):
    def build(f, rng):
        x = f.input(1, *size, cin)
        depthwise = kind == "DEPTHWISE_CONV_2D"
        shape = (1, *kernel, cout) if depthwise else (cout, *kernel, weight_in or cin)
        w, b = f.constant(rng.standard_normal(shape)), f.constant(rng.standard_normal(cout))
        options = {"Padding": padding, "StrideH": stride[0], "StrideW": stride[1], "FusedActivationFunction": act}
        options |= {"DilationHFactor": dilation[0], "DilationWFactor": dilation[1]}
        options |= {"DepthMultiplier": cout // cin} if depthwise else {}
        return f.operator(kind, [x, w, b], (1, *out, cout), **options)

    return build


CASES |= {
    "conv same": _conv("CONV_2D", (7, 6), (7, 6), (3, 3), act=RELU),
    "conv same uneven": _conv("CONV_2D", (8, 7), (4, 4), (3, 4), (2, 2), act=RELU6),
    "conv valid": _conv("CONV_2D", (8, 7), (3, 5), (3, 3), (2, 1), VALID),
    "conv dilated": _conv("CONV_2D", (9, 9), (9, 9), (3, 3), dilation=(2, 3), act=N1_TO_1),
    "conv small kernel": _conv("CONV_2D", (7, 6), (3, 3), (1, 1), (3, 2)),
    "conv grouped": _conv("CONV_2D", (6, 6), (6, 6), (3, 3), cin=4, cout=6, weight_in=2),
    "depthwise": _conv("DEPTHWISE_CONV_2D", (8, 7), (4, 4), (3, 3), (2, 2), cin=3, cout=3, act=RELU),
    "depthwise multiplier": _conv("DEPTHWISE_CONV_2D", (5, 6), (5, 6), (3, 3), cin=2, cout=6),
}


def _transposed(size, out, kernel, stride, padding, bias):
    def build(f, rng):
        x, shape = f.input(1, *size, 3), f.constant([1, *out, 2], np.int32)
        w = f.constant(rng.standard_normal((2, *kernel, 3)))
        inputs = [shape, w, x] + ([f.constant(rng.standard_normal(2))] if bias else [])
        options = {"Padding": padding, "StrideH": stride, "StrideW": stride}
        return f.operator("TRANSPOSE_CONV", inputs, (1, *out, 2), **options)

    return build


CASES |= {
    "transposed same": _transposed((4, 5), (8, 10), (3, 3), 2, SAME, True),
    "transposed same even": _transposed((4, 5), (8, 10), (4, 4), 2, SAME, True),
    "transposed valid": _transposed((4, 5), (9, 11), (3, 3), 2, VALID, False),
    "transposed small": _transposed((4, 5), (8, 10), (1, 1), 2, SAME, True),
}


def _pool(kind, size, out, kernel, stride, padding, act=NONE):
    def build(f, rng):
        options = {"Padding": padding, "StrideH": stride[0], "StrideW": stride[1], "FusedActivationFunction": act}
        options |= {"FilterHeight": kernel[0], "FilterWidth": kernel[1]}
        return f.operator(kind, [f.input(1, *size, 3)], (1, *out, 3), **options)

    return build


for _kind in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
    CASES |= {
        f"{_kind} valid": _pool(_kind, (7, 8), (3, 4), (2, 2), (2, 2), VALID, RELU),
        f"{_kind} same": _pool(_kind, (7, 7), (7, 7), (3, 3), (1, 1), SAME),
        f"{_kind} same uneven": _pool(_kind, (8, 8), (4, 4), (3, 3), (2, 2), SAME, RELU6),
        f"{_kind} same mixed": _pool(_kind, (7, 8), (4, 4), (3, 3), (2, 2), SAME),
        f"{_kind} same even window": _pool(_kind, (5, 6), (5, 6), (2, 2), (1, 1), SAME),
    }


def _dense(shape, out, keep=False, bias=True, features=None):
    def build(f, rng):
        x, n = f.input(*shape), features or shape[-1]
        inputs = [x, f.constant(rng.standard_normal((out[-1], n)))]
        inputs += [f.constant(rng.standard_normal(out[-1]))] if bias else []
        return f.operator("FULLY_CONNECTED", inputs, out, KeepNumDims=keep, FusedActivationFunction=RELU)

    return build


CASES |= {
    "dense": _dense((1, 6), (1, 4)),
    "dense without bias": _dense((1, 6), (1, 4), bias=False),
    "dense of tokens": _dense((1, 5, 6), (1, 5, 4), keep=True),
    "dense of an image": _dense((1, 2, 3, 4), (1, 5), features=24),
}


@case("flatten")
def _flatten(f, rng):
    x = f.operator("RESHAPE", [f.input(1, 3, 4, 2), f.constant([1, 24], np.int32)], (1, 24))
    return f.operator("FULLY_CONNECTED", [x, f.constant(rng.standard_normal((5, 24)))], (1, 5))


@case("hybrid weights")
def _hybrid(f, rng):
    """Weights of int8 with a scale for each output, behind DEQUANTIZE, so that LiteRT computes in floats, too."""
    scale = rng.uniform(0.01, 0.1, 4)
    w = f.constant(rng.integers(-127, 128, (4, 6)), np.int8, scale=scale)
    return f.operator("FULLY_CONNECTED", [f.input(1, 6), f.operator("DEQUANTIZE", [w], (4, 6))], (1, 4))


@case("half weights")
def _half(f, rng):
    w = f.constant(rng.standard_normal((4, 6)), np.float16)
    return f.operator("FULLY_CONNECTED", [f.input(1, 6), f.operator("DEQUANTIZE", [w], (4, 6))], (1, 4))


def _binary(kind, a, b, out, constant="", act=NONE, **options):
    def build(f, rng):
        def operand(shape, name):
            if name in constant:
                return f.constant(rng.uniform(0.5, 2, shape))
            return f.input(*shape)

        inputs = [operand(a, "a"), operand(b, "b")]
        more = {"FusedActivationFunction": act} if kind in ("ADD", "SUB", "MUL", "DIV") else {}
        return f.operator(kind, inputs, out, **more, **options)

    return build


_IMAGE = (1, 3, 4, 5)
for _kind in ("ADD", "SUB", "MUL", "DIV"):
    CASES |= {
        f"{_kind} constant": _binary(_kind, _IMAGE, (5,), _IMAGE, "b", RELU),
        f"{_kind} of a constant": _binary(_kind, (4, 1), _IMAGE, _IMAGE, "a"),
        f"{_kind} number": _binary(_kind, _IMAGE, (1,), _IMAGE, "b", N1_TO_1),
    }
CASES |= {
    "add": _binary("ADD", _IMAGE, _IMAGE, _IMAGE, act=RELU6),
    "gate": _binary("MUL", _IMAGE, (1, 1, 1, 5), _IMAGE),
    "gate in front": _binary("MUL", (1, 1, 1, 5), _IMAGE, _IMAGE),
    "gate of fewer dimensions": _binary("MUL", _IMAGE, (1, 5), _IMAGE),
    "squared difference": _binary("SQUARED_DIFFERENCE", _IMAGE, _IMAGE, _IMAGE),
    "maximum": _binary("MAXIMUM", _IMAGE, (1,), _IMAGE, "b"),
    "minimum": _binary("MINIMUM", (1,), _IMAGE, _IMAGE, "a"),
}


@case("add n")
def _add_n(f, rng):
    return f.operator("ADD_N", [f.input(1, 4), f.input(1, 4), f.input(1, 4)], (1, 4))


@case("power")
def _power(f, rng):
    x = f.operator("ABS", [f.input(1, 6)], (1, 6))
    return f.operator("POW", [x, f.constant([1.5])], (1, 6))


def _unary(kind, positive=False, **options):
    def build(f, rng):
        x = f.input(*_IMAGE)
        x = f.operator("EXP", [x], _IMAGE) if positive else x
        return f.operator(kind, [x], _IMAGE, **options)

    return build


_PLAIN = (
    "RELU",
    "RELU6",
    "RELU_N1_TO_1",
    "RELU_0_TO_1",
    "LOGISTIC",
    "TANH",
    "ELU",
    "HARD_SWISH",
    "EXP",
    "SQUARE",
    "ABS",
    "NEG",
)
CASES |= {kind: _unary(kind) for kind in _PLAIN}
CASES |= {kind: _unary(kind, positive=True) for kind in ("SQRT", "RSQRT", "LOG")}
CASES |= {
    "LEAKY_RELU": _unary("LEAKY_RELU", Alpha=0.2),
    "gelu": _unary("GELU"),
    "gelu tanh": _unary("GELU", Approximate=True),
    "softmax": _unary("SOFTMAX", Beta=1.0),
    "softmax beta": _unary("SOFTMAX", Beta=0.5),
    "LOG_SOFTMAX": _unary("LOG_SOFTMAX"),
    "L2_NORMALIZATION": _unary("L2_NORMALIZATION"),
}


@case("prelu")
def _prelu(f, rng):
    return f.operator("PRELU", [f.input(*_IMAGE), f.constant(rng.uniform(0, 1, (1, 1, 5)))], _IMAGE)


def _reduce(kind, axes, out, keep, shape=_IMAGE):
    def build(f, rng):
        return f.operator(kind, [f.input(*shape), f.constant(axes, np.int32)], out, KeepDims=keep)

    return build


CASES |= {
    "mean of an image": _reduce("MEAN", [1, 2], (1, 5), False),
    "mean kept": _reduce("MEAN", [1, 2], (1, 1, 1, 5), True),
    "mean of channels": _reduce("MEAN", [-1], (1, 3, 4), False),
    "mean of rows": _reduce("MEAN", [1], (1, 4, 5), False),
    "sum": _reduce("SUM", [2], (1, 3, 1, 5), True),
    "maximum of tokens": _reduce("REDUCE_MAX", [1], (1, 5), False, (1, 4, 5)),
    "minimum of an image": _reduce("REDUCE_MIN", [1, 2], (1, 5), False),
}


def _move(kind, shape, out, *constants, **options):
    def build(f, rng):
        return f.operator(kind, [f.input(*shape), *(f.constant(c, np.int32) for c in constants)], out, **options)

    return build


CASES |= {
    "reshape": _move("RESHAPE", _IMAGE, (1, 6, 10), [1, 6, 10]),
    "reshape to an image": _move("RESHAPE", (1, 60), _IMAGE, list(_IMAGE)),
    "expand": _move("EXPAND_DIMS", (1, 4, 6), (1, 1, 4, 6), [1]),
    "transpose": _move("TRANSPOSE", _IMAGE, (1, 4, 3, 5), [0, 2, 1, 3]),
    "transpose tokens": _move("TRANSPOSE", (1, 3, 4), (1, 4, 3), [0, 2, 1]),
    "slice": _move("SLICE", _IMAGE, (1, 2, 3, 5), [0, 1, 0, 0], [1, 2, 3, -1]),
    "strided slice": _move("STRIDED_SLICE", _IMAGE, (1, 2, 2, 5), *([0, 0, 1, 0], [1, 3, 4, 5], [1, 2, 2, 1])),
    "strided slice back": _move("STRIDED_SLICE", (1, 5), (1, 5), [0, 0], [0, 0], [1, -1], BeginMask=3, EndMask=3),
    "strided slice shrinks": _move(
        "STRIDED_SLICE", _IMAGE, (1, 4, 5), [0, 1], [1, 2], [1, 1], BeginMask=1, EndMask=1, ShrinkAxisMask=2
    ),
    "gather": _move("GATHER", _IMAGE, (1, 3, 4, 4), [0, 2, 4, 3], Axis=3),
    "gather one": _move("GATHER", (1, 4, 5), (1, 4), 2, Axis=2),
    "reverse": _move("REVERSE_V2", _IMAGE, _IMAGE, [2]),
    "pad": _move("PAD", _IMAGE, (1, 4, 7, 5), [[0, 0], [0, 1], [1, 2], [0, 0]]),
    "pad channels": _move("PAD", _IMAGE, (1, 3, 4, 7), [[0, 0], [0, 0], [0, 0], [2, 0]]),
    "mirror": _move("MIRROR_PAD", _IMAGE, (1, 5, 7, 5), [[0, 0], [1, 1], [1, 2], [0, 0]], Mode=0),
    "mirror symmetric": _move("MIRROR_PAD", _IMAGE, (1, 5, 7, 5), [[0, 0], [1, 1], [1, 2], [0, 0]], Mode=1),
    "tile": _move("TILE", (1, 1, 1, 5), (1, 3, 4, 5), [1, 3, 4, 1]),
    "depth to space": _move("DEPTH_TO_SPACE", (1, 2, 3, 8), (1, 4, 6, 2), BlockSize=2),
    "space to depth": _move("SPACE_TO_DEPTH", (1, 4, 6, 2), (1, 2, 3, 8), BlockSize=2),
}


@case("squeeze")
def _squeeze(f, rng):
    return f.operator("SQUEEZE", [f.input(1, 1, 4, 6)], (1, 4, 6), SqueezeDims=[1])


@case("rows of all samples")
def _rows(f, rng):
    """The batch and the tokens become one dimension and two again, as converters write it in front of a dense layer."""
    x = f.operator("RESHAPE", [f.input(1, 4, 6), f.constant([4, 6], np.int32)], (4, 6))
    x = f.operator("FULLY_CONNECTED", [x, f.constant(rng.standard_normal((3, 6)))], (4, 3))
    return f.operator("RESHAPE", [x, f.constant([1, 4, 3], np.int32)], (1, 4, 3))


@case("image as torch has it")
def _from_torch(f, rng):
    """An input that the file transposes from (N, C, H, W), a mean over what it transposes back."""
    x = f.operator("TRANSPOSE", [f.input(1, 4, 5, 2), f.constant([0, 1, 2, 3], np.int32)], (1, 4, 5, 2))
    x = f.operator("TRANSPOSE", [x, f.constant([0, 3, 1, 2], np.int32)], (1, 2, 4, 5))
    return f.operator("MEAN", [x, f.constant([2, 3], np.int32)], (1, 2), KeepDims=False)


@case("pad with a number")
def _pad_v2(f, rng):
    around, number = f.constant([[0, 0], [1, 1], [0, 0], [0, 0]], np.int32), f.constant(-0.5)
    return f.operator("PADV2", [f.input(*_IMAGE), around, number], (1, 5, 4, 5))


@case("concatenation")
def _concatenation(f, rng):
    a = f.operator("TRANSPOSE", [f.input(1, 3, 2, 4), f.constant([0, 1, 3, 2], np.int32)], (1, 3, 4, 2))
    inputs = [f.input(*_IMAGE), a, f.constant(rng.standard_normal((1, 3, 4, 1)))]
    return f.operator("CONCATENATION", inputs, (1, 3, 4, 8), Axis=-1)


@case("split")
def _split(f, rng):
    return f.operator("SPLIT", [f.constant(3, np.int32), f.input(1, 3, 4, 6)], *[(1, 3, 4, 2)] * 3, NumSplits=3)


@case("split by sizes")
def _split_v(f, rng):
    inputs = [f.input(1, 3, 4, 6), f.constant([1, 3], np.int32), f.constant(2, np.int32)]
    return f.operator("SPLIT_V", inputs, (1, 3, 1, 6), (1, 3, 3, 6), NumSplits=2)


@case("pack")
def _pack(f, rng):
    return f.operator("PACK", [f.input(1, 4, 5), f.input(1, 4, 5)], (1, 4, 2, 5), ValuesCount=2, Axis=2)


@case("unpack")
def _unpack(f, rng):
    return f.operator("UNPACK", [f.input(1, 3, 4, 5)], *[(1, 3, 5)] * 4, Num=4, Axis=2)


def _resize(kind, size, out, aligned, centres):
    def build(f, rng):
        options = {"AlignCorners": aligned, "HalfPixelCenters": centres}
        return f.operator(kind, [f.input(1, *size, 2), f.constant(out, np.int32)], (1, *out, 2), **options)

    return build


for _kind in ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"):
    for _mode in ((False, False), (True, False), (False, True)):
        for _size, _out in (((3, 4), (6, 8)), ((5, 6), (7, 4))):
            CASES[f"{_kind} {_size} {_out} {_mode}"] = _resize(_kind, _size, _out, *_mode)


def _product(a, b, out, constant, flip=(False, False)):
    def build(f, rng):
        second = f.constant(rng.standard_normal(b)) if constant else f.input(*b)
        return f.operator("BATCH_MATMUL", [f.input(*a), second], out, AdjX=flip[0], AdjY=flip[1])

    return build


CASES |= {
    "product": _product((1, 2, 3, 4), (1, 2, 4, 5), (1, 2, 3, 5), False),
    "product transposed": _product((1, 3, 4), (1, 5, 4), (1, 3, 5), False, (False, True)),
    "product with weights": _product((1, 3, 4), (4, 5), (1, 3, 5), True),
}


@case("attention")
def _attention(f, rng):
    """Heads, an axis in front of the tokens, and back."""
    x, order = f.input(1, 6, 8), f.constant([0, 2, 1, 3], np.int32)
    shape = f.constant([1, 6, 2, 4], np.int32)
    heads = [
        f.operator(
            "TRANSPOSE",
            [
                f.operator(
                    "RESHAPE",
                    [
                        f.operator(
                            "FULLY_CONNECTED", [x, f.constant(rng.standard_normal((8, 8)))], (1, 6, 8), KeepNumDims=True
                        ),
                        shape,
                    ],
                    (1, 6, 2, 4),
                ),
                order,
            ],
            (1, 2, 6, 4),
        )
        for _ in range(3)
    ]
    scores = f.operator("BATCH_MATMUL", heads[:2], (1, 2, 6, 6), AdjX=False, AdjY=True)
    found = f.operator(
        "BATCH_MATMUL", [f.operator("SOFTMAX", [scores], (1, 2, 6, 6), Beta=1.0), heads[2]], (1, 2, 6, 4)
    )
    found = f.operator("TRANSPOSE", [found, order], (1, 6, 2, 4))
    return f.operator("RESHAPE", [found, f.constant([1, 6, 8], np.int32)], (1, 6, 8))


@case("shape that is computed")
def _computed_shape(f, rng):
    """Keras' Flatten for any batch: SHAPE, STRIDED_SLICE and PACK compute what RESHAPE makes."""
    x = f.input(1, 3, 4, 2)
    shape = f.operator("SHAPE", [x], (4,), made={"kind": "INT32"}, OutType=2)
    inputs = [shape, *(f.constant([n], np.int32) for n in (0, 1, 1))]
    batch = f.operator("STRIDED_SLICE", inputs, (), made={"kind": "INT32"}, ShrinkAxisMask=1)
    shape = f.operator("PACK", [batch, f.constant(24, np.int32)], (2,), made={"kind": "INT32"}, ValuesCount=2)
    return f.operator("RESHAPE", [x, shape], (1, 24))


def _record():
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    found = {}
    for name in CASES:
        data, inputs = made(name)
        litert = Interpreter(
            model_content=data, experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        )
        litert.allocate_tensors()
        for details, x in zip(litert.get_input_details(), inputs, strict=True):
            litert.set_tensor(details["index"], x)
        litert.invoke()
        for i, details in enumerate(litert.get_output_details()):
            found[f"{name}/{i}"] = litert.get_tensor(details["index"])
    np.savez_compressed(RECORDED, **found)
    print(f"{len(CASES)} cases, {RECORDED.stat().st_size} bytes")


if __name__ == "__main__":
    _record()
