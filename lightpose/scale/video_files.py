"""Parts of videos made into files of whole videos, in the long form, with people numbered over each whole video."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from typing import Any

import numpy as np

from lightpose.formats.parquet import KEY, open_file
from lightpose.scale.join import joined_parts
from lightpose.scale.manifest import Head, part_name
from lightpose.scale.parquet import about_of, decode_groups, load_arrow
from lightpose.scale.store import Store

__all__ = ["video_files"]

_FORMAT = ("schema", "joints", "limbs", "image_hw", "about")
"""What of a part's facts is of the format, and so of a whole video too."""


def video_files(
    store: Store, head: Head, rows_per_file: int | None, progress: Callable[[int], None]
) -> Iterator[tuple[str, bytes]]:
    """Names and bytes: a file for each video with rows; or files of so many rows, in which videos follow each other."""
    names = _Names()
    for number, (video, tables) in enumerate(_by_file(store, head, rows_per_file, progress)):
        file = _File()
        for table in tables:
            file.write(table)
        if (content := file.close()) is not None:
            yield f"rows-{number:05}.parquet" if rows_per_file else names(video), content


def _by_file(
    store: Store, head: Head, rows_per_file: int | None, progress: Callable[[int], None]
) -> Iterator[tuple[str, Iterator[Any]]]:
    """The row groups of each file, and the first video in it."""
    rows = 0

    def file_of(group: tuple[str, Any]) -> tuple[str, int]:
        nonlocal rows
        rows += len(group[1])
        return ("", (rows - 1) // rows_per_file) if rows_per_file else (group[0], 0)

    for (video, _), groups in groupby(_groups(store, head, progress), key=file_of):
        yield video, (table for _, table in groups)


def _groups(store: Store, head: Head, progress: Callable[[int], None]) -> Iterator[tuple[str, Any]]:
    """The row groups of all parts, with the ids of whole videos."""
    for part in joined_parts(store, head):
        for table in decode_groups(store.read(part_name(part.shard))):
            yield part.video, _renamed(table, part.ids)
        progress(part.shard + 1)


def _renamed(table: Any, ids: Mapping[int, int]) -> Any:
    """A table of the long form with other ids; those who are not tracked keep their numbers."""
    place = table.schema.get_field_index("person")
    people = np.array([np.nan if each is None else each for each in table["person"].to_pylist()], np.float64)
    known, numbers = np.unique(people[np.isfinite(people)], return_inverse=True)
    others = np.array([ids.get(int(each), int(each)) for each in known.tolist()], np.float64)
    people[np.isfinite(people)] = others[numbers]
    column = load_arrow().array(people, from_pandas=True).cast(table.schema.field(place).type)
    return table.set_column(place, table.schema.field(place), column)


class _File:
    """A file of the long form, written to memory."""

    def __init__(self) -> None:
        self._content = io.BytesIO()
        self._writer: Any = None

    def write(self, table: Any) -> None:
        """Add a row group."""
        if self._writer is None:
            about = about_of(table.schema.metadata)
            kept = {name: about[name] for name in _FORMAT if name in about}
            self._writer = open_file(self._content, table.schema.with_metadata({KEY: json.dumps(kept)}), True)
        self._writer.write_table(table)

    def close(self) -> bytes | None:
        """The bytes; None if there was no row."""
        if self._writer is None:
            return None
        self._writer.close()
        return self._content.getvalue()


class _Names:
    """Makes names of files out of those of videos, no two alike: letters, digits, dots, lines and underscores."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def __call__(self, video: str) -> str:
        plain = re.sub(r"[^A-Za-z0-9.-]+", "_", video).strip("._-") or "video"
        free, count = plain, 1
        while free.lower() in self._taken:
            count += 1
            free = f"{plain}-{count}"
        self._taken.add(free.lower())
        return f"{free}.parquet"
