"""Profiles become kernel tables: what M, K and N mean is the catalog's to say, and all that is wrong in a file has line and column."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mico_runner import hardware, paths
from mico_runner.data import catalog, load_profile, profile_csv
from mico_runner.errors import UsageError
from mico_runner.kernel_table import COLUMNS, KINDS, NEEDED, SHAPE, kernel_table

needs_mirror = pytest.mark.skipif(not os.environ.get("MICO_DATA_MIRROR"), reason="MICO_DATA_MIRROR is not set")
GOOD = "kind,in_channels,out_channels,act_bits,weight_bits,latency_ns\nlinear,10,20,8,8,300\nlinear,10,20,4,8,200.5\n"
CONV = (
    "kind,in_channels,out_channels,in_h,in_w,kernel_h,kernel_w,stride,groups,act_bits,weight_bits,latency_ns\n"
    "conv2d,8,4,16,16,3,3,1,1,8,4,7144\nconv2d,8,4,16,16,3,3,1,2,8,8,9192\n"
)
DEVICE = {"name": "chip", "kind": "cpu", "latency_unit": "ns", "weight_bits": [1.5, 4, 8], "activation_bits": [8]}


@pytest.fixture
def write(tmp_path):
    def written(content: str | bytes) -> Path:
        path = tmp_path / "mine.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


def refused(path: Path, device=None) -> str:
    with pytest.raises(UsageError) as error:
        profile_csv.read(path, device)
    assert all(line.startswith(str(path)) for line in str(error.value).split("\n"))
    if device is None:
        with pytest.raises(UsageError) as again:
            load_profile(str(path))
        assert str(again.value) == str(error.value), "validate and the step that reads the file must agree"
    return str(error.value)


@needs_mirror
def test_m_is_the_reduction_on_bitfusion_and_the_outputs_on_riscv():
    """Fashion: 784 inputs exist in neither, but the zoo's first layer has 10 outputs of 32 inputs on both devices."""
    bitfusion, riscv = load_profile("bitfusion/matmul-zoo"), load_profile("mico-small/matmul-zoo")
    shapes = [set(zip(t["in_channels"], t["out_channels"], strict=True)) for t in (bitfusion, riscv)]
    assert (32, 10) in shapes[1] and (10, 32) in shapes[0]
    assert set(bitfusion["batch"]) == {16} and set(riscv["batch"]) == {1}


@needs_mirror
def test_the_unlisted_stride_column():
    table = load_profile("bitfusion/conv2d-samples")
    assert len(table) == 1125 and set(table["stride"]) == {1, 2} and set(table["batch"]) == {16}
    first = table.iloc[0]
    assert (first["in_h"], first["stride"], first["out_h"], first["latency"]) == (64, 2, 32, 16786176)
    assert set(load_profile("mico-high/bitconv2d-test")["stride"]) == {1}


@needs_mirror
def test_profiles_of_one_unit_are_joined():
    table = load_profile(["mico-small/conv2d-zoo", "mico-small/max-pool2d", "mico-small/matmul-zoo"])
    assert list(table["dataset"].unique()) == [
        "mico-small/conv2d-zoo",
        "mico-small/max-pool2d",
        "mico-small/matmul-zoo",
    ]
    assert table.attrs["unit"] == "cycles" and set(COLUMNS) <= set(table) and len(table) == 736 + 72 + 99


def test_a_users_file_says_its_unit(write):
    table = load_profile(str(write(GOOD)))
    assert table.attrs["unit"] == "ns" and table.attrs["warnings"] == []
    assert table["latency"].tolist() == [300, 200.5] and table["macs"].tolist() == [200, 200]


def test_units_are_not_mixed(tmp_path):
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    one.write_text(GOOD)
    two.write_text(GOOD.replace("latency_ns", "latency_cycles"))
    with pytest.raises(UsageError, match="different units"):
        load_profile([str(one), str(two)])


FORMS = {
    "byte-order mark": b"\xef\xbb\xbf" + GOOD.encode(),
    "CR LF": GOOD.replace("\n", "\r\n").encode(),
    "CR": GOOD.replace("\n", "\r").encode(),
    "quotes": "\n".join(",".join(f'"{v}"' for v in line.split(",")) for line in GOOD.split("\n") if line).encode(),
    "spaces": GOOD.replace(",", " , ").encode(),
    "quotes and spaces": GOOD.replace("linear", '  "linear" ').encode(),
    "trailing commas": GOOD.replace("\n", ",,\n").encode(),
    "commas behind the rows": GOOD.replace("00\n", "00,,\n").encode(),
    "empty lines": GOOD.replace("\n", "\n\n,,,,,\n \n").encode(),
    "no last line end": GOOD.rstrip().encode(),
    "whole numbers as floats": GOOD.replace("10,20", "10.0,2e1").encode(),
    "columns in another order": "\n".join(",".join(reversed(line.split(","))) for line in GOOD.split()).encode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_the_same_file(write, form):
    found = load_profile(str(write(FORMS[form])))
    assert found.equals(load_profile(str(write(GOOD)))[list(found)])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("linear,10,20,4", "linear,ten,20,4", r":3:8: in_channels: found 'ten'; allowed: a whole number from 1"),
        ("4,8,200.5", "4,8,-1", r":3:18: latency_ns: found '-1'; allowed: a number from"),
        ("4,8,200.5", "4,8,nan", r":3:18: latency_ns: found 'nan'"),
        ("4,8,200.5", "4,8,inf", r":3:18: latency_ns: found 'inf'"),
        ("4,8,200.5", "4,8,0", r":3:18: latency_ns: found '0'"),
        ("4,8,200.5", "4,8,1e300", r":3:18: latency_ns: found '1e300'"),
        ("4,8,200.5", "4,8,1e999", r":3:18: latency_ns: found '1e999'"),
        ("4,8,200.5", "4,8,1_0", r":3:18: latency_ns: found '1_0'"),
        ("4,8,200.5", '4,8,"200,5"', r":3:18: latency_ns: found '200,5'; allowed: .* decimal point"),
        ("4,8,200.5", "4,8,200,5", r":3:1: found 7 values; allowed: 6.* decimal point"),
        ("4,8,200.5", "4,8", r":3:1: found 5 values; allowed: 6"),
        ("4,8,200.5", "4,8,", r":3:18: latency_ns: found ''"),
        ("4,8,200.5", '4,8,"200.5', r":3:18: a quote that nothing closes"),
        ("linear,10,20,4", "liner,10,20,4", r":3:1: kind: found 'liner'; allowed: .*did you mean 'linear'"),
        ("linear,10,20,4", "linear,0,20,4", r":3:8: in_channels: found '0'"),
        ("linear,10,20,4", "linear,10.5,20,4", r":3:8: in_channels: found '10.5'"),
        ("linear,10,20,4", "linear,4294967296,20,4", r":3:8: in_channels: found '4294967296'"),
        ("linear,10,20,4", f"linear,{'9' * 5000},20,4", r":3:8: in_channels: found '99"),
        ("linear,10,20,4", "linear,2e9,2e9,4", r":3:8: in_channels: found a kernel of 4e\+18 MACs"),
        ("linear,10,20,4", "linear,١٠,20,4", r":3:8: in_channels: found '١٠'"),
        ("linear,10,20,4,8", "linear,10,20,4,100", r":3:16: weight_bits: found 100; allowed: 1, 2, 3"),
        ("linear,10,20,4,8", "linear,10,20,4,0", r":3:16: weight_bits: found 0; allowed: 1, 2, 3"),
        ("linear,10,20,4,8", "linear,10,20,4,1.5", r":3:16: weight_bits: found '1.5'"),
        ("latency_ns", "time", r":1:1: found no latency; allowed: one column.*\n.*mine.csv:1:52: time: unknown column"),
        ("latency_ns", "latency_s", r":1:1: found latency_s; allowed: one column .*did you mean"),
        ("latency_ns", "latency", r":1:1: found no latency"),
        ("kind,", "knd,", r":1:1: knd: unknown column; .*did you mean 'kind'"),
        ("out_channels", "out_chanels", r":1:18: out_chanels: unknown column.*did you mean 'out_channels'"),
        ("weight_bits", "w_bits", r":1:40: w_bits: unknown column.*did you mean 'weight_bits'"),
        ("weight_bits", "act_bits", r":1:40: act_bits: the column is there twice"),
        ("weight_bits", "", r":1:40: found a column without a name"),
        ("linear,10,20,8", "linear\0,10,20,8", r":2:7: found a NUL byte"),
    ],
)
def test_what_is_wrong_has_line_and_column(write, old, new, message):
    assert re.search(r"mine\.csv" + message, refused(write(GOOD.replace(old, new, 1))))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "8,4,16,16,3,3,1,1",
            "8,4,2,16,3,3,1,1",
            r":2:17: kernel_h: found 3; allowed: at most in_h, the padded input, .* 2",
        ),
        ("8,4,16,16,3,3,1,1", "8,4,16,16,3,3,1,3", r":2:24: groups: found 3; allowed: a divisor of"),
        (
            "conv2d,8,4,16,16,3,3,1,1",
            "depthwise,8,4,16,16,3,3,1,8",
            r":2:13: out_channels: found 4; allowed: in_channels",
        ),
        ("conv2d,8,4,16,16,3,3,1,1", "depthwise,8,8,16,16,3,3,1,4", r":2:27: groups: found 4; allowed: in_channels"),
        ("conv2d,8,4,16,16,3,3,1,1", "linear,8,4,1,1,3,1,1,1", r":2:16: kernel_h: found 3; allowed: 1, as linear"),
        (
            "conv2d,8,4,16,16,3,3,1,1,8,4",
            "max_pool2d,8,8,16,16,3,3,1,1,8,4",
            r":2:32: weight_bits: found 4; allowed: 0",
        ),
        (
            "conv2d,8,4,16,16,3,3,1,1,8,4",
            "max_pool2d,8,4,16,16,3,3,1,1,8,0",
            r":2:14: out_channels: found 4; allowed: in_ch",
        ),
        ("conv2d,8,4,16,16,3,3,1,1,8,4", "add,8,8,16,16,3,3,1,1,8,0", r":2:15: kernel_h: found 3; allowed: 1, as add"),
    ],
)
def test_a_kernel_that_cannot_be_is_named(write, old, new, message):
    assert re.search(r"mine\.csv" + message, refused(write(CONV.replace(old, new, 1))))


def test_derived_columns_agree_with_the_shape(write):
    """A padded size that was not: out_h tells."""
    header, *rows = CONV.strip().split("\n")
    path = write("\n".join([header + ",out_h", *(f"{row},16" for row in rows)]))
    assert "mine.csv:2:35: out_h: found 16; allowed: 14" in refused(path)
    assert "(1 more row is wrong there)" in refused(path)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_says_the_columns_it_needs(write, kind):
    header = ["kind", *NEEDED[kind], "weight_bits"]
    columns = list(dict.fromkeys(header))
    values = dict.fromkeys(columns, "4") | {"kind": kind, "stride": "1"}
    values["weight_bits"] = "8" if "weight_bits" in NEEDED[kind] else "0"
    profile_csv.read(write(f"{','.join(columns)},latency_ns\n{','.join(values[c] for c in columns)},5"))
    for name in NEEDED[kind]:
        kept = [c for c in columns if c != name]
        path = write(f"{','.join(kept)},latency_ns\n{','.join(values[c] for c in kept)},5")
        assert f":1:1: missing: {name}; {kind} needs the columns {', '.join(NEEDED[kind])}" in refused(path)


def test_the_device_says_unit_bits_and_batch(write):
    device = hardware.load(DEVICE)
    assert profile_csv.read(write(CONV), device).unit == "ns"
    profile_csv.read(write(CONV.replace(",8,8,9192", ",8,2,9192")), device)  # ternary weights are stored as 2 bits
    assert "weight_bits: found 5; allowed: 2, 4, 8, the weight bits of chip" in refused(
        write(CONV.replace(",8,8,9192", ",8,5,9192")), device
    )
    assert "act_bits: found 4; allowed: 8, the act bits of chip" in refused(
        write(CONV.replace(",8,8,9192", ",4,8,9192")), device
    )
    assert "found latency_ns; allowed: one column latency_cycles, as chip counts" in refused(
        write(CONV), hardware.load(DEVICE | {"latency_unit": "cycles"})
    )
    assert "missing: batch, the samples per call, of which chip takes 16" in refused(
        write(CONV), hardware.load(DEVICE | {"batch": 16})
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", ":1:1: found ''; allowed: a line that names the columns"),
        (GOOD.split("\n")[0], ":1:1: found no rows"),
        (GOOD.split("\n", 1)[1], ":1:1: found 'linear,10,20,8,8,300'; allowed: a line that names the columns"),
        (GOOD.replace(",", ";"), ":1:5: found ';' between the columns; allowed: ','"),
        (GOOD.replace(",", "\t"), ":1:5: found '\\t' between the columns"),
        (GOOD.encode("utf-16"), ":1:1: found UTF-16 text; allowed: UTF-8"),
        (GOOD.encode("utf-16-le"), ":1:2: found a NUL byte"),
        (GOOD.encode("utf-32"), ":1:1: found UTF-32 text"),
        (
            GOOD.replace("linear,10,20,4", "lin\xe9ar,10,20,4").encode("latin-1"),
            ":3:4: found the byte 0xe9, which is not UTF-8",
        ),
        (b"\x89PNG\r\n\x1a\n\0\0", ":1:1: found the byte 0x89"),
        (GOOD + "x" * 1_000_000, ":4:1: found 1 values; allowed: 6"),
        (
            "kind," + ",".join(f"kernel{i}" for i in range(200_000)) + "\n",
            ":1:1: found 200001 columns; allowed: kind, batch",
        ),
        (b"\x1f\x8b\x08\0garbage", ": not a complete gzip file"),
    ],
)
def test_files_of_another_form(write, content, message):
    assert message in refused(write(content))


def test_what_is_no_file_does_not_hang(tmp_path):
    fifo = tmp_path / "pipe.csv"
    os.mkfifo(fifo)
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "device.csv").symlink_to("/dev/zero")
    (tmp_path / "nowhere.csv").symlink_to("/nowhere")
    assert "found a pipe, socket or device; allowed: a file" in refused(fifo)
    assert "found a folder; allowed: a file" in refused(tmp_path / "folder.csv")
    assert "found a pipe, socket or device" in refused(tmp_path / "device.csv")
    assert "cannot be read: No such file" in refused(tmp_path / "nowhere.csv")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_may_not_be_read(write):
    path = write(GOOD)
    path.chmod(0)
    assert "cannot be read: Permission denied" in refused(path)


def test_thousands_of_wrong_rows_are_said_once_per_column(write):
    header, row, *_ = GOOD.split("\n")
    found = refused(write("\n".join([header, *[row.replace("10,20", "-1,x")] * 5000])))
    assert found.count("\n") == 1 and found.count("(4999 more rows are wrong there)") == 2


def test_one_kernel_with_two_latencies_is_a_warning(write):
    header, row, other = GOOD.strip().split("\n")
    (warning,) = profile_csv.read(write("\n".join([header, row, other, row.replace("300", "700")]))).warnings
    assert str(warning).endswith(
        "1 kernel is listed repeatedly with latencies more than 10% apart; the worst by a factor of 2.33, lines 2 and 4"
    )
    assert profile_csv.read(write("\n".join([header, row, row.replace("300", "310")]))).warnings == []
    assert load_profile(str(write("\n".join([header, row, row.replace("300", "700")])))).attrs["warnings"]


def test_a_latency_that_work_cannot_explain_is_a_warning(write):
    rows = [f"linear,{n},20,8,8,{300 * n}" for n in range(1, 50)]
    (warning,) = profile_csv.read(write("\n".join([GOOD.split("\n")[0], *rows, "linear,60,20,8,8,5e12"]))).warnings
    assert "linear: latency per unit of work differs by a factor of" in str(warning) and str(warning).endswith("and 51")


def test_shipped_profiles_have_no_warnings():
    names = [name for name in catalog.names("kernel_profile") if all(f.shipped for f in catalog.entry(name).files)]
    assert len(names) > 10
    for name in names:
        for file in catalog.entry(name).files:
            assert profile_csv.read(paths.shipped("datasets") / file.path).warnings == [], file.path


def test_reading_a_profile_needs_no_heavy_package(write):
    code = "import sys; from pathlib import Path; from mico_runner.data import profile_csv;"
    code += f"profile_csv.read(Path({str(write(GOOD))!r})); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"pandas", "numpy", "torch"} & set(loaded)


def test_rules_accept_what_the_kernel_table_makes():
    """A table that is written and read again is the same: derived columns, defaults and all."""
    assert set(NEEDED) == set(KINDS)
    for needed in NEEDED.values():
        assert set(needed) <= {*SHAPE, "act_bits", "weight_bits"}
    row = {"kind": "conv2d", "in_channels": 6, "out_channels": 4, "in_h": 9, "in_w": 7, "kernel_h": 3, "kernel_w": 2}
    table = kernel_table([row | {"stride": 2, "groups": 2, "act_bits": 8, "weight_bits": 4}])
    assert table["macs"].tolist() == [4 * 3 * 4 * 3 * 3 * 2]


@given(st.text(st.characters(codec="utf-8"), max_size=200))
@settings(max_examples=60, deadline=None)
def test_any_text_gives_a_usage_error_or_a_table(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("any") / "x.csv"
    path.write_text(GOOD + text, encoding="utf-8")
    try:
        assert len(load_profile(str(path)))
    except UsageError as error:
        assert "x.csv" in str(error)
