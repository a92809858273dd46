"""The files of a workspace, local or remote. A file is written completely or not at all."""

from __future__ import annotations

import abc
import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from pyarrow import fs

from sweeps.urls import local_path, redacted
from vae_core.atomic_files import write_atomically


class AbstractFiles(abc.ABC):
    """A folder of small files, local or remote, with atomic writes."""

    @abc.abstractmethod
    def write(self, path: str, content: bytes) -> None:
        """Write a complete file, or leave the old one."""

    @abc.abstractmethod
    def read(self, path: str) -> bytes:
        """Return the bytes of a file.

        Raises:
            FileNotFoundError: there is no such file.
        """

    @abc.abstractmethod
    def names(self, folder: str) -> list[str]:
        """Return the sorted names of the files in a folder, [] if there is no such folder."""

    @abc.abstractmethod
    def sizes(self, folder: str) -> dict[str, int]:
        """Return path below a folder -> bytes of every file in it and in the folders below.

        Files aside, which a write that was cut off has left, are among them.
        """

    @abc.abstractmethod
    def delete(self, path: str) -> None:
        """Delete a file, if it exists."""


class LocalFiles(AbstractFiles):
    """Files below a folder of this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, path: str, content: bytes) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, content, durable=True)

    def read(self, path: str) -> bytes:
        return (self.root / path).read_bytes()

    def names(self, folder: str) -> list[str]:
        try:
            return sorted(
                entry.name
                for entry in os.scandir(self.root / folder)
                if not entry.name.startswith(".")
            )
        except FileNotFoundError:
            return []

    def sizes(self, folder: str) -> dict[str, int]:
        root = self.root / folder
        sizes: dict[str, int] = {}
        for parent, _, names in os.walk(root):
            for name in names:
                file = Path(parent, name)
                with contextlib.suppress(FileNotFoundError):  # deleted since it was listed
                    sizes[file.relative_to(root).as_posix()] = file.lstat().st_size
        return sizes

    def delete(self, path: str) -> None:
        (self.root / path).unlink(missing_ok=True)


class RemoteFiles(AbstractFiles):
    """Files below a URI that pyarrow can reach.

    Examples: `s3://bucket/prefix?endpoint_override=…`, `gs://…`.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        with self._secrets_hidden():
            self._fs, self._root = fs.FileSystem.from_uri(uri)

    def __repr__(self) -> str:
        return f"RemoteFiles({redacted(self._uri, self._uri)!r})"

    def write(self, path: str, content: bytes) -> None:
        target = f"{self._root}/{path}"
        with self._secrets_hidden():
            self._fs.create_dir(target.rsplit("/", 1)[0], recursive=True)
            # An object store shows an object only when its upload is complete. The rename serves
            # file systems, which show parts of a file.
            aside = f"{target}.{uuid.uuid4().hex}.part"
            with self._fs.open_output_stream(aside) as stream:
                stream.write(content)
            self._fs.move(aside, target)

    def read(self, path: str) -> bytes:
        with (
            self._secrets_hidden(),
            self._fs.open_input_stream(f"{self._root}/{path}") as stream,
        ):
            return stream.read()

    def names(self, folder: str) -> list[str]:
        selector = fs.FileSelector(f"{self._root}/{folder}", allow_not_found=True)
        with self._secrets_hidden():
            files = [info for info in self._fs.get_file_info(selector) if info.is_file]
        return sorted(file.base_name for file in files if not file.base_name.endswith(".part"))

    def sizes(self, folder: str) -> dict[str, int]:
        root = f"{self._root}/{folder}"
        selector = fs.FileSelector(root, allow_not_found=True, recursive=True)
        files = [info for info in self._fs.get_file_info(selector) if info.is_file]
        return {file.path.removeprefix(f"{root}/"): file.size for file in files}

    def delete(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError), self._secrets_hidden():
            self._fs.delete_file(f"{self._root}/{path}")

    @contextlib.contextmanager
    def _secrets_hidden(self) -> Iterator[None]:
        """Raise an error of pyarrow anew if its text repeats a key of the URI."""
        try:
            yield
        except (OSError, ValueError) as error:
            text = str(error)
            if redacted(text, self._uri) == text:
                raise
            kind = FileNotFoundError if isinstance(error, FileNotFoundError) else OSError
            raise (ValueError if isinstance(error, ValueError) else kind)(
                redacted(text, self._uri)
            ) from None


def open_files(workspace: Path, uri: str | None) -> AbstractFiles:
    """Return the files of the spec's `store.files`, or of the workspace if it is None.

    Args:
        workspace: the folder.
        uri: a path, a `file://` URI or a URI that pyarrow can reach, with its secrets.

    Raises:
        ValueError: pyarrow cannot read the URI.
    """
    if uri is None:
        return LocalFiles(workspace.resolve())
    path = local_path(uri)
    return RemoteFiles(uri) if path is None else LocalFiles(path.absolute())
