"""From a video to lines of poses and a drawn video: the work of `lightpose predict` on what has time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field, replace
from itertools import chain as joined
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from lightpose.errors import ConfigError, ImageError
from lightpose.inference.estimator import PoseEstimator, schedule_for
from lightpose.inference.folder import checksums, describe_run
from lightpose.inference.interpolate import LONGEST_RUN
from lightpose.inference.rows import read_row
from lightpose.inference.schedule import DetectEvery, with_state
from lightpose.inference.sinks import JsonLines, Sink
from lightpose.inference.stages import Chain, LookAhead, Stage, Timed
from lightpose.inference.video_sinks import DrawnVideo, Window
from lightpose.inference.video_state import Progress, State
from lightpose.io.files import check_folder, check_place
from lightpose.io.places import Place, alone_in, check_apart, with_bin
from lightpose.io.prefetch import behind
from lightpose.io.sources import HELD_BYTES
from lightpose.io.video import Video, suffix_written
from lightpose.results import Poses
from lightpose.types import Frame

__all__ = ["LINES", "STATE", "VideoResults", "predict_video"]

LINES = "poses.jsonl"
STATE = ".lightpose.video.json"
LOCK = ".lightpose.lock"
NO_PIXELS = np.zeros((0, 0, 3), np.uint8)
GROUP = LONGEST_RUN
"""Frames after which no crop waits for others: from there a run can go on with the same batches, to the same bits."""


@dataclass
class VideoResults:
    """What a run found. about: model, detector and settings. frames, people: how many; people count in each frame.

    resumed: frames that an interrupted run had done. dropped: of a live source, those that came too fast. lost: what
    could not be decoded; notes: what was odd. files: what was written. busy_s: how long it took.
    """

    about: dict[str, Any]
    frames: int = 0
    people: int = 0
    resumed: int = 0
    dropped: int = 0
    lost: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    busy_s: float = 0.0


def predict_video(
    video: Video,
    estimator: PoseEstimator,
    out: Path,
    *,
    draw: bool = True,
    show: bool = False,
    restart: bool = False,
    resume: bool = False,
    progress: Callable[[int, float], None] = lambda *_: None,
    sinks: Sequence[Sink] = (),
    stages: Sequence[Stage | LookAhead] = (),
    detect_every: DetectEvery = 1,
) -> VideoResults:
    """Find the poses in a video, and write poses.jsonl and the drawn video into a folder.

    A line is written as soon as its frame is done. The same call goes on where a killed run stopped, and ends as if
    it had not been killed; a live source begins anew. restart: begin anew anyway. resume: refuse to begin anew.
    progress: called with the number of frames done, and the time of the last. sinks: further ones; they get all
    frames, those that were done before too. stages: what changes the poses of each frame in turn, such as a Tracker.
    detect_every: as for `PoseEstimator.stream`. If a stage looks ahead, sinks get the images from a second reading of
    the file, so that none is held for long. Reading, finding and writing overlap. Raises ConfigError if an output is a
    link or a file that is read, if another run writes to `out`, if `out` holds part of a run with other settings, or if
    a stage looks ahead and the source cannot be read twice; ImageError if no frame can be decoded.
    """
    if restart and resume:
        raise ConfigError("--resume goes on with a run and --restart drops it; give one of them")
    chain, schedule = Chain(stages), schedule_for(video, detect_every)
    estimator.check_schedule(schedule)
    if chain.looks_ahead and not video.can_be_read_again:
        raise ConfigError(
            f"{video.name} cannot be smoothed with a look ahead: that needs a file or a folder of images; use one_euro"
        )
    if estimator.detector.given and video.path is not None and not video.path.is_dir():
        raise ConfigError(
            "a file of boxes goes by the names of images, and frames of a video have none; take a detector"
        )
    lines, drawn = out / LINES, out / f"{_stem(video)}{suffix_written()}"
    _check_outputs(video, estimator, [lines, out / STATE, out / LOCK, *([drawn] if draw else [])])
    with alone_in(out, LOCK, "--out"):
        about = describe_run(estimator)
        settings = {**about, **checksums(estimator), **_source(video), "stages": [repr(schedule), *map(repr, stages)]}
        state = State(out / STATE, lines, settings)
        skeleton = estimator.runtime.spec.skeleton
        done = None if restart or video.live else state.read(lambda row: read_row(row, skeleton))
        if resume and done is None:
            raise ConfigError(f"{out} holds no interrupted run to go on with; leave out --resume")
        others: list[Sink] = [*([DrawnVideo(drawn, video)] if draw else []), *([Window(video)] if show else []), *sinks]
        run = _Run(video, estimator, state, done or Progress(), JsonLines(lines, (done or Progress()).size), others)
        run.progress, run.chain, run.schedule = progress, chain, schedule
        begun_s = time.monotonic()
        run.finish_all()
        found = VideoResults(about, run.frames, run.people, (done or Progress()).frames, video.dropped)
        found.lost, found.notes, found.busy_s = video.lost, video.notes, time.monotonic() - begun_s
        found.files = [lines, *([drawn] if draw and run.frames else [])]
        state.remove()
        if not run.frames:
            lines.unlink(missing_ok=True)
            raise ImageError(f"no frame of {video.path or video.name} can be used{_why(video)}")
        return found


class _Run:
    """The frames of a video: read ahead, through the stream, and written behind it."""

    def __init__(
        self,
        video: Video,
        estimator: PoseEstimator,
        state: State,
        done: Progress,
        lines: JsonLines,
        sinks: Sequence[Sink],
    ) -> None:
        self._video, self._estimator, self._state, self._done = video, estimator, state, done
        self._lines, self._sinks = lines, sinks
        self.progress: Callable[[int, float], None] = lambda *_: None
        self.chain, self.schedule = Chain(()), schedule_for(video, 1)
        self.frames = self.people = 0
        self._waiting: deque[Frame] = deque()
        self._again: Iterator[Frame] | None = None

    def finish_all(self) -> None:
        """Do them all, in order; whatever happens, the files are closed."""
        count = 1 if self._video.live else self._estimator.options.batch
        try:
            with (
                closing(self._found()) as found,
                closing(behind(self._write, found, count, HELD_BYTES, _held)) as written,
            ):
                for last_s in written:
                    if last_s is not None:
                        self.progress(self.frames, last_s)
        finally:
            with ExitStack() as all_of_them:  # though one of them fails
                for sink in (*reversed(self._sinks), self._lines):
                    all_of_them.callback(sink.close)

    def _found(self) -> Generator[_Item]:
        """The frames with their poses, and after each group what is to be remembered."""
        with ExitStack() as opened:
            frames = opened.enter_context(closing(iter(self._video)))
            if self.chain.looks_ahead and self._sinks:
                self._again = opened.enter_context(closing(iter(self._video.again())))
            skeleton = self._estimator.runtime.spec.skeleton
            for row, frame in zip(self._state.rows(self._done.frames), frames, strict=False):
                yield _Item(self._shown(frame), read_row(row, skeleton), is_new=False)
            if self._done.frames:
                chain, schedule = self._done.stages
                self.chain.restore(chain, skeleton)
                self.schedule.restore(schedule, skeleton)
            yield from self._new(frames)

    def _new(self, frames: Iterator[Frame]) -> Iterator[_Item]:
        """The frames that were not done yet."""
        number, given, last_s = self._done.taken, self._done.frames, self._done.last_s
        for frame in islice(frames, number - given):  # their poses are held by the stages
            self._wait(frame)
        for group in _groups(frames, 1 if self._video.live else GROUP):
            for frame, found in self._estimator.stream(group, detect_every=self.schedule):
                last_s = max(last_s, frame.time_s or 0.0)
                self._wait(frame)
                poses = found if found.states is not None else with_state(found, "detected")
                for item in self._ready(self.chain.feed(poses, last_s, frame.image)):
                    given += 1
                    yield item
                number += 1
            if not self._video.live and number % GROUP == 0 and given:
                states = (self.chain.state(), self.schedule.state())
                yield _Item(remember=Progress(given, taken=number, last_s=last_s, stages=states))
        yield from self._ready(self.chain.finish())

    def _wait(self, frame: Frame) -> None:
        """Keep a frame until its poses come; without its pixels if it is read again, or if nobody looks at them."""
        self._waiting.append(replace(frame, image=NO_PIXELS) if self.chain.looks_ahead else frame)

    def _ready(self, timed: Sequence[Timed]) -> Iterator[_Item]:
        """The oldest frames that wait, with their poses."""
        return (_Item(self._shown(self._waiting.popleft()), poses) for poses, _ in timed)

    def _shown(self, frame: Frame) -> Frame:
        """The frame with the pixels that sinks get. Raises ImageError if the second reading gives another."""
        if self._again is None:
            return frame
        again = next(self._again, None)
        if again is None or (again.index, again.time_s) != (frame.index, frame.time_s):
            raise ImageError(f"{self._video.name} gave other frames when it was read again; is it being written?")
        return again

    def _write(self, item: _Item) -> float | None:
        """Write a frame to the lines last, so that every frame there has reached all sinks. Gives its time."""
        if item.remember is not None:
            self._state.write(replace(item.remember, size=self._lines.size))
        if item.frame is None or item.poses is None:
            return None
        told = read_row(item.poses.to_dict(), item.poses.skeleton) if item.is_new and self._sinks else item.poses
        for sink in self._sinks:  # they get what the line says, so that a continued run gives them the same
            sink.write(item.frame, told)
        if item.is_new:
            self._lines.write(item.frame, item.poses)
        self.frames += 1
        self.people += len(item.poses)
        return item.frame.time_s or 0.0


@dataclass(frozen=True)
class _Item:
    """A frame and its poses on their way to the sinks, or what is to be remembered when those before are written."""

    frame: Frame | None = None
    poses: Poses | None = None
    is_new: bool = True
    remember: Progress | None = None


def _held(item: _Item) -> int:
    """Bytes of a frame's pixels."""
    return 0 if item.frame is None else item.frame.image.nbytes


def _groups(frames: Iterator[Frame], size: int) -> Iterator[Iterable[Frame]]:
    """The frames in groups of at most that size, none of which is held; each is used up before the next."""
    for first in frames:
        yield [first] if size == 1 else joined([first], islice(frames, size - 1))


def _stem(video: Video) -> str:
    """What the drawn video is called."""
    return Path(video.name).stem or "video"


def _check_outputs(video: Video, estimator: PoseEstimator, writes: Sequence[Path]) -> None:
    """Raise ConfigError if what is to be written would overwrite a file that is read, or is no place for a file."""
    check_folder(writes[0].parent)
    reads = [] if video.path is None else [Place("", video.path)]
    for path in (estimator.path, estimator.detector.path):
        reads += [] if path is None else with_bin(Place("", path))
    check_apart(reads, [Place("the result", path) for path in writes])
    for path in writes:
        if path.exists() or path.is_symlink():
            check_place(path)


def _source(video: Video) -> dict[str, Any]:
    """What tells the video and the taken frames from others."""
    try:
        status = None if video.path is None else video.path.stat()
    except OSError:
        status = None
    stamp = video.stamp if status is None else f"{status.st_size} {status.st_mtime_ns}"
    return {"video": video.name, "stamp": stamp, **asdict(video.timing)}


def _why(video: Video) -> str:
    return f": {'; '.join(video.lost)}" if video.lost else ""
