"""Says whether a file is a SQLite database, without opening it behind SQLite's back."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from pathlib import Path


def is_database(file: Path) -> bool:
    """Return whether SQLite takes a file for a database; True also if that cannot be told now.

    The file is opened by SQLite alone. When a process closes any descriptor of a file, the kernel
    drops all locks of the process on it, those of its open SQLite connections too; then another
    process may take the database for unused, and both damage it.

    Raises:
        PermissionError: the file may not be read.
    """
    if not os.access(file, os.R_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))
    with contextlib.closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as db:
        try:
            db.execute("PRAGMA schema_version").fetchone()
        except sqlite3.OperationalError:  # locked, or its log cannot be read without writing
            return True
        except sqlite3.DatabaseError as error:
            return "not a database" not in str(error)
    return True
