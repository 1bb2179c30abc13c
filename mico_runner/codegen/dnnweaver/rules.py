"""What DNNWeaver2's compiler demands of a graph, as its source states it (hsharma35/dnnweaver2, commit 24d19a0, Apache-2.0).

`GraphCompiler.compile` makes groups, each of a Convolution and what follows; `PUCompiler` runs what follows; `tensorOps.cnn` has the
shapes. Several demands are assertions there, others it does not check and computes something else: all of them are checked here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Entry = dict[str, Any]
LEADS = "Convolution"
FOLLOWS = ("TypeCast", "LeakyReLU", "MaxPooling")  # BatchNorm as well there, which is part of the convolution here
DATA_BITS, SUM_BITS, BIAS_BITS = 16, 64, 32
TOP, LEFT = 1, 2  # dimensions of NHWC


def broken_rules(content: Mapping[str, object]) -> list[str]:
    """What keeps the compiler from a description as `fixed.conv_groups` makes it; an empty list where nothing does."""
    operators: Any = content["operators"]
    found: list[str] = []
    if not operators or operators[0]["type"] != LEADS:
        found.append(f"the first operator is no {LEADS}")
    for before, entry in zip([None, *operators], operators, strict=False):
        found += [f"{entry['name']}: {text}" for text in _of_operator(before, entry)]
    starts = [i for i, entry in enumerate(operators) if entry["type"] == LEADS]
    for start, end in zip(starts, [*starts[1:], len(operators)], strict=True):
        found += [f"{operators[start]['name']}: {text}" for text in _of_group(operators[start + 1 : end])]
    return found


def _of_operator(before: Entry | None, entry: Entry) -> Iterator[str]:
    if before is not None and entry["input"] != before["output"]:
        same = {
            key: value for key, value in entry["input"].items() if key != "name"
        }  # a flattened image has another name
        if same != {key: value for key, value in before["output"].items() if key != "name"}:
            yield "reads another tensor than the one before it made: only a chain is compiled"
    if entry["type"] == LEADS:
        yield from _of_convolution(entry)
    elif entry["type"] not in FOLLOWS:
        yield f"{entry['type']} is not in a group; those that are: {', '.join((LEADS, *FOLLOWS))}"
    elif entry["type"] == "TypeCast":
        if entry["input"]["frac_bits"] < entry["output"]["frac_bits"]:
            yield "shifts left: it is compiled to a shift to the right"
        if entry["output"]["bits"] != DATA_BITS:
            yield f"makes {entry['output']['bits']} bits, not {DATA_BITS}"
    elif entry["type"] == "LeakyReLU":
        if not -1 <= entry["scalar"] < 1:
            yield f"has the slope {entry['scalar']}: 16 bits behind the point hold -1 to below 1"
    elif any(side for dimension in (TOP, LEFT) for side in entry["padding"][dimension][:1]):
        yield "is padded above or to the left"


def _of_convolution(entry: Entry) -> Iterator[str]:
    weights, bias, read, made = (entry[key] for key in ("weights", "bias", "input", "output"))
    outs, high, wide, ins = weights["shape"]
    if entry["group"] != 1:
        yield f"has {entry['group']} groups, which are left out of its instructions"
    if high != wide:
        yield f"has a kernel of {high} x {wide}: one size is used for both"
    if len(set(entry["stride"][1:3])) > 1:
        yield f"has strides of {entry['stride'][1:3]}: one is used for both"
    if ins != read["nhwc"][-1]:
        yield f"has weights of {ins} channels, its input has {read['nhwc'][-1]}"
    if bias["shape"] != [outs]:
        yield f"has biases of {bias['shape']}, not of {[outs]}"
    bits = (read["bits"], weights["bits"], bias["bits"], made["bits"])
    if bits != (DATA_BITS, DATA_BITS, BIAS_BITS, SUM_BITS):
        yield f"has bits {bits}; allowed: {(DATA_BITS, DATA_BITS, BIAS_BITS, SUM_BITS)} of data, weights, biases and sums"
    point = read["frac_bits"] + weights["frac_bits"]
    if {bias["frac_bits"], made["frac_bits"]} != {point}:
        yield f"has its points at {bias['frac_bits']} and {made['frac_bits']}; allowed: {point}, those of data and weights"
    sizes = [
        (read["nhwc"][d] - size + sum(entry["padding"][d])) // entry["stride"][d] + 1
        for d, size in ((TOP, high), (LEFT, wide))
    ]
    if made["nhwc"] != [read["nhwc"][0], *sizes, outs]:
        yield f"makes {made['nhwc']}, not {[read['nhwc'][0], *sizes, outs]}"


def _of_group(follows: list[Entry]) -> Iterator[str]:
    if not follows:
        yield "nothing follows it: its sums of 64 bits would be the output"
    elif follows[0]["type"] != "TypeCast":
        yield f"{follows[0]['type']} computes with its sums of 64 bits; allowed: a TypeCast first"
    if sum(entry["type"] == "MaxPooling" for entry in follows) > 1:
        yield "has several maxima; one is compiled"
