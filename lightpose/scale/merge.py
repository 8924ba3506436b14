"""Parts made into fewer and larger files, with the same rows in the same order."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

from lightpose.errors import ConfigError
from lightpose.limits import check_range
from lightpose.scale.check import open_run
from lightpose.scale.join import is_of_videos
from lightpose.scale.manifest import part_name
from lightpose.scale.parquet import decode_table, load_arrow
from lightpose.scale.report import done_shards
from lightpose.scale.store import Store, open_store
from lightpose.scale.video_files import video_files

__all__ = ["merge"]

_ROWS = 1_000_000


def merge(
    out: str, to: str, rows_per_file: int | None = None, progress: Callable[[int], None] = lambda _: None
) -> list[str]:
    """Write the rows of a finished run into files of so many rows each; the names of the files.

    rows_per_file: a million if not given; of videos, then all of one video, with people numbered over the whole of it.
    The parts stay. One file is in memory at a time. progress: called with the number of parts that are read.
    Raises ConfigError if the run is not finished, or `to` is not empty.
    """
    if rows_per_file is not None:
        check_range("rows_per_file", rows_per_file, 1, 2**31)
    store, head = open_run(out)
    left = head.shards - len(done_shards(store, head))
    if left:
        raise ConfigError(f"{left} of {head.shards} parts are not in {out} yet; run the command again first")
    target = open_store(to)
    if target.names():
        raise ConfigError(f"{to} is not empty; name a new place")
    if is_of_videos(head):
        files = video_files(store, head, rows_per_file, progress)
    else:
        groups = _cut(_tables(store, head.shards, progress), rows_per_file or _ROWS)
        files = ((f"rows-{number:05}.parquet", _encoded(group)) for number, group in enumerate(groups))
    names = []
    for name, content in files:
        names.append(name)
        target.put(name, content)
    return names


def _tables(store: Store, shards: int, progress: Callable[[int], None]) -> Iterator[Any]:
    for shard in range(shards):
        yield decode_table(store.read(part_name(shard))).replace_schema_metadata(None)
        progress(shard + 1)


def _cut(tables: Iterator[Any], rows: int) -> Iterator[list[Any]]:
    """Groups of tables with so many rows together."""
    group: list[Any] = []
    room = rows
    for table in tables:
        rest = table
        while len(rest) >= room:
            yield [*group, rest.slice(0, room)]
            group, rest, room = [], rest.slice(room), rows
        if len(rest):
            group.append(rest)
            room -= len(rest)
    if group:
        yield group


def _encoded(tables: list[Any]) -> bytes:
    arrow = load_arrow()
    buffer = io.BytesIO()
    with arrow.parquet.ParquetWriter(buffer, tables[0].schema, compression="zstd", write_page_checksum=True) as writer:
        for table in tables:
            writer.write_table(table)
    return buffer.getvalue()
