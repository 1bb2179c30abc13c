"""A convolution's sizes are one dataclass in Python and one struct in C."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from mico_runner.codegen import emit
from mico_runner.ops.c import ConvGeometry

HEADERS = {path.stem: path.read_text(encoding="utf-8") for path in emit.KERNELS.glob("*.h")}
STRUCT = re.compile(r"typedef struct \{\n(.*?)\n\} (\w+);", re.DOTALL)
STRUCTS = {name: body for text in HEADERS.values() for body, name in STRUCT.findall(text)}
MEMBERS = [name for line in re.findall(r"int32_t ([^;]+);", STRUCTS["mico_geometry"]) for name in line.split(", ")]
OWN = {"mico_depthwise_t"}  # whose cycles on small cores were measured with sizes of one number of channels


def test_both_have_the_same_members():
    geometry = ConvGeometry(1, 2, 3, 4, 5, 6, (7, 8), (9, 10), (11, 12), (13, 14))
    assert geometry.sizes() == dict(zip(MEMBERS, range(1, 15), strict=True))
    said = {re.sub(r"_[hw]$", "", name.replace("pad_", "padding_")) for name in MEMBERS} - {"in", "out"}
    assert said <= {field.name for field in fields(ConvGeometry)}


@pytest.mark.parametrize("name", [name for name, body in STRUCTS.items() if re.search(r"conv2d|depthwise", name)])
def test_every_kernel_for_convolutions_has_it_in_front(name):
    first = STRUCTS[name].lstrip()
    assert first.startswith("int32_t in_h" if name in OWN else "mico_geometry size;"), first.splitlines()[0]


def test_no_other_struct_says_a_dilation():
    saying = {name for name, body in STRUCTS.items() if "dilation_h" in body}
    assert saying == {"mico_geometry", *OWN}
