"""Subgraph latencies: what the file leaves out is recovered, what is wrong in it is named with its line."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mico_runner.data import subgraphs
from mico_runner.errors import UnknownName, UsageError

needs_mirror = pytest.mark.skipif(not os.environ.get("MICO_DATA_MIRROR"), reason="MICO_DATA_MIRROR is not set")


def rows(**changes) -> pd.DataFrame:
    """One linear layer, 10 to 5 with bias, batch 2, at two precisions."""
    base = dict.fromkeys(subgraphs.COLUMNS, "x") | {"batch": 2, "subgraph_id": 0, "n_nodes": 1, "flops": 200}
    base |= {
        "peak_flops": 1e12,
        "lat_mean_ms": 2.0,
        "lat_std_ms": 0.1,
        "lat_min_ms": 1.0,
        "lat_max_ms": 11.0,
        "samples": 10,
    }
    two = [base | {"precision": p, "bytes": 2 * 15 * 4 + 55 * size} for p, size in (("fp32", 4), ("fp16", 2))]
    return pd.DataFrame(two).assign(**changes)


def write(folder: Path, table: pd.DataFrame) -> Path:
    table.to_csv(folder / "rows.csv", index=False)
    return folder / "rows.csv"


def test_weights_and_activations_come_back_from_the_bytes_at_two_precisions(tmp_path):
    table = subgraphs.read_subgraphs(write(tmp_path, rows()))
    assert table["weights"].tolist() == [55, 55] and table["activations"].tolist() == [15, 15]


def test_robust_mean_leaves_out_the_longest_sample(tmp_path):
    table = subgraphs.read_subgraphs(write(tmp_path, rows()))
    np.testing.assert_allclose(subgraphs.robust_mean_ms(table), 1.0)  # (2 ms x 10 - 11 ms) / 9


def test_a_column_of_weights_makes_one_precision_enough(tmp_path):
    table = subgraphs.read_subgraphs(write(tmp_path, rows().iloc[:1].assign(weights=55)))
    assert table["weights"].tolist() == [55] and table["activations"].tolist() == [15]
    with pytest.raises(UsageError, match=r"rows.csv:2: 86 weights of 4 bytes are more than bytes, which is 340"):
        subgraphs.read_subgraphs(write(tmp_path, rows().iloc[:1].assign(weights=86)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lat_mean_ms": [2.0, -1.0]}, r"rows.csv:3: lat_mean_ms is -1.0"),
        ({"precision": "fp32"}, r"rows.csv:3: the subgraph is there already"),
        ({"precision": ["fp32", "int8"]}, r"rows.csv:2: weights unknown"),
        ({"bytes": [100, 340]}, "do not give one number of weights"),
    ],
)
def test_a_damaged_file_is_refused_with_its_line(tmp_path, changes, message):
    with pytest.raises(UsageError, match=message):
        subgraphs.read_subgraphs(write(tmp_path, rows(**changes)))


def test_a_missing_column_is_named(tmp_path):
    with pytest.raises(UsageError, match="'flops' is missing"):
        subgraphs.read_subgraphs(write(tmp_path, rows().drop(columns="flops")))


def test_a_profile_of_another_kind_is_refused():
    with pytest.raises(UnknownName, match="subgraph_profile"):
        subgraphs.load_subgraphs("mico-small/matmul-zoo")


@needs_mirror
def test_published_rows_agree_across_devices_precisions_and_batches():
    table = subgraphs.load_subgraphs()
    assert len(table) == 16179
    assert table.groupby(["model", "subgraph_id"])["activations"].nunique().max() == 1
    whole = (
        table[(table["hardware"] == "jetson_orin_agx_maxn") & (table["precision"] == "fp32")]
        .groupby("model")["weights"]
        .sum()
    )
    assert whole["resnet18"] == 11_689_512  # torchvision's published number of parameters
    assert whole["vgg16"] == 138_357_544
