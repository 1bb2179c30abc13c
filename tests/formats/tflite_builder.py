"""Small TFLite files, written with flatbuffers: operators and tensors as a test wants them."""

from __future__ import annotations

import flatbuffers
import numpy as np
import tflite

_OPTIONS = {
    **{
        "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
        "CONV_2D": "Conv2DOptions",
        "TRANSPOSE_CONV": "TransposeConvOptions",
    },
    **{
        "FULLY_CONNECTED": "FullyConnectedOptions",
        "BATCH_MATMUL": "BatchMatMulOptions",
        "L2_NORMALIZATION": "L2NormOptions",
    },
    **{
        "AVERAGE_POOL_2D": "Pool2DOptions",
        "MAX_POOL_2D": "Pool2DOptions",
        "SPLIT_V": "SplitVOptions",
        "PADV2": "PadV2Options",
    },
    **dict.fromkeys(("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"), "ReducerOptions"),
    **{"RESIZE_BILINEAR": "ResizeBilinearOptions", "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions"},
    **{"MAXIMUM": "MaximumMinimumOptions", "MINIMUM": "MaximumMinimumOptions", "REVERSE_V2": "ReverseV2Options"},
    **dict.fromkeys(
        ("RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "LOGISTIC", "TANH", "ELU", "SQRT", "RSQRT", "LOG", "PRELU"), ""
    ),
    **{"CUSTOM": "", "SHAPE": "ShapeOptions"},
}


class File:
    """A network in the making: `tensor` and `operator` give the index of what they add."""

    def __init__(self) -> None:
        self._tensors: list[dict] = []
        self._operators: list[dict] = []
        self.inputs: list[int] = []

    def tensor(self, shape, data=None, kind=None, scale=None, zero=None, axis=0, signature=None) -> int:
        """One of the given values where there are `data`, else a computed one."""
        array = None if data is None else np.ascontiguousarray(data)
        kind = kind or ("FLOAT32" if array is None else array.dtype.name.upper())
        self._tensors.append(
            {
                **{"shape": shape, "data": array, "kind": kind, "scale": scale, "zero": zero, "axis": axis},
                **{"signature": signature},
            }
        )
        return len(self._tensors) - 1

    def constant(self, values, dtype=np.float32, **more) -> int:
        array = np.array(values, dtype)
        return self.tensor(array.shape, array, **more)

    def input(self, *shape, **more) -> int:
        self.inputs.append(self.tensor(shape, **more))
        return self.inputs[-1]

    def operator(self, kind, inputs, *shapes, custom=None, made=None, **options):
        """Index of its output, or of each where there are several; `made` says more of them."""
        outputs = [self.tensor(shape, **(made or {})) for shape in shapes]
        self._operators.append(
            {"kind": kind, "inputs": inputs, "outputs": outputs, "options": options, "custom": custom}
        )
        return outputs[0] if len(outputs) == 1 else outputs

    def data(self, *outputs) -> bytes:
        """The file."""
        b = flatbuffers.Builder(1024)
        names = sorted({(o["kind"], o["custom"] or "") for o in self._operators})
        codes = [_code(b, *name) for name in names]
        buffers = [_buffer(b, None)] + [_buffer(b, t["data"]) for t in self._tensors if t["data"] is not None]
        kept = [i for i, t in enumerate(self._tensors) if t["data"] is not None]
        tensors = [_tensor(b, i, t, 1 + kept.index(i) if i in kept else 0) for i, t in enumerate(self._tensors)]
        operators = [_operator(b, o, names.index((o["kind"], o["custom"] or ""))) for o in self._operators]
        lists = [_ints(b, self.inputs), _ints(b, outputs), _tables(b, tensors), _tables(b, operators)]
        tflite.SubGraphStart(b)
        for add, found in zip(("Inputs", "Outputs", "Tensors", "Operators"), lists, strict=True):
            getattr(tflite, f"SubGraphAdd{add}")(b, found)
        graph = tflite.SubGraphEnd(b)
        lists = [_tables(b, codes), _tables(b, [graph]), _tables(b, buffers)]
        tflite.ModelStart(b)
        tflite.ModelAddVersion(b, 3)
        for add, found in zip(("OperatorCodes", "Subgraphs", "Buffers"), lists, strict=True):
            getattr(tflite, f"ModelAdd{add}")(b, found)
        b.Finish(tflite.ModelEnd(b), file_identifier=b"TFL3")
        return bytes(b.Output())


def _code(b, kind, custom):
    number = getattr(tflite.BuiltinOperator, kind)
    text = b.CreateString(custom) if custom else None
    tflite.OperatorCodeStart(b)
    tflite.OperatorCodeAddDeprecatedBuiltinCode(b, min(number, 127))
    tflite.OperatorCodeAddBuiltinCode(b, number)
    tflite.OperatorCodeAddVersion(b, 1)
    if text is not None:
        tflite.OperatorCodeAddCustomCode(b, text)
    return tflite.OperatorCodeEnd(b)


def _buffer(b, data):
    if data is not None:  # aligned, as TFLite asks for
        raw = (
            np.ascontiguousarray(data).view(np.uint8).ravel() if data.ndim else np.frombuffer(data.tobytes(), np.uint8)
        )
        b.StartVector(1, len(raw), 16)
        b.head -= len(raw)
        b.Bytes[b.head : b.head + len(raw)] = raw.tobytes()
        vector = b.EndVector()
    tflite.BufferStart(b)
    if data is not None:
        tflite.BufferAddData(b, vector)
    return tflite.BufferEnd(b)


def _tensor(b, index, t, buffer):
    name, shape, quantisation = b.CreateString(f"t{index}"), _ints(b, t["shape"]), None
    signature = None if t["signature"] is None else _ints(b, t["signature"])
    if t["scale"] is not None:
        scale = b.CreateNumpyVector(np.atleast_1d(np.array(t["scale"], np.float32)))
        zero = b.CreateNumpyVector(
            np.atleast_1d(np.array(t["zero"] or 0, np.int64) + np.zeros(np.size(t["scale"]), np.int64))
        )
        tflite.QuantizationParametersStart(b)
        tflite.QuantizationParametersAddScale(b, scale)
        tflite.QuantizationParametersAddZeroPoint(b, zero)
        tflite.QuantizationParametersAddQuantizedDimension(b, t["axis"])
        quantisation = tflite.QuantizationParametersEnd(b)
    tflite.TensorStart(b)
    tflite.TensorAddShape(b, shape)
    tflite.TensorAddType(b, getattr(tflite.TensorType, t["kind"]))
    tflite.TensorAddBuffer(b, buffer)
    tflite.TensorAddName(b, name)
    if quantisation is not None:
        tflite.TensorAddQuantization(b, quantisation)
    if signature is not None:
        tflite.TensorAddShapeSignature(b, signature)
    return tflite.TensorEnd(b)


def _operator(b, o, code):
    name = _OPTIONS.get(o["kind"])
    name = "".join(part.capitalize() for part in o["kind"].split("_")) + "Options" if name is None else name
    options = None
    if name:
        fields = {k: _ints(b, v) if isinstance(v, list) else v for k, v in o["options"].items()}
        getattr(tflite, f"{name}Start")(b)
        for field, value in fields.items():
            getattr(tflite, f"{name}Add{field}")(b, value)
        options = getattr(tflite, f"{name}End")(b)
    inputs, outputs = _ints(b, o["inputs"]), _ints(b, o["outputs"])
    tflite.OperatorStart(b)
    tflite.OperatorAddOpcodeIndex(b, code)
    tflite.OperatorAddInputs(b, inputs)
    tflite.OperatorAddOutputs(b, outputs)
    if options is not None:
        tflite.OperatorAddBuiltinOptionsType(b, getattr(tflite.BuiltinOptions, name))
        tflite.OperatorAddBuiltinOptions(b, options)
    return tflite.OperatorEnd(b)


def _ints(b, values):
    return b.CreateNumpyVector(np.array(values, np.int32))


def _tables(b, offsets):
    b.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        b.PrependUOffsetTRelative(offset)
    return b.EndVector()
