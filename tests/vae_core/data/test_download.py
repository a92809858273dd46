"""Downloads from a server on this machine: resumed when interrupted, complete or absent."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vae_core.data import DATASETS, MNIST, Arrays, Remote, download
from vae_core.data.download import ATTEMPTS, fetch

CONTENT = np.random.default_rng(0).integers(0, 256, 700_000, dtype=np.uint8).tobytes()
MD5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"


class Server(http.server.ThreadingHTTPServer):
    """Serves `content` at every address but /absent and /broken."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.knows_ranges = True  # whether it heeds the header Range
        self.cuts: list[int] = []  # bytes after which the connection breaks, of the next answers
        self.requested: list[str | None] = []  # the header Range of every request

    def remote(self, path: str = "file.bin", checksum: str | None = MD5) -> Remote:
        return Remote("file.bin", f"http://127.0.0.1:{self.server_port}/{path}", checksum)


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        requested = self.headers.get("Range")
        self.server.requested.append(requested)
        if self.path in ("/absent", "/broken"):
            self.send_error({"/absent": 404, "/broken": 503}[self.path])
            return
        content, first = self.server.content, 0
        if requested and self.server.knows_ranges:
            first = int(requested.removeprefix("bytes=").removesuffix("-"))
            if first >= len(content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - first))
        self.end_headers()
        cut = self.server.cuts.pop(0) if self.server.cuts else len(content)
        self.wfile.write(content[first : first + cut])
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def get(remote: Remote, folder: Path, calls: list[tuple[int, int | None]] | None = None) -> Path:
    """Fetch a file; `calls` receives the arguments of every call of `progress`."""

    def progress(name: str, size: int, total: int | None) -> None:
        assert name == "file.bin"
        if calls is not None:
            calls.append((size, total))

    return fetch(remote, folder / "target" / "file.bin", progress=progress, pause=0)


def test_a_file_arrives_complete_and_its_progress_is_reported(
    server: Server, tmp_path: Path
) -> None:
    calls: list[tuple[int, int | None]] = []
    path = get(server.remote(), tmp_path, calls)
    assert path.read_bytes() == CONTENT
    assert calls[0] == (0, len(CONTENT))
    assert calls[-1] == (len(CONTENT), len(CONTENT))
    assert calls == sorted(calls)
    assert [file.name for file in path.parent.iterdir()] == ["file.bin"]


def test_a_download_resumes_after_a_broken_connection(server: Server, tmp_path: Path) -> None:
    server.cuts = [300_000, 1, 0, 200_000]
    assert get(server.remote(), tmp_path).read_bytes() == CONTENT
    assert server.requested == [
        None,
        "bytes=300000-",
        "bytes=300001-",
        "bytes=300001-",
        "bytes=500001-",
    ]


def test_a_later_call_resumes_from_the_part(server: Server, tmp_path: Path) -> None:
    server.cuts = [300_000] + [0] * ATTEMPTS
    with pytest.raises(
        ValueError, match=r"could not be fetched .*300000 bytes of it are in .*file\.bin\.part: the"
    ):
        get(server.remote(), tmp_path)
    server.requested.clear()
    assert get(server.remote(), tmp_path).read_bytes() == CONTENT
    assert server.requested == ["bytes=300000-"]


def test_a_server_without_ranges_starts_again(server: Server, tmp_path: Path) -> None:
    server.knows_ranges, server.cuts = False, [300_000]
    assert get(server.remote(), tmp_path).read_bytes() == CONTENT
    assert server.requested == [None, "bytes=300000-"]


@pytest.mark.parametrize("part", [CONTENT, CONTENT + b"more"])
def test_a_complete_or_too_long_part_ends_in_the_original(
    part: bytes, server: Server, tmp_path: Path
) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "file.bin.part").write_bytes(part)
    assert get(server.remote(), tmp_path).read_bytes() == CONTENT


def test_another_file_is_refused_and_removed(server: Server, tmp_path: Path) -> None:
    server.content = CONTENT[:-1] + b"\0"
    with pytest.raises(
        ValueError,
        match=rf"is not the original file: checksum mismatch: it is md5:.*, expected {MD5}",
    ):
        get(server.remote(), tmp_path)
    assert not list((tmp_path / "target").iterdir())


def test_an_absent_file_is_an_error_at_once(server: Server, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError,
        match=r"/absent answered 404 Not Found; fetch it by hand and put it at .*file\.bin",
    ):
        get(server.remote("absent"), tmp_path)
    assert len(server.requested) == 1


def test_a_broken_server_is_an_error_after_some_attempts(server: Server, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"could not be fetched \(HTTP Error 503"):
        get(server.remote("broken"), tmp_path)
    assert len(server.requested) == ATTEMPTS


def test_an_unreachable_server_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"could not be fetched .*[Rr]efused"):
        # Port 9 is the discard service: nobody listens there.
        get(Remote("file.bin", "http://127.0.0.1:9/file.bin", MD5), tmp_path)


def test_an_existing_file_is_fetched_again_only_if_it_is_not_the_original(
    server: Server, tmp_path: Path
) -> None:
    path = get(server.remote(), tmp_path)
    get(server.remote(), tmp_path)
    assert len(server.requested) == 1
    path.write_bytes(b"altered")
    assert get(server.remote(), tmp_path).read_bytes() == CONTENT


def test_without_a_checksum_the_length_is_checked(server: Server, tmp_path: Path) -> None:
    server.cuts = [300_000]
    assert get(server.remote(checksum=None), tmp_path).read_bytes() == CONTENT


def test_files_are_put_where_the_data_set_looks_for_them(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        MNIST, "remotes", (server.remote(), server.remote()._replace(name="train-x.gz"))
    )
    paths = download(MNIST, tmp_path, pause=0)
    assert paths == [tmp_path / "mnist" / "file.bin", tmp_path / "mnist" / "train-x.gz"]
    assert MNIST().missing(tmp_path) is None


def test_your_own_files_are_not_downloaded(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match="arrays is made of your own files: there is nothing to download"
    ):
        download(Arrays, tmp_path)


def test_every_other_set_has_addresses_of_its_files() -> None:
    hosts = {
        name: {remote.url.split("/")[2] for remote in cls.remotes} for name, cls in DATASETS.items()
    }
    assert hosts == {
        "dsprites": {"github.com"},
        "mnist": {"ossci-datasets.s3.amazonaws.com"},
        "shapes3d": {"storage.googleapis.com"},
        "cars3d": {"www.scottreed.info"},
        "smallnorb": {"cs.nyu.edu"},
        "arrays": set(),
        "images": set(),
    }
