"""Tables of any program: read if that is safe, else refused with the true cause and a remedy."""

from __future__ import annotations

import datetime
import decimal
import io
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from vae_core.data.own_files.tables import Table, read_table

TEXT = "file,size,colour\na.png,0.5,rot\nb.png,1.25,grün\n"


def csv(content: str | bytes, suffix: str = ".csv") -> Table:
    """Return the table of a CSV whose column of file names is `file`."""
    content = content.encode() if isinstance(content, str) else content
    return read_table(content, suffix, lambda name: name == "file")


def parquet_table(**columns: Any) -> Table:
    """Return the table of a Parquet file with these columns."""
    stream = io.BytesIO()
    parquet.write_table(pa.table(columns), stream)
    return read_table(stream.getvalue(), ".parquet", lambda name: name == "file")


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),  # with a byte order mark
        TEXT.encode("utf-16"),
        TEXT.encode("utf-16-be").replace(b"\0f", b"\xfe\xff\0f", 1),
        TEXT.replace(",", ";").encode(),
        TEXT.replace(",", ";").replace(".5", ",5").replace("1.25", "1,25").encode(),
        TEXT.replace(",", "\t").encode(),
        TEXT.replace(",", "|").encode(),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("\n", "\r").encode(),
        TEXT.replace("\n", "\n\n").encode(),  # empty lines
        TEXT.replace("\n", ",,\n").encode(),  # empty columns, as spreadsheets write them
        (TEXT + ",,\n,,\n").encode(),  # empty rows
        TEXT.replace("rot", "rot,").replace("grün", "grün,,").encode(),  # not in the header
        TEXT.replace("0.5", ' "0.5"').encode().replace(b' "0.5"', b'"0.5"'),
        TEXT.rstrip("\n").encode(),
    ],
)
def test_every_way_to_write_a_csv_gives_the_same_table(content: bytes) -> None:
    table = csv(content)
    assert table.names == ["file", "size", "colour"]
    assert table.text("file") == ["a.png", "b.png"]
    assert table.values("size").values.tolist() == [0.5, 1.25]
    assert table.values("colour").values.tolist() == ["rot", "grün"]


def test_a_line_break_within_quotes_is_part_of_a_value() -> None:
    table = csv('file,note\na,"one\ntwo"\nb,"a, ""b"""\n')
    assert table.values("note").values.tolist() == ["one\ntwo", 'a, "b"']


def test_the_separator_is_the_one_that_gives_the_wanted_column() -> None:
    # by commas the header has two columns, too: "file;size" and "cm;x"
    table = csv("file;size,cm;x\na;0,5;1\nb;2,5;2\n")
    assert table.names == ["file", "size,cm", "x"]
    assert table.values("size,cm").values.tolist() == [0.5, 2.5]
    assert csv("file,x;y\na,1;2\n").names == ["file", "x;y"]


def test_the_separator_is_the_one_that_gives_the_most_wanted_columns() -> None:
    def is_wanted(name: str) -> bool:
        return name.startswith(("factor_", "mean_"))

    # by commas the header is one column, whose name begins with factor_, too
    table = read_table(b"factor_a;mean_0\n1;2\n", ".csv", is_wanted)
    assert table.names == ["factor_a", "mean_0"]


def test_decimal_commas_get_a_note_and_need_another_separator() -> None:
    (note,) = csv("file;x\na;0,5\nb;7\n").values("x").notes
    assert note == "has decimal commas: '0,5' is read as 0.5"
    values, (note,) = csv('file,x\na,"0,5"\nb,"7"\n').values("x")
    assert values.tolist() == ["0,5", "7"]
    assert note == "has numbers with commas, taken as text; write a point: '0,5'"
    assert csv("file;x\na;1,5,2\nb;7\n").values("x").values.tolist() == ["1,5,2", "7"]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["1", "-2"], [1, -2]),
        (["007", " 1 "], [7, 1]),
        (["9007199254740993", "1"], [9007199254740993, 1]),  # 2**53 + 1 stays exact
        (["1", "1e-3"], [1.0, 0.001]),
        (["true", "False"], [True, False]),
        (["12:30", "01:00"], ["12:30", "01:00"]),
        (["0x1f", "a"], ["0x1f", "a"]),
        (["2020-01-02", "2020-01-01"], [datetime.datetime(2020, 1, day) for day in (2, 1)]),
    ],
)
def test_a_column_is_of_the_one_kind_that_all_its_texts_are(texts: Any, expected: Any) -> None:
    table = csv("file,x\n" + "".join(f"{row},{text}\n" for row, text in enumerate(texts)))
    assert table.values("x").values.tolist() == expected
    assert table.values("x").notes == []


@pytest.mark.parametrize("word", ["NA", "None", "null", "NaN", "n/a"])
def test_a_word_for_a_missing_value_is_a_text_among_texts(word: str) -> None:
    assert csv(f"file,x\na,red\nb,{word}\n").values("x").values.tolist() == ["red", word]


@pytest.mark.parametrize("others", [["1", "2.5"], ["true", "false"], ["2020-01-01", "2021-01-01"]])
@pytest.mark.parametrize("word", ["NA", "None", "null", "?"])
def test_a_word_for_a_missing_value_among_numbers_is_refused(word: str, others: list[str]) -> None:
    table = csv(f"file,x\na,{others[0]}\nb,{word}\nc,{others[1]}\n")
    message = f"must have a value in every row, got {word!r} in 1 of 3 rows, first in row 1; fill"
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the message is compared below)
        table.values("x")
    assert str(caught.value).startswith(message)


def test_numbers_and_text_in_one_column_get_a_note() -> None:
    values, (note,) = csv("file,x\na,12\nb,large\n").values("x")
    assert values.tolist() == ["12", "large"]
    assert note.startswith("holds numbers and text, such as '12' and 'large'")


def test_a_column_that_nobody_asks_for_may_have_anything() -> None:
    table = csv("file,x,y\na,1,\nb,2,\n")
    assert table.values("x").values.tolist() == [1, 2]
    with pytest.raises(ValueError, match="got none in 2 of 2 rows"):
        table.values("y")


def test_file_names_stay_as_they_are_written() -> None:
    assert csv("file,x\n007,1\n1e3,2\nNA,3\n").text("file") == ["007", "1e3", "NA"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; write a line with the names of the columns"),
        (b"\n\n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (TEXT.encode("latin-1"), "must be UTF-8, got byte 0xfc in line 3, as in Latin-1"),
        (TEXT.encode("utf-16-le"), "in UTF-16 without a byte order mark, or UTF-32; save"),
        (TEXT.encode("utf-32"), "or UTF-32; save it as UTF-8"),
        (b"PK\x03\x04\x14\x00", "must be text, got a zip file, such as an Excel workbook"),
        (b"\x1f\x8b\x08\x00", "must be text, got compressed with gzip; unpack it"),
        (b"file,x,x\na,1,2\n", "must name a column once, got file, x, x; 'x' is there more"),
        (b"file,x\na,1,2\n", "every line must have as many values as the header (separator ',')"),
        (b'file,x\n"a,1\n', "cannot be read as CSV"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_the_cause(content: bytes, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the message is compared below)
        csv(content)
    assert message in str(caught.value)


def test_rows_that_are_left_out_are_counted() -> None:
    assert csv(TEXT + ",,\n , ,\n").notes == ["rows without any value are left out: 2"]


def test_no_rows_are_a_table_without_rows() -> None:
    table = csv("file,x\n")
    assert (table.text("file"), len(table.values("x").values)) == ([], 0)


def test_a_table_without_a_header_gets_a_hint() -> None:
    assert "the first line (a.png, 1) seems to hold values" in csv("a.png,1\nb.png,2\n").hint
    assert "seems to hold values" in csv("sub/a.PNG,red\nb.png,blue\n").hint
    assert csv("name,x\na.png,1\n").hint == ""
    assert "separate the columns by comma" in csv("name x\na.png 1\n").hint


@pytest.mark.parametrize("suffix", [".csv", ".CSV", ".tsv", ".Tsv"])
def test_capitals_in_an_ending_mean_the_same(suffix: str) -> None:
    assert csv(TEXT, suffix).names == ["file", "size", "colour"]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([0.5, 1.0], pa.float16()), [0.5, 1.0]),
        (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
        (pa.array(["a", "b"], pa.large_string()), ["a", "b"]),
        (pa.array([decimal.Decimal("9.5"), decimal.Decimal("10.25")]), [9.5, 10.25]),
        (pa.array([True, False]), [True, False]),
        (pa.array(["NA", "None"]), ["NA", "None"]),
        (pa.array([2**63, 1], pa.uint64()), [2**63, 1]),
        (pa.array([datetime.date(2020, 1, 2)] * 2), [datetime.date(2020, 1, 2)] * 2),
    ],
)
def test_columns_of_parquet_keep_their_kind(column: Any, expected: Any) -> None:
    assert parquet_table(x=column).values("x").values.tolist() == expected


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([[1], [2]]), "must hold numbers or text, got list<"),
        (pa.array([{"a": 1}, {"a": 2}]), "must hold numbers or text, got struct<a: int64>; make a"),
        (pa.array([b"a", b"b"]), "must hold numbers or text, got binary; store text"),
        (pa.array([1, None]), "must have a value in every row, got none in 1 of 2 rows, first in"),
    ],
)
def test_other_columns_of_parquet_are_refused_by_their_kind(column: Any, message: str) -> None:
    table = parquet_table(x=column, y=pa.array([1, 2]))
    assert table.values("y").values.tolist() == [1, 2]
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the message is compared below)
        table.values("x")
    assert message in str(caught.value)


def test_a_damaged_parquet_file_is_refused() -> None:
    with pytest.raises(ValueError, match="is not a Parquet file, or is damaged"):
        read_table(b"PAR1", ".parquet", lambda _: True)


def test_a_csv_of_pandas_is_read_as_pandas_wrote_it() -> None:
    frame = pd.DataFrame(
        {
            "file": ["a", "b", "c"],
            "whole": [3, -1, 3],
            "real": np.array([0.1, 0.2, 1 / 3]),
            "text": ["x y", 'q"', "é,"],
            "flag": [True, False, True],
        }
    )
    table = csv(frame.to_csv(index=False))
    for name in frame.columns:
        assert table.values(name).values.tolist() == frame[name].tolist()
