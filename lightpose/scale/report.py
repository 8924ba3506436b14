"""What came of a run: counts over its parts, failures, and what it cost over all the times that it was begun."""

from __future__ import annotations

import json
import secrets
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from lightpose.errors import StoreError
from lightpose.scale.manifest import Head, part_name
from lightpose.scale.parquet import encode_table, load_arrow
from lightpose.scale.rows import Failure, Summary, read_summary
from lightpose.scale.store import Store
from lightpose.scale.video_rows import JOINT

__all__ = ["ERRORS", "REPORT", "Report", "Session", "Tally", "done_shards", "summaries", "write_report"]

REPORT, ERRORS = "_report.json", "errors.parquet"
_SESSIONS = "_sessions/"
_READERS = 16
_SAVED_S = 60.0


@dataclass
class Tally:
    """Counts of what is done. images, frames: as of a `Summary`. statuses: images by what became of them."""

    shards: int = 0
    images: int = 0
    frames: int = 0
    people: int = 0
    statuses: Counter[str] = field(default_factory=Counter)

    def add(self, summary: Summary) -> None:
        """Count a shard."""
        self.shards += 1
        self.images += summary.images
        self.frames += summary.frames
        self.people += summary.people
        self.statuses.update(summary.statuses)

    @property
    def failures(self) -> dict[str, int]:
        """Images that are not ok, by what became of them."""
        return {status: count for status, count in sorted(self.statuses.items()) if status != "ok"}

    @property
    def failed(self) -> int:
        """How many images are not ok."""
        return sum(self.failures.values())


@dataclass(frozen=True)
class Report:
    """What came of a run. images, people, failures: of the parts that are there. total: images in all. seconds,
    core_hours: over all the times that it was begun; a time that was killed counts up to its last minute. stages:
    seconds of the processes, by stage, which overlap. computed: images that were done, those of lost shards included.
    Of videos, images are ranges of time, and computed counts frames.
    """

    where: str
    run: str
    total: int
    images: int
    frames: int
    people: int
    shards: int
    failures: Mapping[str, int]
    sessions: int
    seconds: float
    core_hours: float
    computed: int
    stages: Mapping[str, float]
    about: Mapping[str, Any]

    @property
    def of_videos(self) -> bool:
        """Whether it was over videos."""
        return self.about.get("rows") == JOINT

    @property
    def finished(self) -> bool:
        """Whether all parts are there."""
        return self.images == self.total

    @property
    def failed(self) -> int:
        """How many images are not ok."""
        return sum(self.failures.values())

    def to_dict(self) -> dict[str, Any]:
        """What the file has."""
        rate = self.computed / self.seconds if self.seconds else None
        cost = 1e6 * self.core_hours / self.computed if self.computed else None
        return {
            "finished": self.finished,
            **{name: value for name, value in asdict(self).items() if name != "where"},
            "failed": self.failed,
            "images_per_second": rate,
            "core_hours_per_million_images": cost,
        }


class Session:
    """What one start of a run took, saved each minute, so that a killed one counts too. cores: at work."""

    def __init__(self, store: Store, cores: int) -> None:
        self._store, self._cores = store, cores
        self._name = f"{_SESSIONS}{secrets.token_hex(8)}.json"
        self._begun_s = self._saved_s = time.monotonic()
        self._started = datetime.now(UTC).isoformat(timespec="seconds")
        self._images, self._stages = 0, Counter[str]()

    def add(self, images: int, stages: Mapping[str, float]) -> None:
        """Count a shard that was done now."""
        self._images += images
        for stage, seconds in stages.items():
            self._stages[stage] += seconds  # type: ignore[assignment]
        if time.monotonic() - self._saved_s > _SAVED_S:
            self.save()

    def save(self) -> None:
        """Write it."""
        self._saved_s = time.monotonic()
        table = {
            "started": self._started,
            "seconds": self._saved_s - self._begun_s,
            "cores": self._cores,
            "images": self._images,
            "stages": dict(self._stages),
        }
        self._store.put(self._name, json.dumps(table).encode())


def done_shards(store: Store, head: Head) -> list[int]:
    """The shards whose parts are there, in order. Raises StoreError if there is a part of a shard that is none."""
    known = {part_name(shard): shard for shard in range(head.shards)}
    names = store.names("part-")
    strange = [name for name in names if name not in known]
    if strange:
        raise StoreError(f"{strange[0]} in {store.where} is no part of the run there; move it away")
    return sorted(known[name] for name in names)


def summaries(store: Store, head: Head, shards: Iterable[int]) -> Iterator[Summary]:
    """What the parts of shards say of themselves. Raises StoreError if one is damaged, or of another run."""

    def read(shard: int) -> Summary:
        name = part_name(shard)
        summary = read_summary(store, name)
        if (summary.run, summary.shard, summary.images) != (head.run, shard, head.size(shard)):
            raise StoreError(f"{name} in {store.where} is of another run; move it away, and run the command again")
        return summary

    with ThreadPoolExecutor(_READERS, thread_name_prefix="summaries") as pool:
        yield from pool.map(read, shards)


def write_report(store: Store, head: Head) -> Report:
    """Count what is there, and write the report and the table of failures."""
    tally, failures = Tally(), _Failures()
    for summary in summaries(store, head, done_shards(store, head)):
        tally.add(summary)
        failures.add(summary)
    sessions = [json.loads(store.read(name)) for name in store.names(_SESSIONS)]
    stages: Counter[str] = Counter()
    for session in sessions:
        stages.update(session["stages"])
    report = Report(
        store.where,
        head.run,
        head.items,
        tally.images,
        tally.frames,
        tally.people,
        tally.shards,
        tally.failures,
        len(sessions),
        sum(session["seconds"] for session in sessions),
        sum(session["seconds"] * session["cores"] for session in sessions) / 3600,
        sum(session["images"] for session in sessions),
        dict(stages),
        head.about,
    )
    store.put(ERRORS, failures.encode())
    store.put(REPORT, json.dumps(report.to_dict(), indent=1, ensure_ascii=False).encode())
    return report


class _Failures:
    """The table of images that are not ok."""

    def __init__(self) -> None:
        self._rows: list[tuple[Failure, int]] = []

    def add(self, summary: Summary) -> None:
        self._rows += [(failure, summary.shard) for failure in summary.failures]

    def encode(self) -> bytes:
        arrow = load_arrow()
        names = (*Failure._fields, "shard")
        columns = zip(*((*failure, shard) for failure, shard in self._rows), strict=True) if self._rows else ((),) * 4
        kinds = (*(arrow.string(),) * 3, arrow.int32())
        arrays = [arrow.array(list(column), kind) for column, kind in zip(columns, kinds, strict=True)]
        return encode_table(arrow.table(arrays, names=list(names)))
