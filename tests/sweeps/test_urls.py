"""Paths become URLs in which every character survives."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from nasty_names import NASTY_NAMES

from sweeps import urls


@pytest.mark.parametrize("name", NASTY_NAMES)
def test_sqlalchemy_opens_exactly_this_file(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    folder.mkdir()
    for index, url in enumerate((urls.sqlite_url, urls.sqlite_text)):
        engine = sa.create_engine(url(folder / f"{index}.db"))
        with engine.begin() as connection:
            connection.execute(sa.text("CREATE TABLE t (a INTEGER)"))
        engine.dispose()
    assert sorted(path.name for path in folder.iterdir()) == ["0.db", "1.db"]
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", NASTY_NAMES)
def test_a_file_uri_is_decoded_to_its_path(name: str, tmp_path: Path) -> None:
    assert urls.path_of_uri((tmp_path / name).as_uri()) == tmp_path / name


@pytest.mark.parametrize("name", NASTY_NAMES)
def test_mlflow_decodes_a_file_uri_to_the_same_path(name: str, tmp_path: Path) -> None:
    from mlflow.utils.file_utils import local_file_uri_to_path

    uri = (tmp_path / name).as_uri()
    assert Path(local_file_uri_to_path(uri)) == urls.path_of_uri(uri)


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:////data/My Drive/l.db", "/data/My Drive/l.db"),
        ("sqlite:////data/a%3Fb%25.db", "/data/a?b%.db"),
        ("sqlite+pysqlite:////data/l.db", "/data/l.db"),
        ("sqlite:///sub/l.db", "{cwd}/sub/l.db"),
        ("sqlite:///~/l.db", "{home}/l.db"),
        ("sqlite://", None),  # in memory
        ("sqlite:////data/l.db?mode=ro&uri=true", None),
        ("postgresql+psycopg://user:pass@host/db?x=y", None),
    ],
)
def test_the_file_of_a_sqlite_url_is_absolute(
    url: str, file: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/someone")
    expected = file and Path(file.format(cwd=tmp_path, home="/home/someone"))
    assert urls.sqlite_file(url) == expected


def test_a_relative_url_names_the_same_file_from_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    url = urls.absolute_url("sqlite:///what%3F/l.db")
    monkeypatch.chdir("/")
    sa.create_engine(urls.opened_url(url)).connect().close()
    sqlite3.connect(tmp_path / "what?" / "l.db").close()
    assert [path.name for path in (tmp_path / "what?").iterdir()] == ["l.db"]
    password = "postgresql://u:p%40ss@host/db"
    assert urls.absolute_url(password) == password


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite:////a?b/l.db", r"must write \? in a path as %3F, and % as %25"),
        ("sqlite:////a?b=c/l.db", r"must write \? in a path as %3F"),
        ("postgresql://host:port/db", "is not a URL of a database"),
    ],
)
def test_a_url_that_means_something_else_is_refused(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        urls.absolute_url(url)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a b#c", "a b#c"),
        ("~/x", "/home/someone/x"),
        ("./~/x", "~/x"),
        ("a/~", "a/~"),
        ("~no-such-user/x", "~no-such-user/x"),
        ("file:///a%20b%23/", "/a b#"),
        ("file://localhost/a", "/a"),
        ("s3://bucket/a", None),
    ],
)
def test_a_path_may_be_a_text_or_a_file_uri(
    text: str, path: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert urls.local_path(text) == (None if path is None else Path(path))


@pytest.mark.parametrize("uri", ["file://host/a", "file:///a?b", "file:///a#b"])
def test_a_file_uri_that_means_something_else_is_refused(uri: str) -> None:
    with pytest.raises(ValueError, match="must"):
        urls.path_of_uri(uri)
