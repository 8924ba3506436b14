"""A bulk run from its start to its report: what is listed, what is left, who does it, and when it stops."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from threading import Lock
from typing import Any

from lightpose.errors import ConfigError, StoreError
from lightpose.inference.estimator import PoseEstimator
from lightpose.inference.schedule import DetectSchedule
from lightpose.io.images import max_pixels_allowed
from lightpose.scale.join import IDS, encode_ids
from lightpose.scale.local import At, Engine, LocalEngine, divide_cores
from lightpose.scale.manifest import Head, Manifest, compare, part_name, read_head, sweep, write_manifest
from lightpose.scale.report import Report, Session, Tally, done_shards, summaries, write_report
from lightpose.scale.rows import Summary
from lightpose.scale.settings import Settings, WorkerSettings, describe
from lightpose.scale.source import Listed, open_inputs
from lightpose.scale.store import FolderStore, Store, open_store
from lightpose.scale.video_source import VideoSource, videos_in
from lightpose.scale.video_worker import VideoWorker
from lightpose.scale.worker import ShardDone, ShardWorker

__all__ = ["Progress", "run_bulk"]

_SURE = 100
"""Images that must be done before a share of failures stops a run."""


@dataclass(frozen=True)
class Progress:
    """How far a run is. images: of `total` that are done, those in unfinished shards included; of videos, frames.
    before: that were done when it began. failures: images in finished shards, by status. people: in those. shards:
    finished, of `all_shards`. seconds: since it began to work."""

    images: int = 0
    total: int = 0
    before: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)
    people: int = 0
    shards: int = 0
    all_shards: int = 0
    seconds: float = 0.0

    @property
    def failed(self) -> int:
        """How many images failed."""
        return sum(self.failures.values())

    @property
    def rate(self) -> float:
        """Images a second, this time."""
        return (self.images - self.before) / max(self.seconds, 1e-6)

    @property
    def seconds_left(self) -> float | None:
        """Seconds until it is done, at that rate; None while that is not known."""
        return (self.total - self.images) / self.rate if self.rate > 0 else None


def run_bulk(
    inputs: Sequence[str],
    out: str,
    settings: Settings,
    engine: Engine | None = None,
    *,
    resume: bool = False,
    progress: Callable[[Progress], None] = lambda _: None,
    make_worker: Callable[[WorkerSettings], ShardWorker] | None = None,
) -> Report:
    """Find the people in many images, and write their rows in parts; go on with what is there already.

    engine: where the work is done; processes of this computer, one on each core, if not given. resume: refuse to begin
    anew. progress: called often. make_worker: what makes the worker, if not the one for images or videos.
    Raises ConfigError if `out` holds another run, StoreError if it takes nothing more, ImageError if there is no image,
    and ConfigError if there are more failures than the settings allow. What is done by then stays.
    """
    engine = engine or LocalEngine(*divide_cores(0, 0, settings.network.device))
    source, store = open_inputs(inputs, settings.source(out)), open_store(out)
    of_videos = isinstance(source, VideoSource)
    settings.check_kind(of_videos)
    estimator = settings.network.open(1)
    if of_videos:
        _check_networks(estimator, settings)
    about, networks = settings.about(estimator, of_videos), describe(estimator)
    del estimator  # the workers open their own
    head = _begin(store, source, settings, about, resume)
    told = WorkerSettings(
        settings, tuple(_absolute(each) for each in inputs), _absolute(out), head.run, head.items, networks,
        dict(source.kept_types), engine.threads, max_pixels_allowed(), head.shard,
    )  # fmt: skip
    run = _Run(store, head, engine, settings, progress)
    run.finish((make_worker or (VideoWorker if of_videos else ShardWorker))(told))
    sweep(store, head)
    if of_videos and settings.videos.track:
        store.put(IDS, encode_ids(store, head))
    if isinstance(store, FolderStore):
        store.clear("part-")
    return write_report(store, head)


def _check_networks(estimator: PoseEstimator, settings: Settings) -> None:
    """Raise ConfigError if the networks cannot look through videos."""
    estimator.check_schedule(DetectSchedule(settings.videos.detect_every))
    if estimator.detector.given:
        raise ConfigError("a file of boxes goes by names of images, and frames of videos have none; take a detector")


def _absolute(place: str) -> str:
    """A path from the top of the disk, so that another process finds it; an address as it is."""
    return place if "://" in place else os.path.abspath(place)  # noqa: PTH100 - links stay


def _begin(store: Store, source: Listed, settings: Settings, about: dict[str, Any], resume: bool) -> Head:
    """The run in the store, or a new one. Raises ConfigError if that is another."""
    head, shard = read_head(store), 1 if isinstance(source, VideoSource) else settings.shard
    if head is None:
        if resume:
            raise ConfigError(f"{store.where} holds no run to go on with; leave --resume out to begin one")
        strange = [name for name in store.names() if not name.startswith("_manifest/")]
        if strange and read_head(store) is None:  # else another run was sooner
            raise ConfigError(f"{store.where} is not empty ({strange[0]}) and holds no run; name another place")
        head = write_manifest(store, islice(source.items(), settings.limit), source.kept_types, about, shard)
    else:
        compare(head, about, shard, store.where)
        _check_inputs(Manifest(store, head), source, settings.limit)
    compare(head, about, shard, store.where)
    return head


def _check_inputs(manifest: Manifest, source: Listed, limit: int | None) -> None:
    """Raise ConfigError if the inputs are not those of a run. Videos that have not changed are not cut again."""
    if not isinstance(source, VideoSource):
        manifest.check_inputs(islice(source.items(), limit))
        return
    count = None if limit is None else sum(1 for _ in videos_in(manifest.all_items()))
    manifest.check_inputs(islice(source.videos(), count), videos_in(manifest.all_items()))


class _Run:
    """The shards that are left, and the counts of those that are done."""

    def __init__(
        self, store: Store, head: Head, engine: Engine, settings: Settings, progress: Callable[[Progress], None]
    ) -> None:
        self._store, self._head, self._engine, self._settings = store, head, engine, settings
        self._tell, self._tally = progress, Tally()
        done = done_shards(store, head)
        for summary in summaries(store, head, done):
            self._tally.add(summary)
        there = set(done)
        self._left = [shard for shard in range(head.shards) if shard not in there]
        self._before = self._tally.frames
        self._in_work: dict[int, int] = {}
        self._lock = Lock()
        self._begun_s = time.monotonic()

    def finish(self, worker: ShardWorker) -> None:
        """Have all shards done. Whatever stops it, the report tells what is there."""
        self._report()
        if not self._left:
            return
        session = Session(self._store, self._engine.processes * self._engine.threads)
        try:
            session.save()
            with closing(self._engine.run(worker, self._shards())) as said:
                for each in said:
                    self._take(each, session)
                    self._report()
            self._check_whole()
        except BaseException:
            self._save(session)
            raise
        session.save()

    def _shards(self) -> Iterator[int]:
        """The shards that are left, as they are asked for; those that another run did meanwhile are counted."""
        while True:
            with self._lock:
                if not self._left:
                    return
                shard = self._left.pop(0)
            if not self._store.names(part_name(shard)):
                yield shard
            else:
                [summary] = summaries(self._store, self._head, [shard])
                self._count(summary)

    def _take(self, said: ShardDone | At, session: Session) -> None:
        if isinstance(said, At):
            self._in_work[said.shard] = max(self._in_work.get(said.shard, 0), said.images)
            return
        self._in_work.pop(said.summary.shard, None)
        session.add(said.summary.frames, said.seconds)
        if not said.won:  # another run is at work: do others than it does
            with self._lock:
                random.shuffle(self._left)
        self._count(said.summary)
        self._check_failures()

    def _count(self, summary: Summary) -> None:
        with self._lock:
            self._tally.add(summary)

    def _check_failures(self) -> None:
        """Raise ConfigError if more images fail than may."""
        most, tally = self._settings.max_failures, self._tally
        if most is None:
            return
        enough = tally.images >= min(_SURE, self._head.items)
        if tally.failed > most if most >= 1 else enough and tally.failed > most * tally.images:
            kinds = ", ".join(f"{count:,} {status}" for status, count in tally.failures.items())
            raise ConfigError(
                f"{tally.failed:,} of {tally.images:,} images failed ({kinds}), more than --max-failures allows; "
                f"errors.parquet in {self._store.where} names them, and the same command with a higher limit goes on"
            )

    def _check_whole(self) -> None:
        """Raise StoreError unless all parts are there."""
        lost = self._head.shards - len(done_shards(self._store, self._head))
        if lost:
            raise StoreError(f"{lost} parts are not in {self._store.where}; run the command again")

    def _save(self, session: Session) -> None:
        """Write what is known before it stops; what stopped it is told, not what goes wrong here."""
        try:
            session.save()
            write_report(self._store, self._head)
        except StoreError:
            pass

    def _report(self) -> None:
        tally, head, seconds = self._tally, self._head, time.monotonic() - self._begun_s
        images = min(tally.frames + sum(self._in_work.values()), head.frames)
        shards = tally.shards, head.shards
        self._tell(Progress(images, head.frames, self._before, tally.failures, tally.people, *shards, seconds))
