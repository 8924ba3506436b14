"""The same number for the same person from frame to frame."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightpose.errors import ConfigError
from lightpose.limits import FACTORS, check_range
from lightpose.ops.assignment import assign
from lightpose.ops.boxes import iou, to_xyxy
from lightpose.ops.colors import COLORS, color_vectors
from lightpose.results import Boxes, Poses
from lightpose.types import ImageArray

__all__ = ["Tracker"]

Floats = NDArray[np.float64]

LEAST_ALIKE = 0.1
"""What colours are alike that have nothing in common."""


@dataclass(frozen=True)
class _People:
    """What is known of T people, each at the time when it was last seen.

    ids: (T,), 0 until confirmed. seen_s: (T,). boxes: (T, 4) center x, center y, width, height in pixels.
    speeds: (T, 4), their changes in pixels a second. spread: (T, 3) variance of a place, covariance of place and
    speed, variance of a speed, in person heights. colors: (T, COLORS), see `color_vectors`; 0 if not known.
    """

    ids: NDArray[np.int64]
    seen_s: Floats
    boxes: Floats
    speeds: Floats
    spread: Floats
    colors: Floats

    def __getitem__(self, which: NDArray[Any]) -> _People:
        return _People(*(getattr(self, each.name)[which] for each in fields(self)))

    def __add__(self, other: _People) -> _People:
        return _People(*(np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)))


def _nobody() -> _People:
    return _People(
        np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 4)), np.zeros((0, 4)), np.zeros((0, 3)), np.zeros((0, COLORS))
    )


@dataclass(eq=False)
class Tracker:
    """Numbers people 1, 2, 3, … and knows them again in later frames. Feed it the frames of one video in their order.

        tracker = Tracker()
        for frame, poses in estimator.stream(frames):
            poses = tracker.update(poses, frame.time_s, frame.image)  # poses.ids

    People are told apart by the overlap of their boxes with a forecast, and by their colours, all pairs at once. As in
    ByteTrack (Zhang et al., 2022), unsure boxes are tried last and continue people only. A person is confirmed, and has
    an id, when seen a second time; in the first frame at once. Joints do not count: with OKS mixed in, clips were
    tracked no better.

    keep_lost_s: for how long a person who is not seen keeps the id. sure: least box score that may begin a person.
    least: boxes with a lower score are left out. pace: usual speed of people, in their heights a second. steady_s: for
    how long they hold it. noise: error of boxes, as a share of the height. reach: how far, in standard deviations of
    the forecast, boxes are widened to meet. size_weight: power of the ratio of two heights, by which their overlap
    shrinks. least_likeness: of two sights of one person, before colours count. inside: a new box at the edge of the
    image belongs to somebody missing if at least this share of it lies in the forecast. color_weight: power of the
    likeness of colours. color_s: time in which the colours of a person become those of the last sights. confirm:
    without it, people have an id from the first sight. Raises ConfigError if a number is out of range.
    """

    keep_lost_s: float = 1.5
    sure: float = 0.5
    least: float = 0.1
    pace: float = 0.5
    steady_s: float = 2.0
    noise: float = 0.08
    reach: float = 1.0
    size_weight: float = 2.0
    least_likeness: float = 0.3
    inside: float = 0.7
    color_weight: float = 8.0
    color_s: float = 0.4
    confirm: bool = True
    _time_s: float | None = field(default=None, init=False, repr=False)
    _last_id: int = field(default=0, init=False, repr=False)
    _people: _People = field(default_factory=lambda: _nobody(), init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("keep_lost_s", "pace", "steady_s", "noise", "color_s"):
            check_range(name, getattr(self, name), *FACTORS)
        for name in ("reach", "size_weight", "color_weight"):
            check_range(name, getattr(self, name), *FACTORS, or_zero=True)
        for name in ("least_likeness", "inside"):
            check_range(name, getattr(self, name), 0, 1)
        if not self.least <= self.sure:
            raise ConfigError(f"least={self.least} must not be above sure={self.sure}")

    def reset(self) -> None:
        """Forget everybody; the next person is number 1."""
        self._time_s, self._last_id, self._people = None, 0, _nobody()

    def update(self, poses: Poses, time_s: float, image: ImageArray | None = None) -> Poses:
        """The confirmed people of a frame, with their ids, in the order they came in.

        poses: all people that were found, unsure ones too. time_s: of the frame, in seconds. image: the frame (H, W,
        3), uint8 RGB, for its colours; where it is left out, boxes alone count. Raises ConfigError if the time is
        before that of the last frame, or not finite.
        """
        if not math.isfinite(time_s) or (self._time_s is not None and time_s < self._time_s):
            raise ConfigError(f"a frame at {time_s} s came after one at {self._time_s} s; reset the tracker in between")
        first, self._time_s = self._time_s is None, float(time_s)
        known = self._people
        known = known[(time_s - known.seen_s <= self.keep_lost_s + 1e-6) & ~self._left(known, time_s, poses.image_hw)]
        scores, seen = poses.boxes.scores, self._sights(poses, time_s, image)
        sure = scores >= self.sure
        owner = np.full(len(poses), -1, np.intp)  # of each pose, in `known`
        likeness = self._likeness(known, seen, time_s)
        self._pair(likeness, sure, owner)
        self._pair(likeness, ~sure & (scores >= self.least), owner)
        at_edge = sure & (owner < 0) & _at_edge(poses, self.noise)
        if at_edge.any():
            self._pair(self._inside(known, seen, time_s), at_edge, owner)

        again = owner >= 0
        new = sure & ~again
        mine = owner[again]
        ids = np.zeros(len(poses), np.int64)
        ids[again] = known.ids[mine]
        unnamed = (ids == 0) & (again | (new if first or not self.confirm else False))
        ids[unnamed] = self._last_id + 1 + np.arange(unnamed.sum())
        self._last_id += int(unnamed.sum())
        missed = np.ones(len(known.ids), bool)
        missed[mine] = False
        met = replace(self._corrected(known[mine], seen[again], time_s), ids=ids[again])
        self._people = known[missed] + met + replace(seen[new], ids=ids[new])
        return replace(poses[ids > 0], ids=ids[ids > 0])

    def forecast(self, time_s: float) -> tuple[NDArray[np.int64], Boxes]:
        """Ids (N,) and boxes that the confirmed people should have at a time, with score 1; nothing is changed."""
        some = self._people[self._people.ids > 0]
        some = some[time_s - some.seen_s <= self.keep_lost_s + 1e-6]
        boxes = _moved(some, self._gone(some, time_s), self.steady_s)
        return some.ids, Boxes(np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, 2:]], 1).astype(np.float32))

    def state(self) -> dict[str, Any]:
        """All that `restore` needs to go on as if there had been no break, ready for JSON."""
        people = {each.name: getattr(self._people, each.name).tolist() for each in fields(_People)}
        return {"time_s": self._time_s, "last_id": self._last_id, **people}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state`, of this tracker or of another with the same settings. Raises ConfigError if it is
        none."""
        try:
            arrays = {each.name: getattr(_nobody(), each.name) for each in fields(_People)}
            shapes = {name: (len(state["ids"]), *array.shape[1:]) for name, array in arrays.items()}
            people = {name: np.array(state[name], arrays[name].dtype).reshape(shapes[name]) for name in arrays}
            time_s = None if state["time_s"] is None else float(state["time_s"])
            self._time_s, self._last_id, self._people = time_s, int(state["last_id"]), _People(**people)
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"this is no state of a tracker ({error}); take it from Tracker.state()") from error

    def _sights(self, poses: Poses, time_s: float, image: ImageArray | None) -> _People:
        """The people of a frame as they would begin: standing still, at a speed nobody knows."""
        xywh = poses.boxes.xywh.astype(np.float64)
        count = len(poses)
        return _People(
            np.zeros(count, np.int64),
            np.full(count, float(time_s)),
            np.concatenate([xywh[:, :2] + xywh[:, 2:] / 2, xywh[:, 2:]], 1),
            np.zeros((count, 4)),
            np.tile([self.noise**2, 0.0, self.pace**2], (count, 1)),
            np.zeros((count, COLORS)) if image is None else color_vectors(image, xywh),
        )

    def _left(self, people: _People, time_s: float, image_hw: tuple[int, int] | None) -> NDArray[np.bool_]:
        """Who has walked out of the picture, of those who are not seen: the middle of the forecast lies outside."""
        if image_hw is None:
            return np.zeros(len(people.ids), bool)
        center = _moved(people, self._gone(people, time_s), self.steady_s)[:, :2]
        outside = (center < 0) | (center > np.array(image_hw[::-1]))
        within = (people.boxes[:, :2] >= 0) & (people.boxes[:, :2] <= np.array(image_hw[::-1]))
        gone: NDArray[np.bool_] = np.any(outside & within, axis=-1)
        return gone

    def _gone(self, people: _People, time_s: float) -> Floats:
        return np.maximum(time_s - people.seen_s, 0.0)

    def _spread(self, people: _People, gone_s: Floats) -> Floats:
        """The spread (T, 3) after a time: speeds fade and wander as in an Ornstein-Uhlenbeck process, so that many
        short steps end as a long one does."""
        fade, drift = np.exp(-gone_s / self.steady_s), self.steady_s * -np.expm1(-gone_s / self.steady_s)
        place, both, speed = people.spread.T
        wander = 2 * gone_s / self.steady_s - 3 + 4 * fade - fade**2
        return np.stack(
            [
                place + 2 * drift * both + drift**2 * speed + (self.pace * self.steady_s) ** 2 * np.maximum(wander, 0),
                fade * (both + drift * speed) + self.pace**2 * self.steady_s * (1 - fade) ** 2,
                fade**2 * speed + self.pace**2 * (1 - fade**2),
            ],
            1,
        )

    def _corrected(self, people: _People, seen: _People, time_s: float) -> _People:
        """People after they have been seen again: a Kalman filter's step, the same for all four numbers of a box."""
        gone_s = self._gone(people, time_s)
        forecast, spread = _moved(people, gone_s, self.steady_s), self._spread(people, gone_s)
        place, both, speed = spread.T
        whole = place + self.noise**2
        off = seen.boxes - forecast
        fade = np.exp(-gone_s / self.steady_s)
        kept = np.exp(-gone_s / self.color_s) * people.colors.any(axis=1)
        return replace(
            seen,
            boxes=forecast + (place / whole)[:, None] * off,
            speeds=fade[:, None] * people.speeds + (both / whole)[:, None] * off,
            spread=np.stack([place - place**2 / whole, both - place * both / whole, speed - both**2 / whole], 1),
            colors=_of_length_1(seen.colors + kept[:, None] * (people.colors - seen.colors)),
        )

    def _likeness(self, people: _People, seen: _People, time_s: float) -> Floats:
        """How much each known person is like each one that was seen, (T, N) in [0, 1]; 0 where it is not enough."""
        gone_s = self._gone(people, time_s)
        forecast = _moved(people, gone_s, self.steady_s)
        doubt = np.sqrt(self._spread(people, gone_s)[:, 0]) * self.reach  # in heights
        overlap = iou(_grown(forecast, doubt)[:, None], _grown(seen.boxes[None], doubt[:, None]))[:, 0]
        heights = np.maximum(forecast[:, None, 3], 1e-9) / np.maximum(seen.boxes[None, :, 3], 1e-9)
        likeness = overlap * np.minimum(heights, 1 / heights) ** self.size_weight
        return np.where(likeness >= self.least_likeness, likeness * self._alike(people, seen), 0.0)

    def _alike(self, people: _People, seen: _People) -> Floats:
        """How much the colours of each known person are like those of each one that was seen, (T, N) in (0, 1].

        Never 0: where there is nobody else, a person in another light is the same one.
        """
        product = people.colors @ seen.colors.T
        both_known = np.outer(people.colors.any(axis=1), seen.colors.any(axis=1))
        return np.where(both_known, np.clip(product, LEAST_ALIKE, 1) ** self.color_weight, 1.0)

    def _inside(self, people: _People, seen: _People, time_s: float) -> Floats:
        """The share (T, N) of each box that lies in a forecast, where it is large and the box meets no other person's.

        The box of somebody who walks out of the image shrinks too fast for the likeness.
        """
        forecast = _grown(_moved(people, self._gone(people, time_s), self.steady_s), np.zeros(len(people.ids)))
        share = iou(_grown(seen.boxes, np.zeros(len(seen.ids))), forecast, crowd=np.ones(len(people.ids), bool)).T
        alone = (share > 0).sum(axis=0) == 1
        return np.where(alone & (share >= self.inside), share, 0.0)

    def _pair(self, likeness: Floats, some: NDArray[np.bool_], owner: NDArray[np.intp]) -> None:
        """Write the owners of some poses, out of the people that are free and like them, into `owner`."""
        if not some.any():
            return
        rows, columns = np.setdiff1d(np.arange(len(likeness)), owner), np.flatnonzero(some)
        good = likeness[np.ix_(rows, columns)]
        mine, theirs = assign(-good)
        taken = good[mine, theirs] > 0
        owner[columns[theirs[taken]]] = rows[mine[taken]]


def _at_edge(poses: Poses, noise: float) -> NDArray[np.bool_]:
    """Which boxes reach the edge of the image, give or take a share of their height."""
    if poses.image_hw is None:
        return np.zeros(len(poses), bool)
    xyxy, slack = to_xyxy(poses.boxes.xywh), noise * poses.boxes.xywh[:, 3:]
    edge: NDArray[np.bool_] = ((xyxy[:, :2] < slack) | (xyxy[:, 2:] > np.array(poses.image_hw[::-1]) - slack)).any(-1)
    return edge


def _of_length_1(vectors: Floats) -> Floats:
    """The same directions (N, D); 0 stays 0."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: Floats = vectors / np.where(lengths > 0, lengths, 1.0)
    return unit


def _moved(people: _People, gone_s: Floats, steady_s: float) -> Floats:
    """Boxes (T, 4) after a time, at speeds that fade."""
    boxes = people.boxes + people.speeds * (steady_s * -np.expm1(-gone_s / steady_s))[:, None]
    boxes[:, 2:] = np.maximum(boxes[:, 2:], people.boxes[:, 2:] / 2)
    return boxes


def _grown(boxes: Floats, doubt: Floats) -> Floats:
    """Boxes (..., 4) of a center and a size as corners, each side moved out by a share of the height."""
    half = boxes[..., 2:] / 2 + (doubt * boxes[..., 3])[..., None]
    return np.concatenate([boxes[..., :2] - half, boxes[..., :2] + half], -1)
