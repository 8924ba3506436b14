"""People over time, as one array."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lightpose.errors import ConfigError
from lightpose.ops.angles import Facing, angles_of, known_angles
from lightpose.ops.joints import as_joints, height_px, missing
from lightpose.ops.series import butterworth, derivative, fill_gaps
from lightpose.results.angles import Angles
from lightpose.results.boxes import Boxes
from lightpose.results.frames import FrameLibrary, native_frame
from lightpose.results.poses import STATES, Poses
from lightpose.results.stack import Stack
from lightpose.results.tables import long_columns, wide_columns, wide_names
from lightpose.skeletons import Skeleton
from lightpose.types import FloatArray

__all__ = ["Tracks"]

ABSENT, DETECTED, _, FILLED = range(len(STATES))


@dataclass(frozen=True, eq=False, repr=False)
class Tracks:
    """People over time: T frames, P people, K joints.

        tracks = lightpose.read("poses.jsonl")
        knee = tracks.person(3).fill(0.2).smooth(hz=6).angles()["left_knee"]  # (T, 1) degrees

    keypoints: (T, P, K, 3) float32 x, y, score; a joint without a place is NaN, NaN, 0, and an absent person NaN alone.
    frame: (T,) int64 numbers in the source, rising. time_s: (T,) float64; NaN if the frames have no time. ids: (P,)
    int64. state: (T, P) uint8, numbers of `STATES`. scores: (T, P) of the people, boxes: (T, P, 5) left, top, width,
    height, score; NaN where absent. raw: (T, P, K, 3) before smoothing, None if it is the same. tracked: False if
    people are numbered by their place in each frame alone. names: of the frames' images, one for all if it is a video.
    unit: px, with y downwards, or m, with y upwards. about: facts of the model.
    """

    keypoints: FloatArray
    skeleton: Skeleton
    frame: NDArray[np.int64]
    time_s: NDArray[np.float64]
    ids: NDArray[np.int64]
    state: NDArray[np.uint8]
    scores: FloatArray
    boxes: FloatArray
    raw: FloatArray | None = None
    image_hw: tuple[int, int] | None = None
    names: tuple[str, ...] = ("",)
    tracked: bool = True
    unit: Literal["px", "m"] = "px"
    about: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_frames(cls, frames: Iterable[Poses]) -> Tracks:
        """The people of frames in their order. Without ids, they are numbered by their place in each frame.

        Raises DataError if a frame has an id twice, frames or times do not rise, or the skeleton changes; ConfigError
        if it would take more than 4 GB, as long videos of many people do: read a part of them.
        """
        return cls(**Stack(frames).arrays())

    def __len__(self) -> int:
        return len(self.frame)

    def __repr__(self) -> str:
        known = np.isfinite(self.time_s).all() and len(self) > 0
        lasts = f", {self.time_s[0]:.2f} to {self.time_s[-1]:.2f} s" if known else ""
        people = f"{len(self.ids)} {'person' if len(self.ids) == 1 else 'people'}"
        return f"Tracks({len(self)} frames, {people}, {len(self.skeleton)} joints{lasts})"

    def __iter__(self) -> Iterator[Poses]:
        return (self[number] for number in range(len(self)))

    def __getitem__(self, number: int) -> Poses:
        """The poses of a frame, by its place from 0."""
        number = range(len(self))[number]
        here = self.state[number] != ABSENT
        boxes = self.boxes[number, here]
        return Poses(
            self.keypoints[number, here],
            self.scores[number, here],
            Boxes(boxes[:, :4], boxes[:, 4]),
            self.skeleton,
            self.image_hw,
            self.names[number] if len(self.names) > 1 else self.names[0],
            self.ids[here] if self.tracked else None,
            np.array(STATES)[self.state[number, here]],
            None if self.raw is None else self.raw[number, here],
            int(self.frame[number]),
            float(self.time_s[number]) if np.isfinite(self.time_s[number]) else None,
            self.about,
        )

    def person(self, *ids: int) -> Tracks:
        """One person, or several, at all times. Raises ConfigError, which names the ids there are, if one is not."""
        return self._people([self._place(each) for each in ids])

    def between(self, start_s: float, end_s: float) -> Tracks:
        """The frames from one time to before another, and the people in them."""
        self._check_times()
        part = self._frames((self.time_s >= start_s - 1e-9) & (self.time_s < end_s - 1e-9))
        return part._people(np.flatnonzero((part.state != ABSENT).any(0)).tolist())

    def fill(self, max_gap_s: float = 0.3) -> Tracks:
        """Joints on a straight line through gaps that are no longer, from sight to sight. Their score is as well.

        People so brought into a frame have the state "filled". `raw` stays as it was, with the gaps.
        """
        self._check_times()
        absent = self.state == ABSENT
        seen = np.where(missing(self.keypoints)[..., None], np.nan, self.keypoints)
        points, new = fill_gaps(seen, self.time_s, max_gap_s)
        here = new.any((2, 3)) & absent
        others = fill_gaps(np.concatenate([self.boxes, self.scores[..., None]], -1), self.time_s, max_gap_s)[0]
        keypoints = np.where(new, points, self.keypoints)
        keypoints[..., 2] = np.where(here[..., None], np.nan_to_num(keypoints[..., 2]), keypoints[..., 2])
        boxes = np.where(here[..., None], others[..., :5], self.boxes)
        return replace(
            self,
            keypoints=keypoints.astype(np.float32),
            raw=self.keypoints if self.raw is None else self.raw,
            state=np.where(here, FILLED, self.state).astype(np.uint8),
            scores=np.where(here, others[..., 5], self.scores).astype(np.float32),
            boxes=boxes.astype(np.float32),
        )

    def smooth(self, filter: Literal["butterworth"] = "butterworth", *, hz: float = 6.0) -> Tracks:  # noqa: A002
        """Points without the tremble, nothing shifted in time; `ops.series.butterworth` has the filter. `raw` keeps
        what was before. Raises ConfigError if there are too few frames a second for that frequency."""
        if filter != "butterworth":
            raise ConfigError(f"the filter {filter!r} is unknown; use butterworth")
        self._check_times()
        keypoints = self.keypoints.copy()
        keypoints[..., :2] = butterworth(self._points(), self.time_s, hz)
        return replace(self, keypoints=keypoints, raw=self.keypoints if self.raw is None else self.raw)

    def resample(self, hz: float) -> Tracks:
        """The same at even times, so many a second, from the first frame on; on a straight line between two frames.

        Nothing is put where one of the two lacks a joint. Frames are numbered anew.
        """
        self._check_times()
        if not 0 < hz < 1e6:
            raise ConfigError(f"hz must be frames a second, above 0, not {hz}")
        if len(self) < 2:
            return self
        count = int(np.floor((self.time_s[-1] - self.time_s[0]) * hz + 1e-9)) + 1
        times = self.time_s[0] + np.arange(count) / hz
        after = np.clip(np.searchsorted(self.time_s, times - 1e-9), 1, len(self) - 1)
        share = ((times - self.time_s[after - 1]) / (self.time_s[after] - self.time_s[after - 1])).clip(0, 1)

        def between(values: NDArray[Any]) -> FloatArray:
            weight = share.reshape(-1, *[1] * (values.ndim - 1))
            low, high = values[after - 1], values[after]
            mixed = np.where(weight < 1e-6, low, np.where(weight > 1 - 1e-6, high, low + weight * (high - low)))
            return np.asarray(mixed, np.float32)

        nearest = np.where(share < 0.5, after - 1, after)
        scores = between(self.scores)
        return replace(
            self,
            keypoints=between(self.keypoints),
            raw=None if self.raw is None else between(self.raw),
            scores=scores,
            boxes=between(self.boxes),
            state=np.where(np.isfinite(scores), self.state[nearest].clip(1), ABSENT).astype(np.uint8),
            frame=np.arange(count),
            time_s=times,
            names=self.names[:1],
        )

    def split(self, person: int, time_s: float) -> Tracks:
        """From a time on, a person gets a new id: the highest and one."""
        place, late = self._place(person), self.time_s >= time_s - 1e-9
        one = self._people([place])
        before, after = one._without(late), one._without(~late)
        rest = self._people([number for number in range(len(self.ids)) if number != place])
        return rest._beside(before, replace(after, ids=np.array([self.ids.max() + 1])))._in_order(self.ids.tolist())

    def merge(self, person: int, other: int) -> Tracks:
        """Two ids become the first one. Raises ConfigError if both are in one frame."""
        mine, others = self._place(person), self._place(other)
        here = self.state != ABSENT
        both = np.flatnonzero(here[:, mine] & here[:, others])
        if mine == others or len(both):
            where = f"both are in frame {self.frame[both[0]]}" if len(both) else "they are one"
            raise ConfigError(f"{person} and {other} cannot be one person: {where}")
        joined = self._each(lambda values: _moved(values, [mine], [others], here[:, others]))
        return joined._people([number for number in range(len(self.ids)) if number != others])

    def swap(self, person: int, other: int, time_s: float) -> Tracks:
        """From a time on, two people exchange their ids."""
        mine, others, late = self._place(person), self._place(other), self.time_s >= time_s - 1e-9
        return self._each(lambda values: _moved(values, [mine, others], [others, mine], late))

    def angles(self, names: Iterable[str] | None = None, facing: Facing = "auto") -> Angles:
        """Angles of joints and segments, (T, P, A) in degrees; all that the skeleton has joints for if none are named.

        facing: where the people look in the image: right, left, or auto, by their toes. docs/angles.md defines them.
        """
        chosen = tuple(known_angles(self.skeleton.joints) if names is None else names)
        upright = self.keypoints * np.array([1, 1 if self.unit == "px" else -1, 1], np.float32)
        values = angles_of(upright, self.skeleton.joints, chosen, facing)
        return Angles(values, chosen, self.frame, self.time_s, self.ids)

    def velocities(self, hz: float | None = 6.0) -> NDArray[np.float64]:
        """Speeds of all joints along x and y, (T, P, K, 2), in pixels or metres a second: the derivative of the points
        after `smooth`. hz: its frequency; None takes the points as they are."""
        self._check_times()
        points = self._points()
        return derivative(points if hz is None else butterworth(points, self.time_s, hz), self.time_s)

    def scale(self, height_m: float, person: int | None = None) -> Tracks:
        """The same in metres, by a person's height: y upwards, 0 at the lowest place of an ankle.

        It holds in one plane only, the one in which that person moves, across the view: who is nearer to the camera
        seems larger. person: whose height it is; needed if there are several.
        Raises ConfigError if that cannot be told, or the person is never seen from shoulders to ankles.
        """
        if not 0.3 <= height_m <= 3:
            raise ConfigError(f"a person's height is from 0.3 to 3 metres, not {height_m}")
        if person is None and len(self.ids) != 1:
            raise ConfigError(f"say whose height it is, one of {', '.join(map(str, self.ids))}")
        if self.unit == "m":
            raise ConfigError("these tracks are in metres already")
        one = self.keypoints[:, 0 if person is None else self._place(person)]
        joints = self.skeleton.joints
        tall = height_px(one, joints)
        if not np.isfinite(tall):
            raise ConfigError("the person is never seen from shoulders to ankles, so the height in pixels is unknown")
        ankles = as_joints(one, joints, ("left_ankle", "right_ankle"))[..., 1]
        floor = np.array([0, np.nanmax(ankles), 0], np.float32)
        factor = np.array([height_m / tall, -height_m / tall, 1], np.float32)
        raw = None if self.raw is None else (self.raw - floor) * factor
        boxes = self.boxes.copy()
        boxes[..., :4] *= height_m / tall
        boxes[..., 1] = floor[1] * height_m / tall - boxes[..., 1] - boxes[..., 3]
        return replace(self, keypoints=(self.keypoints - floor) * factor, raw=raw, boxes=boxes, unit="m", image_hw=None)

    def to_frame(self, library: FrameLibrary | None = None, *, wide: bool = False) -> Any:
        """A table: a row for each joint, person and frame; or, wide, for each person and frame. Frames without people
        have none. As a frame of pandas, polars or pyarrow, the first that is installed if none is named."""
        columns = (wide_columns if wide else long_columns)(poses for poses in self if len(poses))
        return native_frame(columns or {name: [] for name in wide_names(self.skeleton.joints)}, library)

    def _points(self) -> FloatArray:
        return self.keypoints[..., :2]

    def _place(self, person: int) -> int:
        found = np.flatnonzero(self.ids == person)
        if not len(found):
            raise ConfigError(f"there is no person {person}; there are {', '.join(map(str, self.ids)) or 'none'}")
        return int(found[0])

    def _check_times(self) -> None:
        if not np.isfinite(self.time_s).all():
            raise ConfigError("the frames have no times; give frames a second where they are read, such as fps=30")

    def _each(self, change: Any) -> Tracks:
        """All arrays of people changed in one way; each has frames and people first."""
        new = {name: change(getattr(self, name)) for name in ("keypoints", "state", "scores", "boxes")}
        return replace(self, **new, raw=None if self.raw is None else change(self.raw))

    def _people(self, places: list[int]) -> Tracks:
        return replace(self._each(lambda values: values[:, places]), ids=self.ids[places])

    def _frames(self, which: NDArray[np.bool_]) -> Tracks:
        names = tuple(np.array(self.names, object)[which]) if len(self.names) > 1 else self.names
        part = self._each(lambda values: values[which])
        return replace(part, frame=self.frame[which], time_s=self.time_s[which], names=names or ("",))

    def _without(self, which: NDArray[np.bool_]) -> Tracks:
        """Nobody in those frames."""

        def blank(values: NDArray[Any]) -> NDArray[Any]:
            values = values.copy()
            values[which] = ABSENT if values.dtype == np.uint8 else np.nan
            return values

        return self._each(blank)

    def _beside(self, *others: Tracks) -> Tracks:
        """With more people of the same frames."""
        result = self
        for other in others:
            joined: dict[str, Any] = {
                name: np.concatenate([getattr(result, name), getattr(other, name)], 1)
                for name in ("keypoints", "state", "scores", "boxes")
            }
            raw = None
            if result.raw is not None and other.raw is not None:
                raw = np.concatenate([result.raw, other.raw], 1)
            result = replace(result, **joined, raw=raw, ids=np.concatenate([result.ids, other.ids]))
        return result

    def _in_order(self, ids: list[int]) -> Tracks:
        """People in the order of some ids, others after them."""
        places = {person: number for number, person in enumerate(ids)}
        mine: list[int] = self.ids.tolist()
        return self._people(sorted(range(len(mine)), key=lambda number: places.get(mine[number], len(ids))))


def _moved(values: NDArray[Any], to: list[int], source: list[int], which: NDArray[np.bool_]) -> NDArray[Any]:
    """Some people's values (T, P, …) in the places of others, in some of the frames."""
    result = values.copy()
    for there, here in zip(to, source, strict=True):
        result[which, there] = values[which, here]
    return result
