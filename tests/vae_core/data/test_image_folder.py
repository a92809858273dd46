"""Folders of images: the table gives order and factors; table and folder must agree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from vae_core import ImageFolder
from vae_core.data.own_files import columns

ROWS = {
    "file": ["b.png", "a.png", "sub/c.png"],
    "colour": ["red", "blue", "red"],
    "angle": [30.0, -1.5, 30.0],
}


def picture(
    path: Path, size: tuple[int, int] = (6, 4), *, mode: str = "RGB", level: int = 7
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    colour: Any = (level, 2 * level, 3 * level) if mode == "RGB" else level
    Image.new(mode, size, colour).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for level, name in enumerate(ROWS["file"]):
        picture(tmp_path / str(name), level=10 * (level + 1))
    pd.DataFrame(ROWS).to_csv(tmp_path / "factors.csv", index=False)
    return tmp_path


def test_images_and_factors_are_in_the_order_of_the_table(folder: Path) -> None:
    data = ImageFolder(path=str(folder)).load()
    assert data.shape == (3, 4, 6)
    # each of the three colours is flat: 4 * 6 pixels of 10, 20, 30, and so on
    expected = np.repeat(np.array([[10, 20, 30], [20, 40, 60], [30, 60, 90]]), 24, axis=1)
    np.testing.assert_array_equal(data.images, expected)
    assert data.factors is not None
    assert (data.factors.names, data.factors.sizes) == (("colour", "angle"), (2, 2))
    # blue before red, -1.5 before 30
    assert data.factors.values.tolist() == [[1, 1], [0, 0], [1, 1]]


def test_parquet_and_csv_give_the_same_data(folder: Path) -> None:
    from_csv = ImageFolder(path=str(folder)).load()
    (folder / "factors.csv").unlink()
    pd.DataFrame(ROWS).to_parquet(folder / "factors.parquet")
    assert ImageFolder(path=str(folder)).load().fingerprint == from_csv.fingerprint


def test_columns_that_are_no_factors_are_left_out_with_notes(folder: Path) -> None:
    table = pd.DataFrame(ROWS).assign(id=[7, 8, 9], caption=["x", "y", "z"])
    table.to_csv(folder / "factors.csv")  # with the index
    dataset = ImageFolder(path=str(folder))
    assert dataset.outline().factor_names == ("colour", "angle")
    assert [note.partition(" is left out")[0] for note in dataset.notes()] == [
        "the column without a name",
        "column 'id'",
        "column 'caption'",
    ]
    (folder / "factors.csv").unlink()
    table.set_index(pd.Index([3, 4, 9])).to_parquet(folder / "factors.parquet")
    assert dataset.outline().factor_names == ("colour", "angle")
    assert dataset.notes()[0].startswith("column '__index_level_0__' is left out")
    assert ImageFolder(path=str(folder), factors=("id",)).outline().factor_sizes == (3,)


def test_many_notes_are_counted(folder: Path) -> None:
    ids = {f"id{k}": [k, k + 1, k + 2] for k in range(30)}
    pd.DataFrame({**ROWS, **ids}).to_csv(folder / "factors.csv", index=False)
    notes = ImageFolder(path=str(folder)).notes()
    assert (len(notes), notes[-1]) == (21, "… and 10 more notes")


def test_a_table_with_the_index_alone_gives_no_ground_truth(folder: Path) -> None:
    pd.DataFrame(ROWS)[["file"]].to_csv(folder / "factors.csv")
    dataset = ImageFolder(path=str(folder))
    assert dataset.load().factors is None
    assert dataset.notes()[-1] == "no column of the table is a factor, so there is no ground truth"


def test_windows_paths_are_read(folder: Path) -> None:
    slashes = ImageFolder(path=str(folder)).load()
    (folder / "factors.csv").write_text(
        "file;colour;angle\nb.png;red;30,0\na.png;blue;-1,5\nsub\\c.png;red;30\n", "utf-16"
    )
    assert ImageFolder(path=str(folder)).load().fingerprint == slashes.fingerprint


def test_a_backslash_may_be_part_of_a_name(tmp_path: Path) -> None:
    picture(tmp_path / "a\\b.png")
    (tmp_path / "factors.csv").write_text("file,x\na\\b.png,1\n")
    assert len(ImageFolder(path=str(tmp_path)).load()) == 1


@pytest.mark.parametrize("name", ["factors.tsv", "FACTORS.CSV", "Factors.Tsv"])
def test_a_table_is_looked_for_by_several_names(name: str, folder: Path) -> None:
    (folder / "factors.csv").unlink()
    pd.DataFrame(ROWS).to_csv(folder / name, index=False, sep="\t")
    assert ImageFolder(path=str(folder)).outline().images == 3


def test_a_missing_table_is_blamed_on_the_option_that_names_it(folder: Path) -> None:
    missing = ImageFolder(path=str(folder), table="factors.csv").missing()
    assert missing is not None
    assert missing.startswith("table must be a file, got 'factors.csv', which does not exist")
    assert missing.endswith(f"did you mean '{folder}/factors.csv'?")
    (folder / "factors.csv").unlink()
    missing = ImageFolder(path=str(folder)).missing()
    assert missing is not None
    assert missing.startswith("path must hold a table of factors, one of factors.csv, factors.tsv")


def test_columns_are_chosen(folder: Path) -> None:
    pd.DataFrame(ROWS).rename(columns={"file": "name"}).to_csv(folder / "other.csv", index=False)
    dataset = ImageFolder(
        path=str(folder), table=str(folder / "other.csv"), column="name", factors=("angle",)
    )
    assert dataset.outline().factor_names == ("angle",)
    assert ImageFolder(path=str(folder), factors=()).load().factors is None


def test_file_names_of_digits_stay_text(tmp_path: Path) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "007", "PNG")
    (tmp_path / "factors.csv").write_text("file,x\n007,1\n")
    assert len(ImageFolder(path=str(tmp_path)).load()) == 1


def test_a_resolution_crops_to_the_centre_and_resizes(tmp_path: Path) -> None:
    image = np.zeros((8, 16), np.uint8)
    image[:, 4:12] = 200  # the central square
    Image.fromarray(image).save(tmp_path / "a.png")
    picture(tmp_path / "b.png", (9, 30), mode="L", level=50)
    (tmp_path / "factors.csv").write_text("file,x\na.png,1\nb.png,2\n")
    data = ImageFolder(path=str(tmp_path), resolution=4, grey=True).load()
    assert data.shape == (1, 4, 4)
    assert data.images.tolist() == [[200] * 16, [50] * 16]


def test_an_outline_opens_one_image_at_most(folder: Path) -> None:
    for name in ("a.png", "sub/c.png"):
        (folder / name).write_bytes(b"no image")
    assert ImageFolder(path=str(folder)).outline()[:4] == (
        3,
        (3, 4, 6),
        ("colour", "angle"),
        (2, 2),
    )
    (folder / "b.png").write_bytes(b"no image")
    assert ImageFolder(path=str(folder), resolution=32, grey=True).outline().shape == (1, 32, 32)


def test_a_changed_table_is_read_again(folder: Path) -> None:
    assert ImageFolder(path=str(folder)).outline().images == 3
    pd.DataFrame(ROWS)[:2].to_csv(folder / "factors.csv", index=False)
    assert ImageFolder(path=str(folder)).outline().images == 2


def _remove(folder: Path) -> None:
    (folder / "a.png").unlink()


def _add(folder: Path) -> None:
    picture(folder / "new.PNG")


def _break(folder: Path) -> None:
    (folder / "sub" / "c.png").write_bytes((folder / "sub" / "c.png").read_bytes()[:40])


def _enlarge(folder: Path) -> None:
    picture(folder / "a.png", (8, 8))


def _deepen(folder: Path) -> None:
    Image.fromarray(np.zeros((4, 6), np.uint16)).save(folder / "a.png")


def _table(text: str) -> Any:
    return lambda folder: (folder / "factors.csv").write_text(text)


@pytest.mark.parametrize(
    ("alter", "options", "message"),
    [
        (_remove, {}, "factors.csv names 1 images that are not in {}: 'a.png'"),
        (
            _add,
            {},
            "{} has 1 images that {}/factors.csv does not name, such as 'new.PNG'; add their rows",
        ),
        (_break, {}, "{}/sub/c.png cannot be read as an image"),
        (
            _enlarge,
            {},
            "{}/a.png must be 6 x 4 like the first image, got 8 x 8; "
            "give resolution to resize them all",
        ),
        (_deepen, {}, "{}/a.png must have 8 bits a channel, got mode I;16; convert it"),
        (
            _table("file,x\nb.png,1\n../x.png,2\n"),
            {},
            "must name images within the folder {}, got '../x.png'",
        ),
        (
            _table("file,x\nb.png,1\nb.png,2\n"),
            {},
            "must name an image once, got 'b.png' more than once",
        ),
        (
            _table("file,x\nb.png,1\na.png,\n"),
            {},
            "column 'x' must have a value in every row, got none in 1 of 2 rows, first in row 1",
        ),
        (_table("file,x,x\nb.png,1,1\n"), {}, "must name a column once, got file, x, x"),
        (_table("file,x\n"), {}, "must have a row per image, got none"),
        (_table("file,x\nb.png,nan\n"), {}, "{}/factors.csv"),
        (_table('file,x\n"b.png,1\n'), {}, "{}/factors.csv cannot be read as CSV"),
        (lambda folder: None, {"column": "fil"}, "unknown column 'fil'; did you mean 'file'?"),
        (
            lambda folder: None,
            {"factors": ("colr",)},
            "unknown column 'colr'; did you mean 'colour'?",
        ),
        (
            lambda folder: None,
            {"table": "gone.csv"},
            "table must be a file, got 'gone.csv', which does not exist",
        ),
        (
            _table("file,x\nc:\\b.png,1\n"),
            {},
            "must name images within the folder {}, got 'c:\\\\b.png'",
        ),
        (
            _table("file,x\n..\\b.png,1\n"),
            {},
            "must name images within the folder {}, got '..\\\\b.png'",
        ),
        (
            _table("file,x\nB.png,1\na.png,2\nsub/c.png,1\n"),
            {},
            "names 1 images that are not in {}: 'B.png'; did you mean 'b.png'?",
        ),
        (
            _table("b.png,1\na.png,2\n"),
            {},
            "unknown column 'file'; known: b.png, 1; the first line (b.png, 1) seems to hold",
        ),
        (
            _table("file,x,y\nb.png,1,0.1\na.png,,0.2\n"),
            {},
            "column 'x' must have a value in every row",
        ),
        (
            _table("file,x,y\n" + "".join(f"{k},{k},{k / 7}\n" for k in range(9))),
            {},
            "factor 'y' must be levels, got 9 numbers in 9 rows; bin a continuous factor first, as "
            "in np.digitize(x, np.quantile(x, [0.25, 0.5, 0.75])), or leave it out; "
            "or list the columns that are factors in factors",
        ),
        (
            _table("file,x,y\nb.png,1,a\n../b.png,,1\n"),
            {"factors": ("x", "z", "u")},
            "unknown column 'z'; unknown column 'u'; known: file, x, y",
        ),
    ],
)
def test_an_error_names_rule_and_remedy(
    alter: Any, options: Any, message: str, folder: Path
) -> None:
    alter(folder)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the message is compared below)
        ImageFolder(path=str(folder), **options).load()
    assert message.replace("{}", str(folder)) in str(caught.value)


def test_too_many_levels_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "MOST_LEVELS", 1)
    with pytest.raises(
        ValueError, match=r"factors\.csv: factor 'colour' must have at most 1 levels, got 2; bin it"
    ):
        ImageFolder(path=str(folder)).outline()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"table": "x.xls"},
            "table must end in one of .csv, .tsv, .parquet, got 'x.xls'; convert it",
        ),
        ({"resolution": 3}, "resolution must be >= 4, got 3"),
        ({"grey": "yes"}, "grey must be true or false, got 'yes'"),
        ({"background": None}, "background must be text, got None"),
        ({"background": "wite"}, "got 'wite'; did you mean 'white'?"),
        ({"factors": ("file",)}, "factors must not name 'file', the column of file names"),
        ({"factors": ("a", "a")}, "factors must give a name once"),
    ],
)
def test_an_invalid_option_is_refused_with_its_rule(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the message is compared below)
        ImageFolder(path=".", **options)
    assert message in str(caught.value)


@pytest.mark.parametrize("kinds", [("1", "L"), ("P", "RGBA")])
def test_other_kinds_of_images_become_rgb(kinds: Sequence[str], tmp_path: Path) -> None:
    for name, kind in zip("ab", kinds, strict=True):
        Image.new("RGB", (4, 4), (255, 255, 255)).convert(kind).save(tmp_path / f"{name}.png")
    (tmp_path / "factors.csv").write_text("file,x\na.png,1\nb.png,2\n")
    assert (ImageFolder(path=str(tmp_path)).load().images == 255).all()


def transparent(path: Path, level: int) -> None:
    image = Image.new("LA", (4, 4), (level, 255))
    image.putpixel((0, 0), (level, 0))
    image.save(path)


def table_of(folder: Path, *rows: str) -> None:
    (folder / "factors.csv").write_text("\n".join(["file,x", *rows]))


def test_a_background_changes_the_fingerprint_of_transparent_images_only(tmp_path: Path) -> None:
    transparent(tmp_path / "a.png", 10)
    picture(tmp_path / "b.png", (4, 4))
    table_of(tmp_path, "a.png,1", "b.png,2")
    black, white = (
        ImageFolder(path=str(tmp_path), grey=True, background=name).load()
        for name in ("black", "white")
    )
    assert (black.images[0, 0], white.images[0, 0]) == (0, 255)
    assert black.fingerprint != white.fingerprint
    assert black.notes == (
        "1 of 2 images have transparent pixels, such as 'a.png'; they lie on background 'black'",
    )

    picture(tmp_path / "a.png", (4, 4), level=9)
    black, white = (
        ImageFolder(path=str(tmp_path), background=name).load() for name in ("black", "white")
    )
    assert black.fingerprint == white.fingerprint
    assert black.notes == white.notes == ()


def test_an_opaque_alpha_channel_has_the_fingerprint_of_none(folder: Path) -> None:
    before = ImageFolder(path=str(folder)).load().fingerprint
    with Image.open(folder / "a.png") as image:
        image.convert("RGBA").save(folder / "a.png")
    assert ImageFolder(path=str(folder)).load().fingerprint == before


def test_the_outline_is_that_of_the_upright_image(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.new("RGB", (6, 4)).save(tmp_path / "a.png", exif=exif)
    picture(tmp_path / "b.png", (4, 6))
    table_of(tmp_path, "a.png,1", "b.png,2")
    assert ImageFolder(path=str(tmp_path)).outline().shape == (3, 6, 4)
    assert ImageFolder(path=str(tmp_path)).load().shape == (3, 6, 4)


def test_identical_images_of_different_factors_are_counted_with_two_names(tmp_path: Path) -> None:
    # a, b and d are equal; a and d have the same factor. c and e are equal with the same factor.
    for name, level in (("a", 1), ("b", 1), ("c", 2), ("d", 1), ("e", 2)):
        picture(tmp_path / f"{name}.png", (4, 4), level=level)
    table_of(tmp_path, "a.png,1", "d.png,1", "b.png,2", "c.png,2", "e.png,2")
    assert ImageFolder(path=str(tmp_path)).load().notes == (
        "3 of 5 images have the same pixels as an image with other factors, such as 'a.png' and "
        "'b.png'; no model can tell these apart",
    )
    assert ImageFolder(path=str(tmp_path), factors=()).load().notes == ()


def test_a_file_that_pillow_warns_of_is_named_in_a_note(tmp_path: Path) -> None:
    damaged: Any = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x05garbage"
    Image.new("RGB", (16, 16)).save(tmp_path / "a.jpg", exif=damaged)
    table_of(tmp_path, "a.jpg,1")
    (note,) = ImageFolder(path=str(tmp_path)).load().notes
    assert note.startswith("1 of 1 images were read with a warning, such as 'a.jpg': Corrupt EXIF")
