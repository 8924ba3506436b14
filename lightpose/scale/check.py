"""Whether a run is whole: every input once, every part whole and of this run."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np

from lightpose.errors import ConfigError, StoreError
from lightpose.scale.join import IDS, encode_ids, is_of_videos
from lightpose.scale.manifest import Head, Manifest, part_name, read_head
from lightpose.scale.parquet import decode_table
from lightpose.scale.report import Tally, done_shards, summaries
from lightpose.scale.rows import Summary, table_summary
from lightpose.scale.source import Item
from lightpose.scale.store import Store, open_store
from lightpose.scale.video_source import VIDEO

__all__ = ["Checked", "Status", "open_run", "status_of", "verify"]

_MOST_FAULTS = 20


@dataclass(frozen=True)
class Status:
    """How far a run is. tally: of the parts that are there."""

    head: Head
    tally: Tally


@dataclass
class Checked:
    """What `verify` found. images, parts: that are as they should be. faults: sentences, the first twenty; there are
    `count` in all. missing: shards without a part."""

    images: int = 0
    parts: int = 0
    missing: int = 0
    count: int = 0
    faults: list[str] = field(default_factory=list)

    def add(self, fault: str) -> None:
        """Note a fault."""
        self.count += 1
        if len(self.faults) < _MOST_FAULTS:
            self.faults.append(fault)


def open_run(out: str) -> tuple[Store, Head]:
    """The store and the head of the run in it. Raises ConfigError if there is none."""
    store = open_store(out)
    head = read_head(store)
    if head is None:
        raise ConfigError(f"{out} holds no bulk run; name the --out of one")
    return store, head


def status_of(out: str) -> Status:
    """How far the run in a store is, by what its parts say of themselves."""
    store, head = open_run(out)
    tally = Tally()
    for summary in summaries(store, head, done_shards(store, head)):
        tally.add(summary)
    return Status(head, tally)


def verify(out: str) -> Checked:
    """Read all parts of a run and compare them with its manifest: every input has one row, or rows, in its place.

    Each page of a part has a checksum, and each piece of the manifest has its own.
    """
    store, head = open_run(out)
    manifest, checked, there = Manifest(store, head), Checked(), set(done_shards(store, head))
    for shard in range(head.shards):
        if shard not in there:
            checked.missing += 1
            checked.add(f"{part_name(shard)} is not there; run the command again")
            continue
        try:
            _check_part(decode_table(store.read(part_name(shard))), manifest.items(shard), head, shard)
        except StoreError as error:
            checked.add(f"{part_name(shard)}: {error}; remove it, and run the command again")
        else:
            checked.images += head.size(shard)
            checked.parts += 1
    if is_of_videos(head):
        _check_ids(store, head, checked)
    return checked


def _check_part(table: Any, items: list[Item], head: Head, shard: int) -> None:
    """Raise StoreError unless a table is the part of a shard."""
    summary = table_summary(table)
    if (summary.run, summary.shard) != (head.run, shard):
        raise StoreError("it is of another run, or of another shard")
    if is_of_videos(head):
        _check_range(table, items[0].kept[VIDEO], summary)
        return
    columns = [name for name in table.column_names if items and name in items[0].kept]
    rows = zip(*(table[name].to_pylist() for name in ("source", *columns)), strict=True)
    found = [row for row, _ in groupby(rows)] if head.about["rows"] == "person" else list(rows)
    wanted = [(item.source, *(item.kept[name] for name in columns)) for item in items]
    if [row[0] for row in found] != [row[0] for row in wanted]:
        raise StoreError("its rows are not those of its inputs, each once")
    if repr(found) != repr(wanted):  # as NaN is not itself
        raise StoreError("its columns that were kept are not those of its inputs")
    _check_counts(table, summary)


def _check_range(table: Any, video: str, summary: Summary) -> None:
    """Raise StoreError unless a table has the rows of a range of a video."""
    frames = table["frame"].to_numpy()
    if set(table["source"].to_pylist()) - {video} or (np.diff(frames) < 0).any():
        raise StoreError("its rows are not those of its video, frame after frame")
    found = {pair for pair in zip(frames.tolist(), table["person"].to_pylist(), strict=True) if pair[1] is not None}
    if (len(np.unique(frames)), len(found)) != (summary.frames, summary.people):
        raise StoreError("its rows are not those that it counts")


def _check_ids(store: Store, head: Head, checked: Checked) -> None:
    """Note a fault unless the ids of whole videos are those of the parts."""
    if checked.count or not head.about["track"]:
        return
    if IDS not in store.names(IDS) or store.read(IDS) != encode_ids(store, head):
        checked.add(f"{IDS} is not there, or not of these parts; run the command again")


def _check_counts(table: Any, summary: Summary) -> None:
    """Raise StoreError unless the counts of a part are those of its rows."""
    statuses: dict[str, int] = {}
    persons = table["person"].to_pylist() if "person" in table.column_names else None
    people = 0
    for place, status in enumerate(table["status"].to_pylist()):
        if persons is None or persons[place] in (None, 0):
            statuses[status] = statuses.get(status, 0) + 1
        people += persons is not None and persons[place] is not None
    if persons is None:
        people = sum(len(each) for chunk in table["people"].chunks for each in [chunk.flatten()])
    if statuses != dict(summary.statuses) or people != summary.people:
        raise StoreError("its rows are not those that it counts")
