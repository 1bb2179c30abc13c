"""`mico-run diff` of random files, judged by an oracle of its own: exact arithmetic on the text of the files."""

import io
import json
import math
import re
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from fractions import Fraction
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from mico_runner import cli

VALUES = st.one_of(
    *[st.integers(96, 104)] * 3,  # near the tolerances
    st.integers(-1000, 1000),
    st.floats(-100, 100, allow_nan=False).map(lambda v: round(v, 3)),
    st.sampled_from([0, -0.0, 1.7e308, -1.7e308, 5e-324, 10**300]),
)
ROTTEN = st.sampled_from(
    [math.nan, math.inf, -math.inf, None, "98.5", "", True, False, [], [1], {}, {"value": 1}, 10**400, "NaN"]
)
DIRECTIONS = {"a.lower": "lower", "b.higher": "higher", "c.info": "info", "d|`<b>`\n": "lower"}


def metric(name):
    return st.fixed_dictionaries(
        {"value": VALUES, "unit": st.just("count"), "direction": st.just(DIRECTIONS[name])},
        optional={
            "tolerance": st.sampled_from([0, 0.5, 3, "1%", "20 %", 1e308]),
            "volatile": st.sampled_from([False, False, True]),
        },
    )


@st.composite
def files(draw):
    """The text of a metrics.json; every other time with one thing wrong."""
    content = {name: draw(metric(name)) for name in DIRECTIONS if draw(st.integers(0, 5))}
    text = json.dumps(content)
    kind = draw(st.sampled_from(["whole"] * 12 + ["field", "direction", "unit", "extra", "twice", "other", "cut"]))
    name = draw(st.sampled_from(sorted(content))) if content else None
    if kind == "other":
        return draw(st.sampled_from(["", "[]", "null", "1", '"x"', "{]", "\ufeff{}", "[" * 100_000, "{} {}"]))
    if kind == "cut":
        return text[: draw(st.integers(0, len(text) - 1))]
    if name is None or kind == "whole":
        return text
    if kind == "field":
        content[name][draw(st.sampled_from(["value", "unit", "direction", "tolerance", "volatile"]))] = draw(ROTTEN)
    if kind == "direction":
        content[name]["direction"] = draw(st.sampled_from(["up", "Lower", "lower", "higher", "info"]))
    if kind == "unit":
        content[name]["unit"] = "ms"
    if kind == "extra":
        content[name]["tolerances"] = 5
    text = json.dumps(content)
    if kind == "twice":
        text = text.replace("{", '{"value": 1, ', 2).replace('{"value": 1, ', "{", 1)
    return text


def read(text):
    """The metrics, or None for a file that no run would write."""

    def pairs(found):
        if len({key for key, _ in found}) < len(found):
            raise ValueError
        return dict(found)

    try:
        content = json.loads(text, object_pairs_hook=pairs)
        return {name: checked(**fields) for name, fields in content.items()}
    except (ValueError, TypeError, AttributeError, RecursionError, OverflowError):
        return None


def checked(value, unit, direction="info", tolerance=0.0, volatile=False):
    numbers = [value] if isinstance(tolerance, str) else [value, tolerance]
    right = all(type(n) in (int, float) and math.isfinite(n) for n in numbers)
    right &= type(unit) is str and direction in ("lower", "higher", "info") and type(volatile) is bool
    right &= re.fullmatch(r"\d+(\.\d*)? ?%", tolerance) is not None if isinstance(tolerance, str) else tolerance >= 0
    if not right:
        raise ValueError
    return Fraction(value), unit, direction, tolerance, volatile


def verdicts(a, b):
    """(metrics that got worse for certain, those that did not for certain); what rounding decides is in neither."""
    worse, fine = set(), set()
    for name in a.keys() | b.keys():
        if name not in b:
            says = a[name][2] != "info" and not a[name][4]
            (worse if says else fine).add(name)
        elif name not in a or b[name][2] == "info" or (a[name][4] and b[name][4]):
            fine.add(name)
        else:
            before, now, tolerance = a[name][0], b[name][0], b[name][3]
            by = (now - before) * (1 if b[name][2] == "lower" else -1)
            share = (
                Fraction(tolerance.rstrip("% ")) / 100 * abs(before)
                if isinstance(tolerance, str)
                else Fraction(tolerance)
            )
            rounding = max(abs(before), abs(now)) * Fraction(2, 10**9)
            if by > share + rounding:
                worse.add(name)
            elif by <= share - rounding or by <= 0:
                fine.add(name)
    return worse, fine


def run(folder, *options):
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = cli.main(["diff", str(folder / "a"), str(folder / "b"), *options])
    return code, out.getvalue(), err.getvalue()


def strict(text):
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


@settings(max_examples=150, deadline=None)
@given(files(), files())
def test_nothing_worse_ever_ends_with_0(a_text, b_text):
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name, text in (("a", a_text), ("b", b_text)):
            (folder / name).mkdir()
            (folder / name / "metrics.json").write_text(text, encoding="utf-8")
        code, out, err = run(folder, "--json")
        table, markdown = run(folder), run(folder, "--markdown", "--all")
    assert code == table[0] == markdown[0] and code in (0, 1, 2)
    assert "Traceback" not in err and "unexpected" not in err
    a, b = read(a_text), read(b_text)
    if a is None or b is None or any(a[n][1:3] != b[n][1:3] for n in a.keys() & b.keys()):
        assert code == 2 and not out and err
        return
    worse, fine = verdicts(a, b)
    compared = bool(a.keys() & b.keys()) or not a.keys() | b.keys()
    if code == 2:
        assert not compared and not worse
        return
    found = strict(out)
    assert worse <= set(found["regressions"]) and not fine & set(found["regressions"])
    assert {row["name"] for row in found["rows"]} == a.keys() | b.keys()
    assert code == (1 if found["regressions"] else 0)
    assert len(markdown[1].splitlines()) == (4 + len(found["rows"]) if found["rows"] else 1)
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 9 for line in markdown[1].splitlines()[2:])
    assert not re.search(r"(?<!\\)`|<", markdown[1])
