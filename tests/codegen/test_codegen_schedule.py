"""Schedules of least memory: what they promise over random networks, and what they reach on published ones."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mico_runner.codegen.schedule.forms import Costs, Form
from mico_runner.codegen.schedule.network import Network, Operation, Tensor, of_graph
from mico_runner.codegen.schedule.path import Planner
from mico_runner.codegen.schedule.rows import order, stage
from mico_runner.graph import capture
from mico_runner.models import MODELS
from mico_runner.models.mcunet import VARIANTS
from mico_runner.ops.reach import ELEMENTWISE, Reach

KIB = 1024
Block = tuple[int, int, int, int]  # expansion, channels, stride, kernel


def of_shapes(side: int, stem: int, blocks: list[Block], caller: bool = True) -> Network:
    """Inverted residuals behind a stem of stride two, int8: what decides about memory and no more."""
    tensors = {"x": Tensor(3 * side * side, (side, side), caller)}
    operations: list[Operation] = []

    def add(source: str, channels: int, kernel: int, stride: int, depthwise: bool = False) -> str:
        before, size = tensors[source], tensors[source].size[0]
        out = -(-size // stride)
        per_pixel = before.bytes // size**2
        name = f"t{len(operations)}"
        products = out * out * channels * kernel**2 * (1 if depthwise else per_pixel)
        reach = Reach((kernel, kernel), (stride, stride), (kernel // 2, kernel // 2))
        operations.append(Operation(name, (source,), name, products, reach))
        tensors[name] = Tensor(channels * out * out, (out, out))
        return name

    y, ins = add("x", stem, 3, 2), stem
    for ratio, outs, stride, kernel in blocks:
        x = y
        y = add(y, ratio * ins, 1, 1) if ratio > 1 else y
        y = add(add(y, ratio * ins, kernel, stride, depthwise=True), outs, 1, 1)
        if stride == 1 and ins == outs:
            operations.append(Operation(f"s{y}", (x, y), f"s{y}", 0, ELEMENTWISE))
            tensors[f"s{y}"] = tensors[y]
            y = f"s{y}"
        ins = outs
    return Network("net", tuple(operations), tensors, (y,))


def mobilenet_v2(width: float, side: int) -> Network:
    def scaled(channels: int) -> int:
        return max(8, round(channels * width / 8) * 8)

    blocks = []
    for ratio, channels, depth, stride in (
        *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)),
        *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
    ):
        blocks += [(ratio, scaled(channels), 1 if i else stride, 3) for i in range(depth)]
    return of_shapes(side, scaled(32), blocks)


BARS = {  # KiB: row by row at no more products than layer by layer, as published for patches or better
    "mobilenet-v2": (lambda: mobilenet_v2(1.0, 224), 172),
    "mobilenet-v2-0.35": (lambda: mobilenet_v2(0.35, 144), 38),
    **{
        f"mcunet-{name}": (lambda v=VARIANTS[name]: of_shapes(v[1], v[0], list(v[2])), bar)
        for name, bar in (("in0", 14), ("in1", 28), ("in2", 108), ("in3", 122), ("in4", 142))
    },
}


QUICK = ("mobilenet-v2", "mobilenet-v2-0.35", "mcunet-in0", "mcunet-in1")


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.nightly) for n in BARS])
def test_published_networks_fit(name):
    network, bar = BARS[name][0](), BARS[name][1]
    planner = Planner(network)
    least = planner.least()
    assert least.macs == 1 and least.ram <= bar * KIB < planner.whole().ram
    assert [form.start for form in least.forms] == [0, *(form.stop for form in least.forms[:-1])]
    assert least.forms[-1].stop == len(network.operations)


def test_a_larger_limit_of_products_never_takes_more_memory():
    planner = Planner(of_shapes(48, 8, [(1, 8, 1, 3), (4, 16, 2, 3), (4, 16, 1, 3), (4, 24, 2, 5)]))
    found = [planner.least(limit) for limit in (1.0, 1.1, 1.25)]
    assert all(s.macs <= limit for s, limit in zip(found, (1.0, 1.1, 1.25), strict=True))
    assert found[0].ram > found[1].ram >= found[2].ram  # 1.1 is enough for strips to pay here


@st.composite
def small_networks(draw):
    """A few blocks of odd sizes; some sums read a tensor that other operations read, too."""
    blocks = draw(
        st.lists(
            st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 2), st.sampled_from([1, 3, 5])),
            min_size=1,
            max_size=3,
        )
    )
    return of_shapes(draw(st.integers(6, 13)), draw(st.integers(1, 3)), blocks, draw(st.booleans()))


@given(small_networks(), st.data())
@settings(max_examples=60)
def test_a_stage_reads_no_row_that_it_no_longer_has(network, data):
    """Rows run in the stated order, each line as a ring of the stated rows: every row is made once, and there when it is read."""
    count = len(network.operations)
    start = data.draw(st.integers(0, count - 1))
    stop = data.draw(st.integers(start + 1, count))
    found = stage(network, start, stop, network.last_reads())
    if found is None:
        return
    memory = [
        {row: row for row in range(-line.above, 0)} if not line.whole else dict.fromkeys(range(line.height))
        for line in found.lines
    ]
    over = {}  # rows of the tensor that the output is written over
    made = [0] * len(found.lines)
    for number, row in order(found):
        if row < 0:
            line = number - len(found.works)
            assert made[line] >= found.lines[line].height
        else:
            work = found.works[number]
            line = work.makes
            assert made[line] == row < found.lines[line].height
            for read in work.reads:
                wanted = range(row * read.step - read.above, row * read.step - read.above + read.extent)
                assert set(wanted) <= set(memory[read.line])
                if found.lines[read.line].tensor == found.in_place and found.lines[read.line].whole:
                    assert all(r >= over.get("next", 0) for r in wanted)
            if number == len(found.works) - 1:
                over["next"] = row + 1
        if not found.lines[line].whole:
            kept = sorted({*memory[line], made[line]})[-found.rows[line] :]
            memory[line] = dict.fromkeys(kept)
        made[line] += 1
    assert made[found.works[-1].makes] == found.lines[found.works[-1].makes].height


@given(small_networks())
@settings(max_examples=25)
def test_no_way_to_cut_a_network_takes_less(network):
    planner, costs, count = Planner(network), Costs(network), len(network.operations)
    last_reads = network.last_reads()

    def forms(start: int, stop: int) -> list[Form]:
        found = stage(network, start, stop, last_reads)
        return [*([costs.whole(start)] if stop == start + 1 else []), *([costs.rows(found)] if found else [])]

    best = [0] + [1 << 60] * count
    for stop in range(1, count + 1):
        for start in range(stop):
            for form in forms(start, stop):
                best[stop] = min(best[stop], max(best[start], form.ram))
    assert planner.least().ram == best[count]


def test_a_sum_and_a_depthwise_layer_lie_in_their_input():
    """An inverted residual of 16 x 16 x 8: its input, three rows of 32 channels, a row each of the others, and no output beside."""
    size = Tensor(16 * 16 * 8, (16, 16))
    wide = Tensor(16 * 16 * 32, (16, 16))
    tensors = {"x": Tensor(16 * 16 * 8, (16, 16), True), "a": size, "b": wide, "c": wide, "d": size, "e": size}
    window = Reach((3, 3), padding=(1, 1))
    operations = (
        Operation("stem", ("x",), "a", 1, window),
        Operation("expand", ("a",), "b", 1, Reach()),
        Operation("depthwise", ("b",), "c", 1, window),
        Operation("project", ("c",), "d", 1, Reach()),
        Operation("sum", ("a", "d"), "e", 0, ELEMENTWISE),
    )
    network = Network("net", operations, tensors, ("e",))
    costs = Costs(network)
    block = stage(network, 1, 5, network.last_reads())
    assert block is not None and block.in_place == "a"
    assert costs.rows(block).ram == size.bytes + 3 * 16 * 32 + 16 * 32 + 16 * 8
    alone = stage(network, 2, 3, network.last_reads())
    assert alone is not None and alone.in_place == "b"
    assert (
        costs.rows(alone).ram == size.bytes + wide.bytes + 3 * 16 * 32
    )  # three rows are copied before they are written over
    assert costs.whole(4).in_place in ("a", "d")


def test_what_is_read_later_is_whole():
    """A stage ends where a second tensor of it would be read behind it."""
    network = of_shapes(8, 2, [(2, 2, 1, 3)])
    last_reads = network.last_reads()
    assert stage(network, 0, 2, last_reads) is None  # the stem's output is an operand of the sum
    assert stage(network, 0, 5, last_reads) is not None


@pytest.mark.nightly
def test_a_captured_network_is_what_its_shapes_are():
    module = MODELS.get("mcunet")((3, 48, 48), 10).eval()
    network = of_graph(capture(module, (3, 48, 48), "mcunet"))
    side, stem, blocks = VARIANTS["in0"][1], VARIANTS["in0"][0], list(VARIANTS["in0"][2])
    assert Planner(network).least().ram == Planner(of_shapes(side, stem, blocks)).least().ram
    assert len(network.operations) == len(of_shapes(side, stem, blocks).operations) + 2  # pool and classifier
