"""Tables in text files: inputs, targets, facts; what is missing or no number is named by line and column."""

import gzip

import numpy as np
import pytest

from mico_runner.data import table
from mico_runner.errors import UsageError

TEXT = """size,weight,colour,who,class
1.5,2,red,ann,b
-3,4e2,blue,bob,a
0,.5,red,ann,c
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_columns_of_numbers_are_inputs_and_the_rest_are_facts(file):
    train, test = table.load([file], "class")
    assert test is None
    np.testing.assert_array_equal(train.inputs, np.array([[1.5, 2], [-3, 400], [0, 0.5]], np.float32))
    assert train.inputs.dtype == np.float32
    assert train.targets.tolist() == [1, 0, 2] and train.targets.dtype == np.int64, "in the order of the names"
    assert {name: values.tolist() for name, values in train.about.items()} == {
        "colour": ["red", "blue", "red"],
        "who": ["ann", "bob", "ann"],
    }


def test_columns_can_be_chosen_and_targets_many(file):
    train, _ = table.load([file], "class", ["weight"])
    assert train.inputs[:, 0].tolist() == [2, 400, 0.5]
    assert train.about["size"].tolist() == ["1.5", "-3", "0"]
    file.write_text("a,b,c\n1,2,3\n4,5,6.5\n")
    train, _ = table.load([file], ["c", "a"])
    assert train.targets.dtype == np.float32 and train.targets.tolist() == [[3, 1], [6.5, 4]]


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        ("3 1 2", np.int64, [3, 1, 2]),
        ("3.0 1 2", np.int64, [3, 1, 2]),
        ("3.5 1 2", np.float32, [3.5, 1, 2]),
        ("z a a", np.int64, [1, 0, 0]),
        ("none 1st 2nd", np.int64, [2, 0, 1]),
    ],
)
def test_targets_are_of_their_natural_type(file, cells, kind, values):
    file.write_text("x,y\n" + "".join(f"1,{cell}\n" for cell in cells.split()))
    train, _ = table.load([file], "y")
    assert train.targets.dtype == kind and train.targets.tolist() == values


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_forms_of_text(file, end):
    text = '\ufeffx; y ;"a ; b"\n\n1; 2;"3"\n  \n4;5;6\n'
    file.write_bytes(gzip.compress(text.replace("\n", end).encode()))
    train, _ = table.load([file], "y", delimiter=";")
    assert train.inputs.tolist() == [[1, 3], [4, 6]] and train.targets.tolist() == [2, 5]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("4e2", "", ":3: column 'weight': found nothing; allowed: a number, at most 3.4e+38"),
        ("4e2", "heavy", ":3: column 'weight': found 'heavy'; allowed: a number"),
        (",2,", ",nan,", ":2: column 'weight': found 'nan'; allowed: a number"),
        ("4e2", "1e39", ":3: column 'weight': found '1e39'; allowed: a number"),
        ("4e2", "9" * 400, "found '9999"),
        ("4e2", "1_0", "found '1_0'"),
        ("4e2", "x\n.5,x", "allowed: 5, as many as columns"),
        ("bob,a", "bob,", ":3: column 'class': found nothing; allowed: the name of a class"),
        ("bob,a", "bob", ":3: found 4 cells; allowed: 5, as many as columns"),
        ("bob,a", "bob,a,b", ":3: found 6 cells; allowed: 5, as many as columns"),
        ("weight", "size", ":1: found the columns size, size, colour, who, class; allowed: a name each"),
        ("weight", "", ":1: found the columns size, , colour, who, class; allowed: a name each"),
        ("weight", '"wei', ": unexpected end of data; allowed: cells as CSV has them"),
        ("bob", '"b"ob', ":3: ',' expected after '\"'; allowed: cells as CSV has them"),
        ("bob", "b" * 200_000, ":3: field larger than field limit"),
        (TEXT, "", ":1: found the columns nothing; allowed: a name each"),
        (TEXT, "x,class\n", ": found no line below the names of the columns"),
        (TEXT, "x,class\na,b\n", ": found no column of numbers beside the target"),
    ],
)
def test_what_is_wrong_has_its_line_and_column(file, old, new, message):
    file.write_text(TEXT.replace(old, new, 1))
    with pytest.raises(UsageError) as caught:
        table.load([file], "class")
    assert message in str(caught.value) and str(file) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"target": "clas"}, "target: found 'clas'; allowed: columns of .*; did you mean 'class'"),
        ({"target": ["size", "size"]}, "target: found 'size'; allowed: columns of"),
        (
            {"target": ["size", "colour"]},
            "column 'colour': found 'red' .and 2 others in this column.; allowed: a number",
        ),
        ({"target": "class", "columns": ["size", "wait"]}, "columns: found 'wait'; allowed: columns of"),
        ({"target": "class", "columns": ["size", "class"]}, "columns: found 'class', the target; allowed: other"),
        ({"target": "class", "columns": ["who"]}, "column 'who': found 'ann' .and 2 others"),
        ({"target": "class", "delimiter": ";"}, "target: found 'class'; allowed: columns of .*, size,weight"),
    ],
)
def test_columns_that_are_not_there(file, params, message):
    with pytest.raises(UsageError, match=message):
        table.load([file], **params)


@pytest.mark.parametrize("raw", [b"x,y\n\xff,1\n", b"x,y\n\0,1\n", "x,y\n1,2\n".encode("utf-16")])
def test_what_is_no_text_is_refused(file, raw):
    file.write_bytes(raw)
    with pytest.raises(UsageError, match=r"t\.csv:\d+:\d+: found .*; allowed: "):
        table.load([file], "y")
