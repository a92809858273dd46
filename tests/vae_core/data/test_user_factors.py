"""The rule for factors of a user: levels, rounding, and columns that are no factors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from vae_core.data.own_files.columns import to_factors, to_levels
from vae_core.data.own_files.factor_choice import likely_factors, named_columns
from vae_core.data.own_files.tables import read_table

TENTHS = np.arange(10) / 10


@pytest.mark.parametrize(
    "column",
    [
        np.array([0.3, 0.1, 0.1 * 3, 0.2]),  # 0.1 * 3 is the next float64 after 0.3
        np.concatenate([[0.1, 0.2, 0.3], np.array([0.1, 0.2, 0.3], np.float32)]),
        np.array([0.1, 0.2, 0.3, 0.100000001, 0.200000003, 0.30000001]),  # float32 as text
        np.array([np.float32(0.1) * np.float32(3), 0.1, 0.2, 0.3]),
        np.float32([0.1, 0.2, 0.3, np.nextafter(np.float32(0.3), np.float32(1))]),
        -np.array([0.3, 0.1, 0.1 * 3, 0.2]),
        1e-12 * np.array([3, 1, 3 * (1 + 1e-16), 2]),
    ],
)
def test_values_that_differ_by_rounding_are_one_level(column: Any) -> None:
    levels = to_levels(np.tile(column, 4))
    assert len(levels.values) == 3
    scaled = np.abs(np.tile(column, 4)) / np.abs(column).max() * 3
    order = np.rint(scaled) - 1 if column[0] > 0 else 3 - np.rint(scaled)
    np.testing.assert_array_equal(levels.numbers, order)


def test_rounding_around_zero_is_one_level() -> None:
    # 0.3 - 0.1 * 3 is -5.6e-17
    levels = to_levels(np.tile([0.3 - 0.1 * 3, 0, 0.5], 4))
    assert levels.numbers.tolist() == [0, 0, 1] * 4


def test_a_float32_file_joined_with_a_float64_file_has_the_levels_of_one() -> None:
    angles = np.linspace(0, 2 * np.pi, 40)
    joined = np.concatenate([angles, angles.astype(np.float32), angles])
    levels = to_levels(joined)
    np.testing.assert_array_equal(levels.numbers, np.tile(np.arange(40), 3))
    (note,) = levels.notes
    assert note.startswith("values that differ only by rounding are one level: 0.161107")
    assert note.endswith(", and 36 more")  # of 39 angles: 0 is the same in both


@pytest.mark.parametrize(
    "values",
    [
        [1.7e9 + 0.5, 1.7e9 + 1.5, 1.7e9 + 2.5],  # seconds: 6e-10 apart, float32 has steps of 6e-8
        [1e6 + 0.1, 1e6 + 0.2],
        [1e6, 1e6 + 0.1, 2e6],  # the first two are less than one step of float32 apart
        [1048576.25, 1048576.5, 1048576.75],  # float32 numbers, two steps apart from each other
        [0.1, 0.100001, 0.100002],
        [0.5, 1e-9, 1e-6, 1e-3, 0],
        [0.5, 1e-20, 1e-18, 1e-17],
        [10**15, 10**15 + 1, 10**15 + 2],
        np.float16([0.1, 0.1001, 0.1002]),
    ],
)
def test_values_that_differ_by_more_stay_levels(values: Any) -> None:
    levels = to_levels(np.tile(values, 4))
    assert levels.values.tolist() == sorted(np.asarray(values).tolist())
    assert levels.notes == []


@pytest.mark.parametrize(
    ("column", "sizes"),
    [
        (np.repeat(TENTHS, 2), 10),  # ten levels in twenty rows: one per two rows
        (np.array([0.5, 0.25]), 2),  # two levels are never too many
        (np.array([0.5, 0.25, 0.5]), 2),
        (np.arange(4096).repeat(2) / 7, 4096),
    ],
)
def test_fractions_may_have_one_level_per_two_rows(column: Any, sizes: int) -> None:
    assert len(to_levels(column).values) == sizes


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (np.append(np.repeat(TENTHS, 2)[1:], 0.55), "must be levels, got 11 numbers in 20 rows"),
        (np.arange(9) / 7, "must be levels, got 9 numbers in 9 rows; bin a continuous factor"),
        (np.arange(9).astype("M8[s]"), "must be levels, got 9 times in 9 rows"),
        (np.array(list("abc")), "must be levels, got another text in each of 3 rows, such as 'a'"),
        (np.arange(4097).repeat(3), "must have at most 4096 levels, got 4097; bin it"),
        (np.arange(20000) / 7, "must have at most 4096 levels, got 20000"),
        (np.array([1, np.nan, np.inf]), "must be finite, got nan in row 1 and 1 more"),
        (np.array([1j]), "must be numbers or text, got complex128"),
    ],
)
def test_a_column_that_is_no_factor_is_refused(column: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the message is compared below)
        to_levels(column)
    assert str(caught.value).startswith(message)


def test_whole_numbers_with_nearly_as_many_levels_as_rows_get_a_note() -> None:
    assert to_levels(np.arange(60)).notes == [
        "60 levels in 60 rows; bin it, or its scores say little"
    ]
    assert to_levels(np.arange(60) // 2).notes == []


def test_text_that_may_not_be_meant_as_a_level_gets_a_note() -> None:
    levels = to_levels(np.array(["red", "NA", " red", "Red", "NA", "blue"] * 3))
    assert levels.values.tolist() == [" red", "NA", "Red", "blue", "red"]
    missing, spelling = levels.notes
    assert missing.startswith("the text 'NA' is a level; if it stands for a missing value")
    assert "' red' and 'Red' and 'red'" in spelling
    (accent,) = to_levels(np.array(["\u00e9", "e\u0301"] * 3)).notes
    assert accent.startswith("levels differ only in spaces, capitals or code points")
    (order,) = to_levels(np.array(["10", "2"] * 3)).notes
    assert order.startswith("numbers stored as text are in the order of text")


def test_every_wrong_column_is_named_and_many_are_counted() -> None:
    with pytest.raises(ValueError, match=r"factor 'm0' must .*factor 'm9' must .*; and 5 more$"):
        to_factors({f"m{k}": np.arange(9) / 7 + k for k in range(15)} | {"good": np.arange(9) % 2})


def frame(**columns: Any) -> pd.DataFrame:
    """Return a table of twelve images with two factors and further columns."""
    return pd.DataFrame(
        {
            "file": [f"{row}.png" for row in range(12)],
            "colour": ["red", "blue"] * 6,
            "size": [0.1, 0.2, 0.3] * 4,
            **columns,
        }
    )


def chosen(table: pd.DataFrame, **options: Any) -> tuple[list[str], list[str]]:
    """Return the columns that are factors of a CSV by pandas, and the notes."""
    content = table.to_csv(**options).encode()
    columns, notes, problems = likely_factors(
        (read := read_table(content, ".csv", lambda name: name == "file")),
        [name for name in read.names if name != "file"],
    )
    assert problems == []
    return list(columns), notes


def test_the_index_of_pandas_is_no_factor() -> None:
    names, (note,) = chosen(frame())
    assert names == ["colour", "size"]
    assert note.startswith("the column without a name is left out: it is the index of a table")
    names, (note,) = chosen(frame(**{"Unnamed: 0": [0, 1, 2] * 4}), index=False)
    assert names == ["colour", "size"]
    assert note.startswith("column 'Unnamed: 0' is left out")
    twice = pd.MultiIndex.from_arrays([[0, 1] * 6, range(12)])
    assert chosen(frame().set_index(twice))[0] == ["colour", "size"]


@pytest.mark.parametrize("name", ["__index_level_0__", "__index_level_1__", "Unnamed: 0.1", ""])
def test_an_index_may_have_several_names(name: str) -> None:
    assert chosen(frame(**{name: range(12)}), index=False)[0] == ["colour", "size"]


@pytest.mark.parametrize(
    "column",
    [
        range(100, 112),
        [f"subject {row}" for row in range(12)],
        np.arange(12.0),
        pd.date_range("2020-01-01", periods=12, freq="s"),
        pd.date_range("2020-01-01", periods=6, freq="D").repeat(2)[[*range(11), 0]]
        + pd.Timedelta("1s") * np.array([0, 1] * 6),
    ],
)
def test_ids_and_times_name_the_rows_and_are_no_factors(column: Any) -> None:
    names, (note,) = chosen(frame(extra=column), index=False)
    assert names == ["colour", "size"]
    assert note.startswith("column 'extra' is left out: it has")
    assert note.endswith("list it in factors if it is a factor")


def test_a_column_of_few_dates_is_a_factor() -> None:
    days = pd.to_datetime(["2020-01-01", "2020-01-05"] * 6)
    assert chosen(frame(day=days), index=False) == (["colour", "size", "day"], [])


def test_the_only_column_is_a_factor_even_if_it_names_the_rows() -> None:
    table = pd.DataFrame({"file": list("abcd"), "angle": [0, 90, 180, 270]})
    assert chosen(table, index=False)[0] == ["angle"]


def test_a_column_that_the_user_names_is_taken() -> None:
    table = read_table(frame().to_csv().encode(), ".csv", lambda name: name == "file")
    assert list(named_columns(table, ["", "size"]).columns) == ["", "size"]
