"""A bulk run from its start to its report: what is listed, what is left, who does it, and when it stops."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from threading import Lock
from typing import Any

from lightpose.errors import ConfigError, StoreError
from lightpose.io.images import max_pixels_allowed
from lightpose.scale.local import At, Engine, LocalEngine, divide_cores
from lightpose.scale.manifest import Head, Manifest, compare, part_name, read_head, sweep, write_manifest
from lightpose.scale.report import Report, Session, Tally, done_shards, summaries, write_report
from lightpose.scale.rows import Summary
from lightpose.scale.settings import Settings, WorkerSettings, describe
from lightpose.scale.source import Source, open_source
from lightpose.scale.store import FolderStore, Store, open_store
from lightpose.scale.worker import ShardDone, ShardWorker

__all__ = ["Progress", "run_bulk"]

_SURE = 100
"""Images that must be done before a share of failures stops a run."""


@dataclass(frozen=True)
class Progress:
    """How far a run is. images: of `total` that are done, those in unfinished shards included. failed: of those in
    finished ones. before: that were done when it began. seconds: since it began to work."""

    images: int
    total: int
    failed: int
    before: int
    seconds: float

    @property
    def rate(self) -> float:
        """Images a second, this time."""
        return (self.images - self.before) / max(self.seconds, 1e-6)


def run_bulk(
    inputs: Sequence[str],
    out: str,
    settings: Settings,
    engine: Engine | None = None,
    *,
    resume: bool = False,
    progress: Callable[[Progress], None] = lambda _: None,
    make_worker: Callable[[WorkerSettings], ShardWorker] = ShardWorker,
) -> Report:
    """Find the people in many images, and write their rows in parts; go on with what is there already.

    engine: where the work is done; processes of this computer, one on each core, if not given. resume: refuse to begin
    anew. progress: called often. make_worker: what makes the worker.
    Raises ConfigError if `out` holds another run, StoreError if it takes nothing more, ImageError if there is no image,
    and ConfigError if there are more failures than the settings allow. What is done by then stays.
    """
    engine = engine or LocalEngine(*divide_cores(0, 0, settings.network.device))
    source, store = open_source(inputs, settings.source(out)), open_store(out)
    estimator = settings.network.open(1)
    about, networks = settings.about(estimator), describe(estimator)
    del estimator  # the workers open their own
    head = _begin(store, source, settings, about, resume)
    told = WorkerSettings(
        settings, tuple(_absolute(each) for each in inputs), _absolute(out), head.run, head.items, networks,
        dict(source.kept_types), engine.threads, max_pixels_allowed(),
    )  # fmt: skip
    run = _Run(store, head, engine, settings, progress)
    run.finish(make_worker(told))
    sweep(store, head)
    if isinstance(store, FolderStore):
        store.clear("part-")
    return write_report(store, head)


def _absolute(place: str) -> str:
    """A path from the top of the disk, so that another process finds it; an address as it is."""
    return place if "://" in place else os.path.abspath(place)  # noqa: PTH100 - links stay


def _begin(store: Store, source: Source, settings: Settings, about: dict[str, Any], resume: bool) -> Head:
    """The run in the store, or a new one. Raises ConfigError if that is another."""
    head = read_head(store)
    if head is None:
        if resume:
            raise ConfigError(f"{store.where} holds no run to go on with; leave --resume out to begin one")
        strange = [name for name in store.names() if not name.startswith("_manifest/")]
        if strange and read_head(store) is None:  # else another run was sooner
            raise ConfigError(f"{store.where} is not empty ({strange[0]}) and holds no run; name another place")
        head = write_manifest(store, islice(source.items(), settings.limit), source.kept_types, about, settings.shard)
    else:
        compare(head, about, settings.shard, store.where)
        Manifest(store, head).check_inputs(islice(source.items(), settings.limit))
    compare(head, about, settings.shard, store.where)
    return head


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
        self._before = self._tally.images
        self._in_work: dict[int, int] = {}
        self._lock = Lock()
        self._begun_s = time.monotonic()

    def finish(self, worker: ShardWorker) -> None:
        """Have all shards done. Whatever stops it, the report tells what is there."""
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
        session.add(said.summary.images, said.seconds)
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
        images = min(self._tally.images + sum(self._in_work.values()), self._head.items)
        seconds = time.monotonic() - self._begun_s
        self._tell(Progress(images, self._head.items, self._tally.failed, self._before, seconds))
