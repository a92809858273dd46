"""The run table as bytes of a Parquet file."""

from __future__ import annotations

import io
import json

import pandas as pd
import pyarrow as pa
from pyarrow import parquet


def table_bytes(table: pd.DataFrame) -> bytes:
    """Return a run table as Parquet.

    Parquet stores one type per column. A column with values of several types is stored as JSON
    texts.
    """
    stored = table.copy()
    for column in stored.columns:
        try:
            pa.array(stored[column], from_pandas=True)
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            stored[column] = [json.dumps(value, default=str) for value in stored[column]]
    buffer = io.BytesIO()
    parquet.write_table(pa.Table.from_pandas(stored, preserve_index=False), buffer)
    return buffer.getvalue()
