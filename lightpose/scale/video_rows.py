"""The rows of a range of a video: the long form of `lightpose.formats`, and what the next part is joined by."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field

from lightpose.errors import StoreError
from lightpose.formats.parquet import encode_frames, open_file
from lightpose.io.video import Range
from lightpose.results import Poses
from lightpose.scale.parquet import decode_groups
from lightpose.scale.rows import Failure, Summary, facts_of
from lightpose.scale.seams import Sights
from lightpose.scale.source import Item

__all__ = ["JOINT", "RangeRows"]

JOINT = "joint"
"""What the rows of videos are of, in the words of `RowKind`."""


@dataclass
class RangeRows:
    """The rows of an item, gathered in order. video: its name. run_up_s: before the range, and before the next one.

    The part keeps where people were in the run-up, and at the end, by which ids are joined later.
    """

    item: Item
    video: str
    range_: Range
    run_up_s: float
    _frames: list[Poses] = field(default_factory=list)
    _run_up: Sights = field(default_factory=Sights)
    _last: Sights = field(default_factory=Sights)
    _failure: Failure | None = None

    def add(self, poses: Poses) -> None:
        """The poses of a frame, of the range or of the run-up."""
        time_s, end_s = poses.time_s or 0.0, self.range_.end_s
        if not self.range_.holds(time_s):
            self._run_up.add(poses)
            return
        self._frames.append(poses)
        if end_s is not None and time_s > end_s - self.run_up_s - 1e-3:
            self._last.add(poses)

    def fail(self, status: str, error: str) -> None:
        """What is wrong with the range; the first thing that is told counts."""
        self._failure = self._failure or Failure(self.item.source, status, error)

    def __len__(self) -> int:
        return len(self._frames)

    def encode(self, run: str, shard: int, joints: Sequence[str]) -> tuple[bytes, Summary]:
        """The part's bytes, read back and found equal; and what the part says of itself."""
        failures = [] if self._failure is None else [self._failure]
        statuses = {self._failure.status if self._failure else "ok": 1}
        people = sum(map(len, self._frames))
        summary = Summary(run, shard, 1, people, statuses, failures, frames=len(self._frames))
        ids = {person for poses in self._frames if poses.ids is not None for person in poses.ids.tolist()}
        seams = {"run_up": self._run_up.to_json(), "last": self._last.to_json()}
        facts = {**facts_of(summary, joints, JOINT), "video": self.video, "ids": sorted(ids), **seams}
        content = encode_frames(self._frames, facts)
        if _again(content) != content:
            raise StoreError(f"the rows of shard {shard} are not what was written; the memory may be damaged")
        return content, summary


def _again(content: bytes) -> bytes:
    """The bytes of a file whose row groups were read and written once more."""
    copy, writer = io.BytesIO(), None
    for table in decode_groups(content):
        writer = writer or open_file(copy, table.schema, checksums=True)
        writer.write_table(table)
    if writer is None:
        return content
    writer.close()
    return copy.getvalue()
