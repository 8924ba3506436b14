"""The people found in an image: their boxes and poses, as numbers, tables, files and drawings."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from lightpose.errors import ConfigError, MissingPackageError, ShapeError, SkeletonError
from lightpose.io.files import write_aside
from lightpose.io.images import IMAGE_SUFFIXES, encode_image
from lightpose.ops.angles import Facing, angles_of, known_angles
from lightpose.ops.draw import draw_skeletons
from lightpose.results.boxes import Boxes
from lightpose.results.frames import FrameLibrary, native_frame
from lightpose.skeletons import Skeleton
from lightpose.types import FloatArray, ImageArray

__all__ = ["STATES", "Keypoint", "Pose", "Poses", "coco_rows", "draw_poses", "number_in_name"]

COLUMNS = ("image", "person", "joint", "x", "y", "score", "person_score")
"""Columns of a table of poses, which has one row for each joint of each person."""

STATES = ("absent", "detected", "carried", "filled")
"""How a person came into a frame: not at all; found there; carried from other frames; put into a gap."""


class Keypoint(NamedTuple):
    """One joint of a person: x and y in pixels of the image, and a score of about 0 to 1."""

    x: float
    y: float
    score: float


@dataclass(frozen=True, eq=False, repr=False)
class Pose:
    """One person of an image.

        left_knee = person["left_knee"]
        left_knee.x, left_knee.y, left_knee.score

    keypoints: (K, 3) float32: x, y in pixels of the image, score. score: how sure the model is of the whole person.
    box_xywh: (4,) float32 left, top, width, height. skeleton: the names of the K joints. id: the same person's in every
    frame of a video, None if nobody was tracked. state: `detected`, `carried` or `filled`, None if nobody says.
    raw_keypoints: (K, 3) before they were smoothed, if they were; see `Poses`.
    """

    keypoints: FloatArray
    score: float
    box_xywh: FloatArray
    box_score: float
    skeleton: Skeleton
    id: int | None = None
    state: str | None = None
    raw_keypoints: FloatArray | None = None

    def __getitem__(self, joint: str) -> Keypoint:
        """The joint with this name. Raises SkeletonError, which lists the known joints, if there is none."""
        if joint not in self.skeleton.joints:
            raise SkeletonError(f"there is no joint {joint!r}; the skeleton has {', '.join(self.skeleton.joints)}")
        return Keypoint(*self.keypoints[self.skeleton.joints.index(joint)].tolist())

    def __repr__(self) -> str:
        named = "" if self.id is None else f"id {self.id}, "
        return f"Pose({named}score {self.score:.2f}, {len(self.skeleton)} joints)"

    def to_dict(self) -> dict[str, Any]:
        """A dict of plain numbers, ready for JSON: pixels rounded to 2 decimal places, scores to 4; None for what is
        missing. `id`, `state` and `raw_keypoints` if there are any; the last is None for a person who was filled in."""
        raw = self.raw_keypoints
        return {
            **({} if self.id is None else {"id": self.id}),
            **({} if self.state is None else {"state": self.state}),
            "box": [round(value, 2) for value in self.box_xywh.tolist()],
            "box_score": round(self.box_score, 4),
            "score": round(self.score, 4),
            "keypoints": self._joints(self.keypoints),
            **({} if raw is None else {"raw_keypoints": None if np.isnan(raw).all() else self._joints(raw)}),
        }

    def _joints(self, keypoints: FloatArray) -> dict[str, dict[str, float | None]]:
        return {
            joint: {"x": _rounded(x, 2), "y": _rounded(y, 2), "score": _rounded(sure, 4)}
            for joint, (x, y, sure) in zip(self.skeleton.joints, keypoints.tolist(), strict=True)
        }


@dataclass(frozen=True, eq=False, repr=False)
class Poses:
    """People of one image, in the order of their boxes.

        poses = PoseEstimator().predict("photo.jpg")
        for person in poses:
            person["left_knee"]  # Keypoint(x=…, y=…, score=…)
        poses[poses.scores > 0.2].plot(read_image("photo.jpg"))

    keypoints: (N, K, 3) float32: x, y in pixels of the image, score in about [0, 1]. scores: (N,) float32: how sure the
    model is of each person: the box score times the mean of the keypoint scores above 0.2. skeleton: the names of the K
    joints. image_hw: the image's height and width, if known. name: the image's file name; empty for arrays and bytes.
    ids: (N,) int64, the same number for the same person in every frame of a video; None if nobody was tracked. states:
    (N,) of text: who was `detected` in this frame, whose box was `carried` over from others, and who was `filled` in
    where nobody was found. raw_keypoints: (N, K, 3) before they were smoothed, NaN for who was filled in. None where
    there are none. frame, time_s: the frame's number in its source, from 0, and its time. about: facts of the model,
    such as its name. milliseconds: what `detect`, `crop`, `network` and `decode` took; a batch's time is shared out by
    people. Files leave it out, so that two runs write the same. A joint without a place is NaN, NaN, 0. Raises
    ShapeError if there are more or fewer ids, states or raw joints than people.
    """

    keypoints: FloatArray
    scores: FloatArray
    boxes: Boxes
    skeleton: Skeleton
    image_hw: tuple[int, int] | None = None
    name: str = ""
    ids: NDArray[np.int64] | None = None
    states: NDArray[np.str_] | None = None
    raw_keypoints: FloatArray | None = None
    frame: int | None = None
    time_s: float | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    milliseconds: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = len(self.keypoints)
        for name, kind, shape in (
            ("ids", np.int64, (count,)), ("states", np.str_, (count,)),
            ("raw_keypoints", np.float32, np.shape(self.keypoints)),
        ):  # fmt: skip
            if (given := getattr(self, name)) is not None:
                values = np.array(given, kind)
                if values.shape != shape:
                    raise ShapeError(f"{count} people need {count} {name}; got shape {values.shape}")
                object.__setattr__(self, name, values)

    def __len__(self) -> int:
        return len(self.keypoints)

    def __iter__(self) -> Iterator[Pose]:
        return (self[number] for number in range(len(self)))

    @overload
    def __getitem__(self, which: int) -> Pose: ...
    @overload
    def __getitem__(self, which: slice | NDArray[Any]) -> Poses: ...
    def __getitem__(self, which: int | slice | NDArray[Any]) -> Pose | Poses:
        """One `Pose` for a number. Some of the people, as `Poses`, for a slice, an array of numbers (M,), or a mask
        (N,) of bool."""
        each: dict[str, Any] = {
            name: None if (values := getattr(self, name)) is None else values[which]
            for name in ("keypoints", "scores", "ids", "states", "raw_keypoints")
        }
        if not isinstance(which, int | np.integer):
            return replace(self, boxes=self.boxes[which], **each)
        number = int(which)
        return Pose(
            self.keypoints[number],
            float(self.scores[number]),
            self.boxes.xywh[number],
            float(self.boxes.scores[number]),
            self.skeleton,
            None if self.ids is None else int(self.ids[number]),
            None if self.states is None else str(self.states[number]),
            each["raw_keypoints"],
        )

    def __repr__(self) -> str:
        people = f"{len(self)} {'person' if len(self) == 1 else 'people'}"
        size = "" if self.image_hw is None else f", image {self.image_hw[1]}x{self.image_hw[0]}"
        return f"Poses({people}, {len(self.skeleton)} joints{size}{f', {self.name}' if self.name else ''})"

    def plot(self, image: ImageArray, threshold: float = 0.2) -> ImageArray:
        """A copy of the image with all skeletons. A person's left side is orange, the right blue, the middle green.

        With ids, limbs have the colour of the person's id, which is written above the head.

        image: (H, W, 3) uint8 RGB; the copy is RGB too. threshold: joints with a lower score are left out, and so are
        their limbs.
        """
        return draw_skeletons(image, self.keypoints, self.skeleton, threshold, self.ids)

    def save(self, path: str | Path, image: ImageArray | None = None) -> None:
        """Write the poses to a file. Its suffix decides how: .json (`to_dict`), .csv (`to_records`), or .jpg, .png, …
        (a drawing).

        image: (H, W, 3) uint8 RGB, to draw on. Raises ConfigError if the suffix is unknown, or if a drawing has no
        image.
        """
        suffix = Path(path).suffix.lower()
        if suffix == ".json":
            content = json.dumps(self.to_dict(), indent=1, ensure_ascii=False).encode()
        elif suffix == ".csv":
            text = io.StringIO()
            table = csv.DictWriter(text, self._columns, lineterminator="\n")
            table.writeheader()
            table.writerows(self.to_records())
            content = text.getvalue().encode()
        elif suffix not in IMAGE_SUFFIXES:
            raise ConfigError(f"{path}: poses are saved as .json or .csv, or with an image as .jpg or .png")
        elif image is None:
            raise ConfigError(f"{path} is to be a drawing, which needs the image: save(path, image=read_image(...))")
        else:
            content = encode_image(self.plot(image), suffix)
        write_aside(path, content)

    def to_dict(self) -> dict[str, Any]:
        """A dict of plain numbers, ready for JSON: the image's name, width, height and people. poses.json has these
        dicts, each with its `image_id`."""
        height, width = self.image_hw or (None, None)
        return {"image": self.name, "width": width, "height": height, "people": [person.to_dict() for person in self]}

    def to_coco(self, image_id: int | None = None, category_id: int = 1) -> list[dict[str, Any]]:
        """COCO keypoint results, one dict for each person. A joint is x, y, score, rounded to 4 decimal places.

        image_id: the image's number. If not given, it is the number in the file name (397133 for 000000397133.jpg), or
        1 if the name is not a number. Give it yourself if you put several such images into one file.
        """
        if image_id is None:
            named = number_in_name(PurePath(self.name))
            image_id = 1 if named is None else named
        keypoints: NDArray[np.float64] = self.keypoints.astype(np.float64).round(4)
        scores: NDArray[np.float64] = self.scores.astype(np.float64).round(6)
        return coco_rows(np.full(len(self), int(image_id), object), keypoints, scores, category_id)

    def to_records(self) -> list[dict[str, Any]]:
        """One dict for each joint of each person: image, person (0, 1, …), joint, x and y in pixels, score,
        person_score; `id` too if there are ids."""
        return [
            dict(zip(self._columns, (self.name, number, joint, *values, person.score, person.id), strict=False))
            for number, person in enumerate(self)
            for joint, values in zip(self.skeleton.joints, person.keypoints.tolist(), strict=True)
        ]

    @property
    def _columns(self) -> tuple[str, ...]:
        return COLUMNS if self.ids is None else (*COLUMNS, "id")

    def to_frame(self, library: FrameLibrary | None = None) -> Any:
        """A table with the columns of `to_records`, as a frame of pandas, polars or pyarrow.

            poses.to_frame("pandas").query("joint == 'nose'")

        library: one of the three; if not given, the first that is installed. Raises ConfigError if it is unknown,
        MissingPackageError if it is not installed.
        """
        count, joints = len(self), self.skeleton.joints
        columns: dict[str, Any] = {
            "image": [self.name] * count * len(joints),
            "person": np.repeat(np.arange(count), len(joints)),
            "joint": list(joints) * count,
            **dict(zip(("x", "y", "score"), self.keypoints.reshape(-1, 3).T, strict=True)),
            "person_score": np.repeat(self.scores, len(joints)),
            **({} if self.ids is None else {"id": np.repeat(self.ids, len(joints))}),
        }
        return native_frame(columns, library)

    def normalized(self) -> Poses:
        """Places as shares of the image, x of its width and y of its height; `image_hw` is then (1, 1). Raises
        ShapeError if the image's size is unknown."""
        if self.image_hw is None:
            raise ShapeError("the image's size is unknown; give it with dataclasses.replace(poses, image_hw=(h, w))")
        height, width = self.image_hw
        share = np.array([1 / width, 1 / height, 1], np.float32)
        raw = None if self.raw_keypoints is None else self.raw_keypoints * share
        boxes = Boxes(self.boxes.xywh * share[[0, 1, 0, 1]], self.boxes.scores)
        return replace(self, keypoints=self.keypoints * share, raw_keypoints=raw, boxes=boxes, image_hw=(1, 1))

    def above(self, score: float) -> Poses:
        """The same people without the joints that score less, which become NaN, NaN, 0."""
        low = ~(self.keypoints[..., 2:] >= score)
        return replace(self, keypoints=np.where(low, np.array([np.nan, np.nan, 0], np.float32), self.keypoints))

    def angles(self, facing: Facing = "auto") -> dict[str, NDArray[np.float64]]:
        """Angles of joints and segments by name, (N,) degrees each, that the skeleton has joints for.

            poses.angles()["left_knee"]  # 0 for a straight leg

        facing: where the people look in the image: right, left, or auto, by their toes.
        """
        names = known_angles(self.skeleton.joints)
        values = angles_of(self.keypoints, self.skeleton.joints, names, facing)
        return dict(zip(names, values.T, strict=True))

    def to_detections(self) -> Any:
        """The people's boxes as `supervision.Detections`, with `tracker_id` if there are ids. Raises
        MissingPackageError if supervision is not installed."""
        try:
            from supervision import Detections
        except ImportError as error:
            raise MissingPackageError("supervision", "supervision") from error
        xywh = self.boxes.xywh
        return Detections(
            xyxy=np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], 1),
            confidence=self.scores.copy(),
            class_id=np.zeros(len(self), np.int64),
            tracker_id=None if self.ids is None else self.ids.copy(),
        )

    def to_supervision(self) -> Any:
        """The poses as `supervision.KeyPoints`. Raises MissingPackageError if supervision is not installed."""
        try:
            from supervision import KeyPoints
        except ImportError as error:
            raise MissingPackageError("supervision", "supervision") from error
        return KeyPoints(
            xy=self.keypoints[..., :2].copy(),
            class_id=np.zeros(len(self), np.int64),
            keypoint_confidence=self.keypoints[..., 2].copy(),
            detection_confidence=self.scores.copy(),
            **({} if self.ids is None else {"data": {"tracker_id": self.ids.copy()}}),
        )


def coco_rows(
    image_ids: NDArray[Any], keypoints: NDArray[np.float64], scores: NDArray[np.float64], category_id: int = 1
) -> list[dict[str, Any]]:
    """COCO keypoint results: one dict for each of N people.

    image_ids: (N,) int64, or objects for whole numbers of any size. scores: (N,). keypoints: (N, K, 3) x, y, score.
    """
    triples = keypoints.reshape(len(keypoints), 3 * keypoints.shape[1]).tolist()
    return [
        {"image_id": image_id, "category_id": category_id, "keypoints": values, "score": score}
        for image_id, values, score in zip(image_ids.tolist(), triples, scores.tolist(), strict=True)
    ]


def _rounded(value: float, places: int) -> float | None:
    return round(value, places) if math.isfinite(value) else None


def draw_poses(image: ImageArray, poses: Poses, threshold: float = 0.2) -> ImageArray:
    """A copy of an RGB image with all skeletons; see `Poses.plot`."""
    return poses.plot(image, threshold)


def number_in_name(image: PurePath) -> int | None:
    """The number in an image's file name, such as 397133 for 000000397133.jpg. None if the name is not a number."""
    digits = image.stem
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 256 else None  # as names may be long
