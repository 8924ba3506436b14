"""The work on a range of a video: its frames looked through with a run-up, people tracked, and written as one part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing

from lightpose.errors import ConfigError, ImageError, LightposeError, StoreError, UnreachableError
from lightpose.inference.track import Tracker
from lightpose.io.video import Range, Video
from lightpose.scale.manifest import part_name
from lightpose.scale.settings import WorkerSettings
from lightpose.scale.source import Item
from lightpose.scale.video_rows import RangeRows
from lightpose.scale.video_source import VIDEO, VideoSource
from lightpose.scale.worker import ShardDone, ShardWorker, status_of
from lightpose.types import Frame

__all__ = ["VideoWorker"]

_IN_A_ROW = 3
"""Ranges one after the other that no server gives, beyond which it is not their fault."""


class VideoWorker(ShardWorker):
    """A `ShardWorker` of which each shard is a range of a video."""

    def __init__(self, settings: WorkerSettings) -> None:
        super().__init__(settings)
        self._videos: VideoSource | None = None
        self._unreachable = 0

    def open_inputs(self) -> None:
        """See `ShardWorker`."""
        self._videos = VideoSource(self.settings.inputs, self.settings.settings.source(self.settings.out))

    def run(
        self,
        shard: int,
        poison: Mapping[int, tuple[str, str]] | None = None,
        at: Callable[[int], None] = lambda _: None,
    ) -> ShardDone:
        """Do a range and write its part, unless it is there. at: called with how many of its frames are behind.

        Raises StoreError or ConfigError if the run cannot go on.
        """
        opened, joints = self.open(), self.open().estimator.runtime.spec.skeleton.joints
        self._seconds = dict.fromkeys(("find", "write"), 0.0)
        [item] = opened.manifest.items(shard)
        if poison:
            rows = self._rows(item, Range())
            rows.fail(*poison[0])
        else:
            rows = self._looked_through(item, at)
        with self._timed("write"):
            content, summary = rows.encode(self.settings.run, shard, joints)
            won = opened.store.put_once(part_name(shard), content)
        return ShardDone(summary, won, dict(self._seconds))

    def probe(self, shard: int, numbers: Sequence[int], at: Callable[[int], None] = lambda _: None) -> None:
        """Do a range, and write nothing. at: called with the only number there is."""
        for number in numbers:
            at(number)
            [item] = self.open().manifest.items(shard)
            self._looked_through(item, lambda _, number=number: at(number))  # type: ignore[misc]

    def open_video(self, item: Item) -> tuple[Video, Range]:
        """The frames of an item. Raises as `VideoSource.open` does."""
        assert self._videos is not None
        return self._videos.open(item)

    def _rows(self, item: Item, range_: Range) -> RangeRows:
        return RangeRows(item, item.kept[VIDEO], range_, self.settings.settings.videos.run_up_s)

    def _looked_through(self, item: Item, at: Callable[[int], None]) -> RangeRows:
        """The rows of a range, as far as its frames can be had."""
        rows = self._rows(item, Range())
        try:
            with self._timed("find"):
                video, range_ = self.open_video(item)
                rows = self._rows(item, range_)
                self._find(video, rows, at)
            if lost := "; ".join(video.lost):
                rows.fail("damaged" if len(rows) else "unreadable", lost)
            if not len(rows) and range_.frames:
                rows.fail("unreadable", "no frame of it can be decoded")
        except (ImageError, UnreachableError) as error:
            rows.fail("damaged" if len(rows) else status_of(error), str(error))
            self._count(error)
        else:
            self._unreachable = 0
        return rows

    def _find(self, video: Video, rows: RangeRows, at: Callable[[int], None]) -> None:
        """Add the people of each frame to the rows."""
        options = self.settings.settings.videos
        tracker, last_s = Tracker(options.keep_lost) if options.track else None, 0.0

        def failed(frame: Frame, error: LightposeError) -> None:
            if isinstance(error, ConfigError):
                raise error
            rows.fail("failed", f"the frame at {frame.time_s or 0.0:.2f} s: {error}")

        frames = self.open().estimator.stream(video, failed, track=False, detect_every=options.detect_every)
        with closing(video):
            for frame, found in frames:
                last_s = max(last_s, frame.time_s or 0.0)
                rows.add(found if tracker is None else tracker.update(found, last_s, frame.image))
                at(len(rows))

    def _count(self, error: LightposeError) -> None:
        """Raise StoreError if so many ranges in a row cannot be had that it is not their fault."""
        self._unreachable = self._unreachable + 1 if isinstance(error, UnreachableError) else 0
        if self._unreachable == _IN_A_ROW:
            raise StoreError(f"{_IN_A_ROW} ranges in a row cannot be had, at last: {error}; run it again later")
