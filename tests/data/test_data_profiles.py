"""Profiles become kernel tables: what M, K and N mean is the catalog's to say, and malformed rows are named by file and line."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mico_runner.data import load_profile
from mico_runner.errors import UsageError
from mico_runner.kernel_table import COLUMNS

needs_mirror = pytest.mark.skipif(not os.environ.get("MICO_DATA_MIRROR"), reason="MICO_DATA_MIRROR is not set")
GOOD = "kind,in_channels,out_channels,act_bits,weight_bits,latency_ns\nlinear,10,20,8,8,300\nlinear,10,20,4,8,200.5\n"


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


def test_a_users_file_says_its_unit(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(GOOD)
    table = load_profile(str(path))
    assert (
        table.attrs["unit"] == "ns"
        and table["latency"].tolist() == [300, 200.5]
        and table["macs"].tolist() == [200, 200]
    )


def test_units_are_not_mixed(tmp_path):
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    one.write_text(GOOD)
    two.write_text(GOOD.replace("latency_ns", "latency_cycles"))
    with pytest.raises(UsageError, match="different units"):
        load_profile([str(one), str(two)])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("linear,10,20,4", "linear,ten,20,4", r":3: in_channels is 'ten'"),
        ("4,8,200.5", "4,8,-1", r":3: latency is '-1'"),
        ("4,8,200.5", "4,8,nan", r":3: latency is 'nan'"),
        ("4,8,200.5", "4,8", r":3: 5 values, expected 6"),
        ("linear,10,20,4", "liner,10,20,4", r":3: kind is 'liner'"),
        ("linear,10,20,4", "linear,0,20,4", r":3: in_channels is '0'"),
        ("linear,10,20,4", "linear,10.5,20,4", r":3: in_channels is '10.5'"),
        ("latency_ns", "time", r":1: one latency column is needed"),
        ("kind,", "knd,", r":1: column 'kind' is missing"),
    ],
)
def test_malformed_rows_are_named(tmp_path, old, new, message):
    path = tmp_path / "bad.csv"
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(UsageError, match=message):
        load_profile(str(path))


def test_a_kernel_larger_than_its_input_is_named(tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text("kind,in_h,kernel_h,latency_ns\nconv2d,5,3,10\nconv2d,2,3,10\n")
    with pytest.raises(UsageError, match=r"bad.csv:3: the kernel is larger"):
        load_profile(str(path))


@given(st.text(st.characters(codec="utf-8"), max_size=200))
@settings(max_examples=60, deadline=None)
def test_any_text_gives_a_usage_error_or_a_table(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("any") / "x.csv"
    path.write_text("kind,in_channels,latency_ns\n" + text, encoding="utf-8")
    try:
        assert len(load_profile(str(path)))
    except UsageError as error:
        assert "x.csv" in str(error)
