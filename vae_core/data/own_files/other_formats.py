"""Says how to convert a file of another format into one that is read, in two lines of Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

_TORCH = ("import numpy, torch", "torch.load({source!r}, map_location='cpu')")
_PICKLE = ("import numpy, pickle", "pickle.load(open({source!r}, 'rb'))")
_ARRAYS = {
    ".pt": _TORCH,
    ".pth": _TORCH,
    ".ckpt": _TORCH,
    ".pkl": _PICKLE,
    ".pickle": _PICKLE,
    # scipy does not read version 7.3, which is HDF5 with the axes in reverse order
    ".mat": ("import numpy, scipy.io", "scipy.io.loadmat({source!r})"),
    ".safetensors": ("import numpy, safetensors.numpy as s", "s.load_file({source!r})"),
}
"""What reads a dictionary of arrays, by the ending of the file: what to import, and the call."""

_TABLES = {
    ".xlsx": "read_excel",
    ".xls": "read_excel",
    ".ods": "read_excel",
    ".feather": "read_feather",
    ".arrow": "read_feather",
    ".json": "read_json",
    ".dta": "read_stata",
    ".sav": "read_spss",
    ".pkl": "read_pickle",
    ".pickle": "read_pickle",
}
"""What of pandas reads a table, by the ending of the file."""


def how_to_convert(path: Path, keys: Sequence[str] = ()) -> str:
    """Return "; convert it: …" with two lines of Python, "" if the format is not known.

    Args:
        path: of a file that is not read because of its ending.
        keys: the arrays that the file should have; empty if a table is needed.
    """
    suffix, source = path.suffix.lower(), str(path)
    saved = ", ".join(f"{key}=data[{key!r}]" for key in keys)
    if keys and suffix in _ARRAYS:
        imports, call = _ARRAYS[suffix]
        first = f"{imports}; data = {call.format(source=source)}"
        second = f"numpy.savez({str(path.with_suffix('.npz'))!r}, {saved})"
    elif keys and suffix == ".npy":
        first = f"import numpy; data = numpy.load({source!r})"
        second = f"numpy.savez({str(path.with_suffix('.npz'))!r}, {keys[0]}=data)"
    elif suffix in _TABLES:
        first = "import pandas"
        target = str(path.with_suffix(".csv"))
        second = f"pandas.{_TABLES[suffix]}({source!r}).to_csv({target!r}, index=False)"
    elif suffix in (".gz", ".bz2", ".xz", ".zst", ".zip"):
        return "; unpack it"
    elif suffix == ".txt":
        return "; if it is a table, let its name end in .csv: any separator is read"
    else:
        return ""
    version = " (of version 7.3: with h5py, and .T on each array)" if suffix == ".mat" else ""
    return f"; convert it{version}:\n    {first}\n    {second}"
