"""Ids of people over a whole video: those of its parts joined at the seams. The same parts give the same ids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from lightpose.errors import StoreError
from lightpose.scale.manifest import Head, part_name
from lightpose.scale.parquet import encode_table, load_arrow
from lightpose.scale.rows import read_facts
from lightpose.scale.seams import joined_ids, same_people
from lightpose.scale.store import Store
from lightpose.scale.video_rows import JOINT

__all__ = ["IDS", "Joined", "encode_ids", "is_of_videos", "joined_parts"]

IDS = "_ids.parquet"
"""The file that says which id a person of a part has in the whole video."""

_READERS = 16


@dataclass(frozen=True)
class Joined:
    """A part of a video, and for each id in it that of the whole video."""

    shard: int
    video: str
    ids: Mapping[int, int]


def is_of_videos(head: Head) -> bool:
    """Whether a run is over videos."""
    return head.about.get("rows") == JOINT


def joined_parts(store: Store, head: Head) -> Iterator[Joined]:
    """All parts of a run over videos, in order, with the ids of whole videos.

    People count from 1 in each video, in the order in which they come. Raises StoreError if a part is damaged.
    """

    def read(shard: int) -> tuple[int, dict[str, Any]]:
        return shard, _facts(store, part_name(shard))

    with ThreadPoolExecutor(_READERS, thread_name_prefix="join") as pool:
        for video, parts in groupby(pool.map(read, range(head.shards)), key=lambda part: part[1]["video"]):
            before: Mapping[str, Any] = {}
            ids: dict[int, int] = {}
            count = 0
            for shard, facts in parts:
                ids, count = joined_ids(facts["ids"], same_people(before, facts["run_up"]), ids, count)
                before = facts["last"]
                yield Joined(shard, video, ids)


def encode_ids(store: Store, head: Head) -> bytes:
    """The table of ids: `shard`, `source`, the `person` that the part has, and the `id` in the whole video."""
    arrow = load_arrow()
    rows = [(part.shard, part.video, *pair) for part in joined_parts(store, head) for pair in sorted(part.ids.items())]
    columns = list(zip(*rows, strict=True)) or [()] * 4
    kinds = {"shard": arrow.int32(), "source": arrow.string(), "person": arrow.int64(), "id": arrow.int64()}
    arrays = [arrow.array(list(column), kind) for column, kind in zip(columns, kinds.values(), strict=True)]
    return encode_table(arrow.table(arrays, names=list(kinds)))


def _facts(store: Store, name: str) -> dict[str, Any]:
    """What a part of a video says of itself. Raises StoreError if it is damaged."""
    try:
        facts = read_facts(store, name)[1]
        if not facts.keys() >= {"video", "ids", "run_up", "last"}:
            raise StoreError("it is no part of a video")
    except StoreError as error:
        raise StoreError(f"{name} in {store.where}: {error}; remove it, and run the command again") from error
    return facts
