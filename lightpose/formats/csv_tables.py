"""Tables as text: long, a row for each joint, or wide, a row for each person and frame."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from lightpose.errors import DataError
from lightpose.formats.base import Options
from lightpose.formats.rows import frames_of_long, frames_of_wide
from lightpose.results import Poses
from lightpose.results.tables import LONG, WIDE_FIRST, long_columns, wide_columns
from lightpose.types import ImageArray

__all__ = ["CsvWriter", "WideCsvWriter", "read_csv"]

_PLACES = {"time_s": 6, "score": 4, "person_score": 4}


class CsvWriter:
    """The long form, in UTF-8, with a point before decimals. A field that is not known is empty."""

    _table = staticmethod(long_columns)

    def __init__(self, file: IO[bytes], _options: Options) -> None:
        self._file, self._begun = file, False

    def write(self, poses: Poses, _image: ImageArray | None = None, /) -> None:
        """Append the rows of a frame."""
        columns = self._table([poses])
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        if not self._begun:
            table.writerow(columns)
            self._begun = True
        table.writerows(zip(*(_texts(name, values) for name, values in columns.items()), strict=True))
        self._file.write(text.getvalue().encode(errors="backslashreplace"))

    def close(self) -> None:
        """A table without frames still names its columns."""
        if not self._begun:
            self._file.write((",".join(LONG) + "\n").encode())


class WideCsvWriter(CsvWriter):
    """The wide form."""

    _table = staticmethod(wide_columns)


def _texts(name: str, values: Any) -> Iterable[str]:
    """The values of a column as they are written."""
    if isinstance(values, list):
        return ["" if value is None else str(value) for value in values]
    if values.dtype.kind in "iu":
        return map(str, values.tolist())
    places = 4 if name.endswith("_score") else _PLACES.get(name, 3)
    return ["" if value != value else f"{value:.{places}f}" for value in values.tolist()]


def read_csv(path: Path, options: Options) -> Iterator[Poses]:
    """The frames of either form, told by the columns."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = csv.reader(file, strict=True)
        try:
            names = next(table, None)
            if names is None:
                raise DataError(f"{path} is empty; give a table with the columns {', '.join(LONG)}")
            rows = _rows(path, table, names)
            if {"joint", "x", "y"} <= set(names):
                _check_columns(path, names, LONG[:2] + LONG[3:7])
                yield from frames_of_long(rows, options)
            else:
                _check_columns(path, names, ("frame", "person"))
                joints = tuple(n[:-2] for n in names if n.endswith("_x") and f"{n[:-2]}_y" in names)
                known = {*WIDE_FIRST, *(f"{joint}_{what}" for joint in joints for what in ("x", "y", "score"))}
                if not joints or not set(names) <= known:
                    odd = next((name for name in names if name not in known), "x")
                    raise DataError(f"{path}:1: the column {odd!r} is not one of a table of poses; leave it out")
                yield from frames_of_wide(rows, joints, options)
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{path}:{table.line_num}: this is no row of a table ({error}); correct it") from error


def _check_columns(path: Path, names: list[str], needed: Iterable[str]) -> None:
    lost = [name for name in needed if name not in names]
    if lost:
        raise DataError(f"{path}:1: the column {lost[0]!r} is missing; a table of poses has it")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{path}:1: the column {twice!r} is there twice; leave one out")


def _rows(path: Path, table: Any, names: list[str]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Each row with where it is."""
    for row in table:
        where = f"{path}:{table.line_num}"
        if not row:
            continue
        if len(row) != len(names):
            raise DataError(f"{where}: {len(row)} fields and {len(names)} columns; quote fields that hold a comma")
        yield where, dict(zip(names, row, strict=True))
