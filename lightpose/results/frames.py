"""Columns as a frame of whichever library the caller has."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Literal, get_args

import numpy as np

from lightpose.errors import ConfigError, MissingPackageError

__all__ = ["FrameLibrary", "native_frame"]

FrameLibrary = Literal["pandas", "polars", "pyarrow"]
"""Libraries that `to_frame` can use. If none is named, it takes the first that is installed."""


def native_frame(columns: dict[str, Any], library: FrameLibrary | None = None) -> Any:
    """A frame of pandas, polars or pyarrow.

    columns: arrays of numbers or lists of text, equally long; floats are float32 but for `time_s`. library: one of the
    three; if not given, the first that is installed. Raises ConfigError if it is unknown, MissingPackageError if it is
    not installed.
    """
    import narwhals

    known: tuple[FrameLibrary, ...] = get_args(FrameLibrary)
    if library is not None and library not in known:
        raise ConfigError(f"library {library!r} is unknown; use {', '.join(known)}")
    backend = next((name for name in ((library,) if library else known) if find_spec(name)), None)
    if backend is None:
        raise MissingPackageError(library or "pandas, polars or pyarrow", "tables")
    schema: dict[str, Any] = {}
    for name, values in columns.items():
        kind = values.dtype.kind if isinstance(values, np.ndarray) else "i" if name == "person" else "O"
        real = narwhals.Float64() if name == "time_s" else narwhals.Float32()
        schema[name] = {"f": real, "i": narwhals.Int64(), "u": narwhals.Int64()}.get(kind, narwhals.String())
    return narwhals.from_dict(columns, schema, backend=backend).to_native()
