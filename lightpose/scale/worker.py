"""The work on a shard: its images read, looked through and written as one part. All engines use this class."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lightpose.errors import (
    ConfigError,
    ImageError,
    ImageMissingError,
    ImageTooLargeError,
    LightposeError,
    StoreError,
    UnreachableError,
)
from lightpose.inference.estimator import PoseEstimator
from lightpose.io.images import MAX_PIXELS_SETTING, decode_image
from lightpose.io.prefetch import ahead
from lightpose.io.sources import HELD_BYTES
from lightpose.scale.manifest import Manifest, part_name, read_head
from lightpose.scale.prefetch import ahead_of_all
from lightpose.scale.rows import PartRows, RowKind, Summary
from lightpose.scale.settings import WorkerSettings, describe
from lightpose.scale.source import Item, Source, open_source
from lightpose.scale.store import Store, open_store
from lightpose.types import Frame, ImageArray

__all__ = ["Poison", "ShardDone", "ShardWorker", "status_of"]

READERS = 4
"""Images that are fetched at a time; of a disk they come at once, of a server after a while."""

_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 30.0
_IN_A_ROW = 20
"""Images one after the other that no server gives, beyond which it is not the images' fault."""


Poison = Mapping[int, tuple[str, str]]
"""Images of a shard that are not to be touched, by number, with their status and why."""


@dataclass(frozen=True)
class ShardDone:
    """A shard whose part is there. won: whether it was written now; else another run was sooner, or it was there.

    seconds: of the work, by stage; stages overlap.
    """

    summary: Summary
    won: bool
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _Got:
    """An image on its way: its pixels, or why there are none."""

    number: int
    item: Item
    image: ImageArray | LightposeError


class ShardWorker:
    """Does shards, one after the other, with one runtime. It opens it with the first; a copy or pickle opens its own.

    worker = ShardWorker(settings)
    done = worker.run(shard)  # once the part is in the store, whoever wrote it
    """

    def __init__(self, settings: WorkerSettings) -> None:
        self.settings = settings
        self._opened: _Opened | None = None
        self._source: Source | None = None
        self._seconds: dict[str, float] = {}

    def __reduce__(self) -> tuple[type[ShardWorker], tuple[WorkerSettings]]:
        return type(self), (self.settings,)

    def open(self) -> _Opened:
        """Open what the work needs, if it is not open yet.

        Raises ConfigError if the networks, or the run in the store, are not those that the run began with.
        """
        if self._opened is None:
            told = self.settings
            os.environ[MAX_PIXELS_SETTING] = str(told.max_pixels)
            store = open_store(told.out)
            head = read_head(store)
            if head is None or head.run != told.run:
                raise ConfigError(f"{told.out} holds another run by now; name another place with --out")
            estimator = told.settings.network.open(told.threads)
            _check_same(describe(estimator), told.about)
            self.open_inputs()
            self._opened = _Opened(store, Manifest(store, head), estimator)
        return self._opened

    def open_inputs(self) -> None:
        """Open what the images are read from; called once."""
        self._source = open_source(self.settings.inputs, self.settings.settings.source(self.settings.out))

    def run(
        self,
        shard: int,
        poison: Mapping[int, tuple[str, str]] | None = None,
        at: Callable[[int], None] = lambda _: None,
    ) -> ShardDone:
        """Do a shard and write its part, unless it is there.

        at: called often, with how many images are behind; if it is not for long, the work has stopped. Raises
        StoreError or ConfigError if the run cannot go on.
        """
        opened, name = self.open(), part_name(shard)
        self._seconds = dict.fromkeys(("fetch", "decode", "find", "write"), 0.0)
        items = opened.manifest.items(shard)
        rows = PartRows(items, opened.estimator.runtime.spec.skeleton.joints, self.settings.kept_types, self._kind)
        for number, (status, why) in (poison or {}).items():
            rows.fail(number, status, why)
        self._fill(rows, [(n, item) for n, item in enumerate(items) if n not in (poison or {})], at)
        with self._timed("write"):
            content, summary = rows.encode(self.settings.run, shard)
            won = opened.store.put_once(name, content)
        return ShardDone(summary, won, dict(self._seconds))

    def probe(self, shard: int, numbers: Sequence[int], at: Callable[[int], None] = lambda _: None) -> None:
        """Do some images of a shard, by number and one at a time, and write nothing. at: called with each before."""
        opened = self.open()
        items = opened.manifest.items(shard)
        rows = PartRows(items, opened.estimator.runtime.spec.skeleton.joints, self.settings.kept_types, self._kind)
        for number in numbers:
            at(number)
            self._fill(rows, [(number, items[number])], lambda _: None)

    def read(self, item: Item) -> bytes:
        """The bytes of an image. Raises as `Source.read` does."""
        assert self._source is not None
        return self._source.read(item.place)

    @property
    def _kind(self) -> RowKind:
        return self.settings.settings.rows

    def _fill(self, rows: PartRows, items: Sequence[tuple[int, Item]], at: Callable[[int], None]) -> None:
        """Add a row for each of the images."""
        estimator, begun_s = self.open().estimator, time.perf_counter()
        sizes: dict[int, tuple[int, int]] = {}

        def failed(frame: Frame, error: LightposeError) -> None:
            if isinstance(error, ConfigError):
                raise error
            rows.fail(frame.index, "failed", str(error), sizes.pop(frame.index))

        with closing(self._frames(rows, items, sizes, at)) as frames:
            for frame, poses in estimator.stream(frames, failed):
                rows.add(frame.index, poses, sizes.pop(frame.index))
                at(frame.index + 1)
        self._seconds["find"] = self._seconds.get("find", 0.0) + time.perf_counter() - begun_s

    def _frames(
        self,
        rows: PartRows,
        items: Iterable[tuple[int, Item]],
        sizes: dict[int, tuple[int, int]],
        at: Callable[[int], None],
    ) -> Generator[Frame]:
        """The images as frames, fetched and decoded ahead; those that cannot be had get their rows here."""
        batch, in_a_row, last = self.settings.settings.network.batch, 0, 0

        def fetch(numbered: tuple[int, Item]) -> tuple[int, Item, bytes | LightposeError]:
            with self._timed("fetch"):
                return (*numbered, self._fetched(numbered[1], lambda: at(last)))

        fetched = ahead_of_all(fetch, items, READERS, batch + READERS, HELD_BYTES, lambda got: _size(got[2]))
        with closing(fetched), closing(ahead(self._decoded, fetched, batch, HELD_BYTES, _held)) as decoded:
            for got in decoded:
                in_a_row = in_a_row + 1 if isinstance(got.image, UnreachableError) else 0
                if in_a_row == _IN_A_ROW:
                    raise StoreError(
                        f"{_IN_A_ROW} images in a row cannot be had, at last: {got.image}; run it again later"
                    )
                if isinstance(got.image, LightposeError):
                    rows.fail(got.number, status_of(got.image), str(got.image))
                    at(last)
                    continue
                last = got.number
                sizes[got.number] = got.image.shape[0], got.image.shape[1]
                yield Frame(got.image, got.item.source, got.number, path=Path(got.item.place))

    def _fetched(self, item: Item, alive: Callable[[], None]) -> bytes | LightposeError:
        """The bytes of an image, after as many tries as it takes, or why they cannot be had."""
        for count in range(self.settings.settings.tries):
            if count:
                longest = min(_FIRST_WAIT_S * 2**count, _LONGEST_WAIT_S)
                time.sleep(longest * random.uniform(0.5, 1.0))
                alive()
            try:
                return self.read(item)
            except UnreachableError as error:
                last = error
            except ImageError as error:
                return error
        return last

    def _decoded(self, fetched: tuple[int, Item, bytes | LightposeError]) -> _Got:
        number, item, content = fetched
        if isinstance(content, LightposeError):
            return _Got(number, item, content)
        with self._timed("decode"):
            try:
                return _Got(number, item, decode_image(content, item.source))
            except ImageError as error:
                return _Got(number, item, error)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        begun_s = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[stage] = self._seconds.get(stage, 0.0) + time.perf_counter() - begun_s


@dataclass(frozen=True)
class _Opened:
    """What a worker holds open."""

    store: Store
    manifest: Manifest
    estimator: PoseEstimator


def _check_same(now: Mapping[str, object], before: Mapping[str, object]) -> None:
    """Raise ConfigError, which says what differs, unless the networks are those that the run began with."""
    for name, value in before.items():
        if now.get(name) != value:
            hint = "give --precision float32 where the CPUs differ" if name == "precision" else "bring the file back"
            raise ConfigError(f"{name} was {value} when the run began, and is {now.get(name)} here; {hint}")


def status_of(error: LightposeError) -> str:
    """What becomes of an image that cannot be had, or of a range of a video."""
    match error:
        case ImageMissingError():
            return "missing"
        case ImageTooLargeError():
            return "too_large"
        case UnreachableError():
            return "unreachable"
        case _:
            return "unreadable"


def _size(content: bytes | LightposeError) -> int:
    return len(content) if isinstance(content, bytes) else 0


def _held(got: _Got) -> int:
    return 0 if isinstance(got.image, LightposeError) else got.image.nbytes
