"""Where people are between two frames in which the detector ran: for files, which can be looked ahead in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightpose.errors import ConfigError, LightposeError
from lightpose.inference.schedule import DetectEvery, check_every, with_state
from lightpose.inference.track import Tracker
from lightpose.io.sources import HELD_BYTES
from lightpose.ops.boxes import iou, to_xyxy
from lightpose.results import Boxes, Poses
from lightpose.types import Frame

__all__ = ["LONGEST_RUN", "LookAheadSchedule", "interpolated"]

USUAL_S, LONGEST_S = 0.24, 1.0
"""How long `auto` goes without the detector, usually and in a still scene. Where somebody came or left, it goes back
and detects in the middle, down to half of the usual."""

STILL = 0.75
"""Least overlap of everybody's boxes in a still scene."""

LONGEST_RUN = 64
"""The detector runs in each frame of such a number: from there a run can go on, to the same bits."""


PAIRING = Tracker(sure=0, least=0, confirm=False, least_likeness=0.2, keep_lost_s=2.2)
"""Pairs people of two detections. More may lie between them than between two frames, so less likeness is enough."""


@dataclass(frozen=True)
class _Sights:
    """Where people were seen last: ids (N,), boxes (N,), and times (N,) in seconds."""

    ids: NDArray[np.int64]
    boxes: Boxes
    seen_s: NDArray[np.float64]

    def __getitem__(self, which: NDArray[Any]) -> _Sights:
        return _Sights(self.ids[which], self.boxes[which], self.seen_s[which])

    def then(self, ids: NDArray[np.int64], boxes: Boxes, time_s: float) -> _Sights:
        """With those who are seen now; the others stay as long as they may be known again."""
        kept = self[~np.isin(self.ids, ids) & (time_s - self.seen_s <= PAIRING.keep_lost_s)]
        return _Sights(
            np.concatenate([kept.ids, ids]),
            _joined(kept.boxes, boxes),
            np.concatenate([kept.seen_s, np.full(len(ids), time_s)]),
        )


def _nobody() -> _Sights:
    return _Sights(np.zeros(0, np.int64), Boxes(np.zeros((0, 4), np.float32)), np.zeros(0))


@dataclass(eq=False)
class LookAheadSchedule:
    """Says in which frames of one file the detector runs; between two of them people move in straight lines.

    People are paired by a tracker of its own. Who was missed for a while and is known again moves from the last sight.
    Who is found in the first of the two frames only walks on for half of the time, and who is new stands still for the
    other half. every: detects in one of so many frames; `auto`: every 0.24 s, twice as often where
    somebody comes or leaves, and less and less, up to once a second, where nobody moves. Raises ConfigError if it is
    neither.
    """

    every: DetectEvery = 1
    _sights: _Sights = field(default_factory=_nobody, init=False, repr=False)
    _image_hw: tuple[int, int] | None = field(default=None, init=False, repr=False)
    _time_s: float = field(default=0.0, init=False, repr=False)
    _gap_s: float = field(default=USUAL_S, init=False, repr=False)
    _count: int = field(default=0, init=False, repr=False)
    _pairing: Tracker = field(default_factory=lambda: copy(PAIRING), init=False, repr=False)

    def __post_init__(self) -> None:
        check_every(self.every)

    def reset(self) -> None:
        """Begin anew, with a detection."""
        self._sights, self._image_hw, self._gap_s = _nobody(), None, USUAL_S
        self._pairing.reset()

    @property
    def image_hw(self) -> tuple[int, int] | None:
        """The size of the frame in which the detector ran last."""
        return self._image_hw

    def reaches(self, frames: Sequence[Frame], first: int = 0) -> int:
        """How many of the frames after the last detection to take, with a detection in the last of them; 0 if there
        may be more to come.

        first: so many of them are taken before, with a detection in the last. If `every` is `auto`, what comes then is
        a guess: a still scene stays still, and another does not.
        """
        most = LONGEST_RUN - (self._count + first) % LONGEST_RUN
        if self._image_hw is None and not first:
            return 1
        if self.every != "auto":
            return self._taken(min(most, self.every), frames, first)
        times = self._times(frames)
        gone_s = times[first:] - (times[first - 1] if first else self._time_s)
        steps = np.diff(gone_s, prepend=0.0)
        gap_s = min(2 * self._gap_s, LONGEST_S) if first and self._gap_s > USUAL_S else self._gap_s
        over = np.flatnonzero(gone_s + steps > gap_s + 1e-6)  # the next frame would come too late
        most = min([most, *(over[:1] + 1).tolist()])
        return self._taken(most, frames, first)

    @staticmethod
    def _taken(most: int, frames: Sequence[Frame], first: int) -> int:
        """As many of the frames after the first ones, all if they are too large to hold more, or 0: wait for more."""
        left = len(frames) - first
        return most if left >= most else left if not first and _nbytes(frames) >= HELD_BYTES else 0

    def accepts(self, poses: Poses, frames: Sequence[Frame]) -> bool:
        """Whether people found in the last of the frames can be joined with those of the last detection; if not, the
        detector must run in between."""
        if self.every != "auto" or self._image_hw is None or len(frames) == 1:
            return True
        gone_s = float(self._times(frames)[-1]) - self._time_s
        all_there, overlap = self._compared(poses, self._named(poses, frames)[0])
        still = gone_s <= USUAL_S + 1e-6 or overlap >= STILL
        return (all_there and still) or gone_s <= USUAL_S / 2 + 1e-6

    def between(self, poses: Poses, frames: Sequence[Frame]) -> list[Boxes]:
        """The boxes in all frames but the last, of which the poses are; these end the stretch."""
        ids, pairing = self._named(poses, frames)
        all_there, overlap = self._compared(poses, ids)
        times = self._times(frames)
        found = [self._at(number, times, poses, ids) for number in range(len(frames) - 1)]
        self._gap_s = min(2 * self._gap_s, LONGEST_S) if len(ids) and all_there and overlap >= STILL else USUAL_S
        self._sights = self._sights.then(ids, poses.boxes, float(times[-1]))
        self._pairing, self._time_s = pairing, float(times[-1])
        height, width = frames[-1].image.shape[:2]
        self._image_hw, self._count = (height, width), self._count + len(frames)
        return found

    def _at(self, number: int, times: NDArray[np.float64], poses: Poses, ids: NDArray[np.int64]) -> Boxes:
        """The boxes in a frame of a stretch, at whose end those with the ids were found."""
        before = self._sights
        _, mine, theirs = np.intersect1d(before.ids, ids, assume_unique=True, return_indices=True)
        whole = times[-1] - before.seen_s[mine]
        steps = (number + 1) / len(times)  # where time stands still, frames count
        share = np.where(whole > 0, (times[number] - before.seen_s[mine]) / np.where(whole > 0, whole, 1), steps)
        moved = _mixed(before.boxes[mine], poses.boxes[theirs], share.astype(np.float32))
        gone = times[-1] - self._time_s
        part = (times[number] - self._time_s) / gone if gone > 0 else steps
        if part > 0.5:
            return _joined(moved, poses.boxes[~np.isin(ids, before.ids)])
        left = before[~np.isin(before.ids, ids) & (before.seen_s == self._time_s)]
        return _joined(moved, self._walked(left, float(times[number])))

    def _walked(self, sights: _Sights, time_s: float) -> Boxes:
        """Where those who were in the last detection should be at a time; who has left the image is left out."""
        (ids, before), (known, then) = self._pairing.forecast(self._time_s), self._pairing.forecast(time_s)
        steps = _middles(then) - _middles(before[np.isin(ids, known)])  # in the same order
        _, mine, theirs = np.intersect1d(sights.ids, known, assume_unique=True, return_indices=True)
        boxes = sights.boxes[mine]
        walked = Boxes(np.concatenate([boxes.xywh[:, :2] + steps[theirs], boxes.xywh[:, 2:]], 1), boxes.scores)
        height, width = self._image_hw or (np.inf, np.inf)
        middles = _middles(walked)
        return walked[np.flatnonzero(np.all((middles >= 0) & (middles <= [width, height]), axis=1))]

    def shorten(self) -> None:
        """Detect as often as usual again."""
        self._gap_s = USUAL_S

    def state(self) -> dict[str, Any]:
        """All that `restore` needs to go on as if there had been no break, ready for JSON."""
        return {
            "boxes": self._sights.boxes.xywh.tolist(),
            "box_scores": self._sights.boxes.scores.tolist(),
            "ids": self._sights.ids.tolist(),
            "seen_s": self._sights.seen_s.tolist(),
            "image_hw": None if self._image_hw is None else list(self._image_hw),
            "time_s": self._time_s,
            "gap_s": self._gap_s,
            "count": self._count,
            "pairing": self._pairing.state(),
        }

    def restore(self, state: dict[str, Any], *_: object) -> None:
        """Go on from a `state`. Raises ConfigError if it is none."""
        try:
            xywh = np.array(state["boxes"], np.float32).reshape(-1, 4)
            boxes = Boxes(xywh, np.array(state["box_scores"], np.float32))
            ids = np.array(state["ids"], np.int64).reshape(len(xywh))
            self._sights = _Sights(ids, boxes, np.array(state["seen_s"], np.float64).reshape(len(xywh)))
            hw = state["image_hw"]
            self._image_hw = None if hw is None else (int(hw[0]), int(hw[1]))
            self._time_s, self._gap_s = float(state["time_s"]), float(state["gap_s"])
            self._count = int(state["count"])
            self._pairing.restore(state["pairing"])
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ConfigError(f"this is no state of a schedule ({error}); take it from its state()") from error

    def _times(self, frames: Sequence[Frame]) -> NDArray[np.float64]:
        """The times of the frames, none before that of the one before."""
        if any(frame.time_s is None for frame in frames):
            raise ConfigError("a schedule needs frames with times; a still image has none")
        times = np.array([frame.time_s for frame in frames], np.float64)
        return np.maximum.accumulate(times if self._image_hw is None else np.maximum(times, self._time_s))

    def _named(self, poses: Poses, frames: Sequence[Frame]) -> tuple[NDArray[np.int64], Tracker]:
        """Ids (N,) of the people in the last frame, and the tracker that has seen them."""
        pairing = copy(self._pairing)
        ids = pairing.update(poses, float(self._times(frames)[-1]), frames[-1].image).ids
        return np.zeros(0, np.int64) if ids is None else ids, pairing

    def _compared(self, poses: Poses, ids: NDArray[np.int64]) -> tuple[bool, float]:
        """Whether the people of the last detection and those with the ids are the same, and the least overlap of the
        two boxes of one who is; 1 if there is none."""
        last = self._sights[self._sights.seen_s == self._time_s]
        both, mine, theirs = np.intersect1d(last.ids, ids, assume_unique=True, return_indices=True)
        before, after = (to_xyxy(boxes.xywh.astype(np.float64)) for boxes in (last.boxes[mine], poses.boxes[theirs]))
        overlap = float(np.diagonal(iou(before, after)).min(initial=1.0))
        return len(both) == len(ids) == len(last.ids), overlap


def interpolated(
    frames: Iterable[Frame],
    detect: Callable[[Sequence[Frame]], list[Poses]],
    predict: Callable[[Sequence[Frame], Sequence[Boxes]], Iterable[tuple[Frame, Poses]]],
    schedule: LookAheadSchedule,
    failed: Callable[[Frame, LightposeError], None] | None = None,
) -> Iterator[tuple[Frame, Poses]]:
    """Yield each frame with its poses, in order, as the schedule says. At most two seconds of frames are held.

    detect: the people of each of some frames, who are found in it; it gets two frames where it can, since two are done
    faster than one after the other. predict: those of some frames, with their boxes. failed: called with each frame in
    which people cannot be found; it is left out. Without it, the error is raised.
    """
    waiting = _Waiting(detect, predict, schedule, failed)
    for frame in frames:
        if not waiting.follows(frame):
            yield from waiting.do_all(is_end=True)
            schedule.reset()
        waiting.frames.append(frame)
        yield from waiting.do_all()
    yield from waiting.do_all(is_end=True)


@dataclass(frozen=True)
class _Waiting:
    """Frames that came after the last detection. known: people already found in them, by the frame's `id`."""

    detect: Callable[[Sequence[Frame]], list[Poses]]
    predict: Callable[[Sequence[Frame], Sequence[Boxes]], Iterable[tuple[Frame, Poses]]]
    schedule: LookAheadSchedule
    failed: Callable[[Frame, LightposeError], None] | None
    frames: list[Frame] = field(default_factory=list)
    known: dict[int, Poses] = field(default_factory=dict)

    def follows(self, frame: Frame) -> bool:
        """Whether a frame is as large as those before it."""
        before = self.frames[-1].image.shape[:2] if self.frames else self.schedule.image_hw
        return before is None or frame.image.shape[:2] == before

    def do_all(self, is_end: bool = False) -> Iterator[tuple[Frame, Poses]]:
        """What can be done: all but a stretch that waits for the next one, unless the frames are too large.

        is_end: no frames follow, so that all is done.
        """
        while self.frames and (count := self._reach(0, is_end)):
            if id(self.frames[count - 1]) not in self.known:
                after = self._reach(count, is_end)
                if not after and not is_end and _nbytes(self.frames) < HELD_BYTES:
                    return
                self.look(count - 1, count + after - 1)
            yield from self.do(count)

    def _reach(self, first: int, is_end: bool) -> int:
        return self.schedule.reaches(self.frames, first) or (len(self.frames) - first if is_end else 0)

    def look(self, first: int, second: int) -> None:
        """Find the people of two frames at once; if that fails, `do` finds out in which."""
        frames = [self.frames[first], self.frames[second]]
        if first != second and id(frames[1]) not in self.known:
            with suppress(LightposeError):
                self.known.update(zip(map(id, frames), self.detect(frames), strict=True))

    def do(self, count: int) -> Iterator[tuple[Frame, Poses]]:
        """The first frames, so many or fewer: up to the first one in which the schedule wants people to be found."""
        while count:
            poses = self._found(count - 1)
            if poses is None:
                count -= 1
            elif not self.schedule.accepts(poses, self.frames[:count]):
                self.schedule.shorten()
                count = -(-count // 2)
            else:
                done, self.frames[:count] = self.frames[:count], []
                for frame in done:
                    self.known.pop(id(frame), None)
                for frame, found in self.predict(done[:-1], self.schedule.between(poses, done)):
                    yield frame, with_state(found, "carried")
                yield done[-1], with_state(poses, "detected")
                return

    def _found(self, number: int) -> Poses | None:
        """The people of a frame; None if they cannot be had, and the frame goes."""
        frame = self.frames[number]
        try:
            if id(frame) not in self.known:
                self.known[id(frame)] = self.detect([frame])[0]
            return self.known[id(frame)]
        except LightposeError as error:
            if self.failed is None:
                raise
            self.failed(self.frames.pop(number), error)
            return None


def _nbytes(frames: Sequence[Frame]) -> int:
    return sum(frame.image.nbytes for frame in frames)


def _mixed(before: Boxes, after: Boxes, share: NDArray[np.float32]) -> Boxes:
    """Boxes (N,), each so far (N,) on the way from one to the other."""
    xywh = before.xywh + share[:, None] * (after.xywh - before.xywh)
    return Boxes(xywh, before.scores + share * (after.scores - before.scores))


def _middles(boxes: Boxes) -> NDArray[np.floating[Any]]:
    """(N, 2) x and y."""
    return boxes.xywh[:, :2] + boxes.xywh[:, 2:] / 2


def _joined(some: Boxes, more: Boxes) -> Boxes:
    return Boxes(np.concatenate([some.xywh, more.xywh]), np.concatenate([some.scores, more.scores]))
