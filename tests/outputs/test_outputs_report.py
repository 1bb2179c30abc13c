"""report.html: whole, self-contained, and only of what the version holds."""

import itertools
import re
from html.parser import HTMLParser

import example_version
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mico_runner import outputs
from mico_runner.outputs.report import figures, front
from mico_runner.outputs.report.labels import bits_of
from mico_runner.outputs.report.layers import owner
from mico_runner.outputs.report.page import render
from mico_runner.outputs.report.tables import bytes_text, number, with_shapes

STEPS = ("train", "fit", "evaluate", "search", "codegen", "simulate")
VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """Checks that elements close in order; collects headings and visible text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.headings, self.words = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)
        if not {"style", "script"} & set(self.open):
            self.words.append(data)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    version = example_version.make(tmp_path_factory.mktemp("outputs"), skipped=("profile",))
    with pytest.MonkeyPatch.context() as patch:
        legends = _legends(patch)
        return version, render(version), legends


def test_a_whole_version_shows_all_sections(whole):
    version, text, _ = whole
    assert Page(text).headings == [
        "1 broken gate",
        "Not everything ran",
        "What was asked",
        "What can be had: accuracy against cost",
        "Bits of each layer",
        "Predicted and measured latency",
        "Accuracy before and after",
        "Which kernel each layer gets",
        "Memory",
        "All metrics",
        "Steps and environment",
    ]
    assert outputs.write_report(version, version.parent / "page.html").stat().st_size < 1_000_000


def test_the_page_needs_no_other_file(whole):
    _, text, _ = whole
    links = re.findall(r"""(?:href|src)\s*=\s*["']([^"']*)|url\(([^)]*)\)""", text)
    assert links and all((a or b).startswith(("#", "data:")) for a, b in links)
    assert "@import" not in text and "fetch(" not in text and text.count("<script") == 2


def test_the_same_version_gives_the_same_page(whole):
    version, text, _ = whole
    assert render(version) == text


def test_ids_in_figures_do_not_clash(whole):
    _, text, _ = whole
    targets = set(re.findall(r'href="#([^"]+)"', text)) | set(re.findall(r"url\(#([^)]+)\)", text))
    for target in targets:
        assert text.count(f'id="{target}"') == 1, target


def test_figures_that_matter_are_in_words(whole):
    text = " ".join(" ".join(Page(whole[1]).words).split())
    for words in (
        "98.71 %",  # accuracy of the C program
        "float 99.07 %, −0.36 points",
        "24.3 % conv2d, shapes not seen in training; in-sample 0.55 %",
        "in-sample (training rows)",
        "latency ≤ 0.5 × int8; accuracy at most 0.5 points below float",
        "6 952 B",
        "no board to count code for",
        "arena, input, output; no board to count stack for",
        "0 differ",
        "The same network at random bits",
        "within 5 %",
        "gcc is missing; apt-get install gcc",
    ):
        assert words in text, words


@pytest.mark.parametrize("steps", [(), *((step,) for step in STEPS), *itertools.combinations(STEPS[2:], 2)])
def test_any_part_of_a_run_can_be_shown(tmp_path, steps):
    text = render(example_version.make(tmp_path, steps=steps))
    headings = Page(text).headings
    assert ("Memory" in headings) == ("codegen" in steps)
    assert ("Bits of each layer" in headings) == ("search" in steps)


def test_the_data_cannot_break_the_page(tmp_path, monkeypatch):
    monkeypatch.setitem(example_version.SPEC, "description", "<script>alert(1)</script> & more")
    text = render(example_version.make(tmp_path, steps=("train",)))
    assert "<script>alert" not in text and "&lt;script&gt;" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234567, "1\u2009234\u2009567"),
        (0.123456, "0.1235"),
        (3.0, "3"),
        (98.765, "98.77"),
        (None, "–"),
        (1e-9, "1e-09"),
    ],
)
def test_numbers(value, text):
    assert number(value) == text


def test_bytes():
    assert (bytes_text(812), bytes_text(45056)) == ("812 B", "44.0 KiB")


def test_layers_are_named_with_their_shapes():
    about = pd.DataFrame(
        {"layer": ["conv", "0"], "in_shape": ["(1, 28, 28)", (9,)], "out_shape": ["(6, 24, 24)", (10,)]}
    )
    rows = with_shapes(pd.DataFrame({"layer": ["conv", 0, "new"], "bits": [2, 4, 8]}), about)
    assert list(rows) == ["layer", "shape", "bits"]
    assert list(rows["shape"]) == ["1 × 28 × 28 → 6 × 24 × 24", "9 → 10", ""]
    assert with_shapes(rows[["bits"]], about) is not None and "shape" not in with_shapes(rows[["layer"]], None)


def test_what_a_search_has_learnt_of_the_layers_is_drawn():
    rows = [
        {"layer": layer, "weight_bits": bits, "act_bits": 8, "loss": 0.5 / bits}
        for layer in ("fc<1>", "conv2")
        for bits in (2, 1.5, 8)
        if (layer, bits) != ("conv2", 8)
    ]
    drawn = str(front.sensitivity(pd.DataFrame(rows)))
    assert "fc&lt;1&gt;" in drawn and "conv2" in drawn and "fc<1>" not in drawn
    assert all(f">{text}</text>" in drawn for text in ("w2 a8", "w1.5 a8", "w8 a8", "0.25", "0.33", "0.062"))
    assert drawn.count(">0.062</text>") == 1  # conv2 has no such choice


def test_series_are_told_apart_without_their_colours(whole):
    assert len(whole[2]) > 6
    for looks in whole[2]:
        assert len(set(looks)) == len(looks), looks


def _legends(patch):
    """What the entries of each legend that is drawn from now on look like."""
    seen, drawn = [], Figure.savefig

    def looked_at(figure, *args, **options):
        legends = [legend for ax in figure.axes if (legend := ax.get_legend())]
        seen.extend([_look(handle) for handle in legend.legend_handles] for legend in legends)
        return drawn(figure, *args, **options)

    patch.setattr(Figure, "savefig", looked_at)
    return seen


def _look(handle):
    """All of a legend's entry but its colour."""
    if isinstance(handle, Line2D):
        return "line", handle.get_marker(), str(handle.get_linestyle()), handle.get_xdata()[0] == handle.get_xdata()[-1]
    if isinstance(handle, PathCollection):
        return "points", handle.get_paths()[0].vertices.tobytes(), tuple(handle.get_sizes())
    return "area", handle.get_hatch()


def test_marks_say_what_they_are_and_cannot_break_the_page():
    def draw(ax):
        ax.scatter([1], [2], urls=[figures.mark('<b>"1" & 2</b>\nnext', "a.'b'")])
        ax.scatter([1, 2], [2, 3], urls=[figures.mark("x"), figures.mark("y")])

    text = figures.svg("tried", (2, 2), draw)
    assert (
        'role="button" data-layer="a.&#x27;b&#x27;" aria-label="&lt;b&gt;&quot;1&quot; &amp; 2&lt;/b&gt;&#10;next"'
        in text
    )
    assert (
        text.count('class="mark"') == 3 and text.count('role="img"') == 2 and "mark:" not in text and "<a " not in text
    )


def test_bits_of_a_point_and_owners_of_buffers():
    row = {"order": 3, "a.w": 2.0, "a.a": 8.0, "b.w": 1.5, "b.a": 4.0, "c.w": 2.0, "c.a": 8.0}
    assert bits_of(row) == "w2 a8: a, c\nw1.5 a4: b"
    layers = ["conv1", "conv1.down", "i"]
    names = ("conv1_out", "conv1_down.scratch", "conv1.down_out", "in", "input_to4_out")
    assert [owner(name, layers) for name in names] == ["conv1", "conv1.down", "conv1.down", "", ""]
