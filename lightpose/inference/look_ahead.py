"""Calm joints and filled gaps for files: a filter without lag, which holds frames back for less than a second."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightpose.errors import ConfigError
from lightpose.inference.stages import Timed
from lightpose.limits import FACTORS, check_range
from lightpose.ops.series import fading, fill_gaps, filtered, runs
from lightpose.results import Boxes, Poses
from lightpose.skeletons import Skeleton

__all__ = ["FileSmoother"]

Floats = NDArray[np.float64]

SETTLED = 17.0
"""Powers of e by which the filter has forgotten what is not looked at: 4e-8 of it is left."""

BLOCK_S = 0.2
"""Frames are given in blocks so long: shorter ones cost more work, longer ones are given later."""


@dataclass(frozen=True)
class _Held:
    """A frame that is held. faded: how much the filter forgets from the first frame to this one, in powers of e."""

    poses: Poses
    time_s: float
    faded: float


@dataclass(frozen=True, eq=False)
class _Track:
    """One person over T frames that are held. where: (T,) the number of the person in each frame, -1 where not seen.

    keypoints: (T, K, 3), boxes: (T, 4), scores: (T, 2) of person and box; NaN where there are none. filled: (T,).
    """

    where: NDArray[np.intp]
    keypoints: Floats
    boxes: Floats
    scores: Floats
    filled: NDArray[np.bool_]


@dataclass(eq=False)
class FileSmoother:
    """Calms the joints of people with ids and fills short gaps, with a look ahead. Feed it what a `Tracker` returns.

        smoother = FileSmoother(hz=6, fill_s=0.3)
        for poses, time_s in smoother.over(timed):  # pairs of poses and their time

    Each stretch of frames in which a person is seen is filtered as `butterworth` does, to within 1e-5 of a pixel of
    what it gives for the whole stretch at once. A person who is missing for a short time is put on a straight line
    between both sights: state `filled`, and no `raw_keypoints`. Scores and boxes of other people stay.

    hz: of the filter; None filters nothing. fill_s: longest time between two sights that is filled; 0 fills nothing.
    At 6 Hz and 30 frames a second, frames come out 0.9 s later, and `fill_s` more. Raises ConfigError if a number is
    out of range.
    """

    hz: float | None = 6.0
    fill_s: float = 0.0
    _held: list[_Held] = field(default_factory=list, init=False, repr=False)
    _given: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.hz is not None:
            check_range("hz", self.hz, *FACTORS)
        check_range("fill_s", self.fill_s, 0, 60)

    def reset(self) -> None:
        """Forget everybody, and all frames that are held."""
        self._held, self._given = [], 0

    def over(self, timed: Iterable[Timed]) -> Iterator[Timed]:
        """All of a video, in order."""
        for poses, time_s in timed:
            yield from self.feed(poses, time_s)
        yield from self.finish()

    def feed(self, poses: Poses, time_s: float) -> list[Timed]:
        """Take the poses of the next frame, and give those of the frames before that are ready, in order.

        time_s: of the frame. Raises ConfigError if people have no ids, or if the time is not later than the last one.
        """
        if poses.ids is None:
            raise ConfigError("smoothing needs people with ids; pass the poses through a Tracker first")
        last = self._held[-1] if self._held else None
        if not (-math.inf if last is None else last.time_s) < time_s < math.inf:
            raise ConfigError(f"a frame at {time_s} s came after one at {last and last.time_s} s; reset the smoother")
        faded = 0.0 if last is None or self.hz is None else last.faded + fading(time_s - last.time_s, self.hz)
        self._held.append(_Held(poses, float(time_s), faded))
        ready_s = self._before(len(self._held) - 1)
        if ready_s - self._held[self._given].time_s < BLOCK_S:
            return []
        return self._give(sum(one.time_s <= ready_s for one in self._held))

    def finish(self) -> list[Timed]:
        """Give all frames that are left; the next one begins anew."""
        ready = self._give(len(self._held))
        self.reset()
        return ready

    def state(self) -> dict[str, Any]:
        """All that `restore` needs to go on as if there had been no break, ready for JSON."""
        return {"given": self._given, "held": [_table(one) for one in self._held]}

    def restore(self, state: dict[str, Any], skeleton: Skeleton) -> None:
        """Go on from a `state`, of poses with that skeleton. Raises ConfigError if it is none."""
        try:
            self._held = [_untable(one, skeleton) for one in state["held"]]
            self._given = int(state["given"])
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"this is no state of a smoother ({error}); take it from its state()") from error

    def _give(self, end: int) -> list[Timed]:
        """The frames up to that one that were not given yet; what the next ones do not need is let go."""
        start, self._given = self._given, end
        if start == end:
            return []
        times = np.array([one.time_s for one in self._held])
        known = [one.poses.ids for one in self._held if one.poses.ids is not None]
        tracks = {key: self._track(key, times) for key in np.unique(np.concatenate(known)).tolist()}
        ready = [(self._frame(n, tracks), self._held[n].time_s) for n in range(start, end)]
        if end < len(self._held):
            needed_s = self._before(end) - 1e-6
            first = sum(one.time_s < needed_s for one in self._held)
            self._held, self._given = self._held[first:], end - first
        return ready

    def _before(self, number: int) -> float:
        """The time of the last frame that a frame has nothing to do with any more: neither by filter nor by gap."""
        least = self._held[number].faded - (0.0 if self.hz is None else SETTLED)
        far = [one.time_s for one in self._held[: number + 1] if one.faded <= least]
        return (far[-1] if far else -math.inf) - self.fill_s

    def _track(self, key: int, times: Floats) -> _Track:
        """One person over all frames that are held."""
        skeleton = self._held[0].poses.skeleton
        where = np.full(len(times), -1, np.intp)
        keypoints, boxes = np.full((len(times), len(skeleton), 3), np.nan), np.full((len(times), 4), np.nan)
        scores = np.full((len(times), 2), np.nan)
        for n, poses in enumerate(one.poses for one in self._held):
            mine = np.flatnonzero(poses.ids == key)
            if len(mine):
                where[n] = number = mine[0]
                keypoints[n], boxes[n] = poses.keypoints[number], poses.boxes.xywh[number]
                scores[n] = poses.scores[number], poses.boxes.scores[number]
        if self.fill_s and (where < 0).any():
            flat = np.concatenate([keypoints.reshape(len(times), -1), boxes, scores], 1)
            flat = fill_gaps(flat, times, self.fill_s)[0]
            keypoints, boxes, scores = flat[:, :-6].reshape(keypoints.shape), flat[:, -6:-2], flat[:, -2:]
        there = ~np.isnan(boxes[:, 0])
        if self.hz is not None:
            for start, end in runs(there):
                keypoints[start:end, :, :2] = filtered(keypoints[start:end, :, :2], times[start:end], self.hz)
        return _Track(where, keypoints, boxes, scores, there & (where < 0))

    def _frame(self, number: int, tracks: dict[int, _Track]) -> Poses:
        """The people of a frame, calmed, and after them those who were filled in, by their ids."""
        poses = self._held[number].poses
        ids = np.zeros(0, np.int64) if poses.ids is None else poses.ids
        added = sorted(key for key, track in tracks.items() if track.filled[number])
        mine = [tracks[key] for key in (*ids.tolist(), *added)]
        count = len(poses)

        def both(seen: NDArray[Any], name: str) -> NDArray[Any]:
            return np.concatenate([seen, [getattr(track, name)[number] for track in mine[count:]]]) if added else seen

        states = np.full(count, "detected") if poses.states is None else poses.states
        raw = poses.keypoints
        scores = both(np.stack([poses.scores, poses.boxes.scores], 1), "scores").astype(np.float32)
        keypoints = both(poses.keypoints, "keypoints").astype(np.float32)
        for person, track in zip(keypoints, mine, strict=True):
            person[:, :2] = track.keypoints[number, :, :2]
        return replace(
            poses,
            keypoints=keypoints,
            scores=scores[:, 0],
            boxes=Boxes(both(poses.boxes.xywh, "boxes"), scores[:, 1]),
            ids=np.concatenate([ids, added]).astype(np.int64),
            states=np.concatenate([states, np.full(len(added), "filled")]),
            raw_keypoints=np.concatenate([raw, np.full((len(added), *raw.shape[1:]), np.nan)]),
        )


def _table(held: _Held) -> dict[str, Any]:
    """A frame's poses to the bit, ready for JSON."""
    poses = held.poses
    return {
        "time_s": held.time_s,
        "faded": held.faded,
        "keypoints": poses.keypoints.tolist(),
        "scores": poses.scores.tolist(),
        "boxes": poses.boxes.xywh.tolist(),
        "box_scores": poses.boxes.scores.tolist(),
        "image_hw": poses.image_hw,
        "name": poses.name,
        "ids": None if poses.ids is None else poses.ids.tolist(),
        "states": None if poses.states is None else poses.states.tolist(),
    }


def _untable(table: dict[str, Any], skeleton: Skeleton) -> _Held:
    """The frame that `_table` made a table of."""
    shape, hw = (len(table["scores"]), len(skeleton), 3), table["image_hw"]
    poses = Poses(
        np.array(table["keypoints"], np.float32).reshape(shape),
        np.array(table["scores"], np.float32),
        Boxes(np.array(table["boxes"], np.float32), np.array(table["box_scores"], np.float32)),
        skeleton,
        None if hw is None else (int(hw[0]), int(hw[1])),
        str(table["name"]),
        np.array(table["ids"], np.int64),
        None if table["states"] is None else np.array(table["states"], np.str_),
    )
    return _Held(poses, float(table["time_s"]), float(table["faded"]))
