"""The people found in an image: their boxes and poses, as numbers, tables, files and drawings."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path, PurePath
from typing import Any, Literal, NamedTuple, get_args, overload

import numpy as np
from numpy.typing import NDArray

from lightpose.errors import BoxesError, ConfigError, MissingPackageError, ShapeError, SkeletonError
from lightpose.io.files import write_aside
from lightpose.io.images import IMAGE_SUFFIXES, encode_image
from lightpose.ops.draw import draw_skeletons
from lightpose.skeletons import Skeleton
from lightpose.types import FloatArray, ImageArray

__all__ = ["Boxes", "Keypoint", "Pose", "Poses", "coco_rows", "draw_poses", "number_in_name"]

COLUMNS = ("image", "person", "joint", "x", "y", "score", "person_score")
"""Columns of a table of poses, which has one row for each joint of each person."""

LARGEST = 100
"""How many times an image's longer side a box may have: in the crop of a longer one the image is a pixel or two."""

FrameLibrary = Literal["pandas", "polars", "pyarrow"]
"""Libraries that `to_frame` can use. If none is named, it takes the first that is installed."""


@dataclass(frozen=True, eq=False)
class Boxes:
    """People found in one image.

    xywh: (N, 4) float32, left, top, width, height in pixels. scores: (N,) float32, those of most detectors in [0, 1];
    ones if not given. Raises BoxesError if a shape is wrong or a number is not finite.
    """

    xywh: FloatArray
    scores: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))

    def __post_init__(self) -> None:
        try:
            with np.errstate(over="ignore"):  # values that are too large become infinite and are refused below
                xywh = np.array(self.xywh, dtype=np.float32)
                scores = np.array(self.scores, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise BoxesError(f"boxes must be numbers, four for each person ({error})") from error
        if xywh.size == 0:
            xywh = xywh.reshape(0, 4)
        if xywh.ndim != 2 or xywh.shape[1] != 4:
            raise BoxesError(f"boxes must have shape (N, 4) for left, top, width, height; got {xywh.shape}")
        if scores.size == 0:
            scores = np.ones(len(xywh), np.float32)
        if scores.shape != (len(xywh),):
            raise BoxesError(f"{len(xywh)} boxes need {len(xywh)} scores; got shape {scores.shape}")
        if not (np.isfinite(xywh).all() and np.isfinite(scores).all()):
            raise BoxesError("a box or score is NaN or infinite; leave such boxes out")
        object.__setattr__(self, "xywh", xywh)
        object.__setattr__(self, "scores", scores)

    def __len__(self) -> int:
        return len(self.xywh)

    def __getitem__(self, which: slice | NDArray[Any]) -> Boxes:
        """The boxes that a slice, an array of numbers (M,), or a mask (N,) of bool selects."""
        return Boxes(self.xywh[which], self.scores[which])

    def __repr__(self) -> str:
        return f"Boxes({len(self)})"

    def check_inside(self, height: int, width: int) -> None:
        """Raise BoxesError if a box has no area, or is wholly outside an image of that size, or far larger than it."""
        x, y, w, h = self.xywh.T
        for wrong, reason in (
            ((w <= 0) | (h <= 0), "has no area"),
            ((x >= width) | (y >= height) | (x + w <= 0) | (y + h <= 0), f"lies outside the {width}x{height} image"),
            (np.maximum(w, h) > LARGEST * max(height, width), f"is over {LARGEST} times as long as the image"),
        ):
            if wrong.any():
                number = int(wrong.argmax())
                raise BoxesError(f"box {number} {self.xywh[number].tolist()} (left, top, width, height) {reason}")


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
    frame of a video, None if nobody was tracked. state: `detected`, `carried` or `filled`, None if unknown; raw: (K, 3)
    the keypoints before they were smoothed; see `Poses`.
    """

    keypoints: FloatArray
    score: float
    box_xywh: FloatArray
    box_score: float
    skeleton: Skeleton
    id: int | None = None
    state: str | None = None
    raw: FloatArray | None = None

    def __getitem__(self, joint: str) -> Keypoint:
        """The joint with this name. Raises SkeletonError, which lists the known joints, if there is none."""
        if joint not in self.skeleton.joints:
            raise SkeletonError(f"there is no joint {joint!r}; the skeleton has {', '.join(self.skeleton.joints)}")
        return Keypoint(*self.keypoints[self.skeleton.joints.index(joint)].tolist())

    def __repr__(self) -> str:
        named = "" if self.id is None else f"id {self.id}, "
        return f"Pose({named}score {self.score:.2f}, {len(self.skeleton)} joints)"

    def to_dict(self) -> dict[str, Any]:
        """A dict of plain numbers, ready for JSON: pixels rounded to 2 decimal places, scores to 4. `id`, `state` and
        `raw_keypoints` if there are any; the last is None for a person who was filled in."""
        raw = None if self.raw is None or self.state == "filled" else self._joints(self.raw)
        return {
            **({} if self.id is None else {"id": self.id}),
            **({} if self.state is None else {"state": self.state}),
            "box": [round(value, 2) for value in self.box_xywh.tolist()],
            "box_score": round(self.box_score, 4),
            "score": round(self.score, 4),
            "keypoints": self._joints(self.keypoints),
            **({} if self.raw is None else {"raw_keypoints": raw}),
        }

    def _joints(self, keypoints: FloatArray) -> dict[str, dict[str, float]]:
        return {
            joint: {"x": round(x, 2), "y": round(y, 2), "score": round(sure, 4)}
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
    (N,) of text: who was `detected` in this frame, whose box was `carried` over from the last one, and who was `filled`
    in where nobody was found; None for images. raw: (N, K, 3) the keypoints before they were smoothed, NaN for who was
    filled in; None if nothing was smoothed. Raises ShapeError if there are more or fewer of these than people.
    """

    keypoints: FloatArray
    scores: FloatArray
    boxes: Boxes
    skeleton: Skeleton
    image_hw: tuple[int, int] | None = None
    name: str = ""
    ids: NDArray[np.int64] | None = None
    states: NDArray[np.str_] | None = None
    raw: FloatArray | None = None

    def __post_init__(self) -> None:
        count = len(self.keypoints)
        for name, kind, shape in (
            ("ids", np.int64, (count,)), ("states", np.str_, (count,)), ("raw", np.float32, np.shape(self.keypoints))
        ):  # fmt: skip
            value = getattr(self, name)
            if value is not None:
                array = np.array(value, kind)
                if array.shape != shape:
                    raise ShapeError(f"{count} people need {count} {name}; got shape {array.shape}")
                object.__setattr__(self, name, array)

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
        keypoints, scores = self.keypoints[which], self.scores[which]
        ids = None if self.ids is None else self.ids[which]
        states = None if self.states is None else self.states[which]
        raw = None if self.raw is None else self.raw[which]
        if isinstance(which, int | np.integer):
            box, box_score = self.boxes.xywh[which], float(self.boxes.scores[which])
            number, state = None if ids is None else int(ids), None if states is None else str(states)
            return Pose(keypoints, float(scores), box, box_score, self.skeleton, number, state, raw)
        return Poses(keypoints, scores, self.boxes[which], self.skeleton, self.image_hw, self.name, ids, states, raw)

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
        import narwhals

        known: tuple[FrameLibrary, ...] = get_args(FrameLibrary)
        if library is not None and library not in known:
            raise ConfigError(f"library {library!r} is unknown; use {', '.join(known)}")
        backend = next((name for name in ((library,) if library else known) if find_spec(name)), None)
        if backend is None:
            raise MissingPackageError(library or "pandas, polars or pyarrow", "tables")
        count, joints = len(self), self.skeleton.joints
        columns = {
            "image": [self.name] * count * len(joints),
            "person": np.repeat(np.arange(count), len(joints)),
            "joint": list(joints) * count,
            **dict(zip(("x", "y", "score"), self.keypoints.reshape(-1, 3).T, strict=True)),
            "person_score": np.repeat(self.scores, len(joints)),
            **({} if self.ids is None else {"id": np.repeat(self.ids, len(joints))}),
        }
        texts, whole, real = narwhals.String(), narwhals.Int64(), narwhals.Float32()
        schema = dict(zip(self._columns, (texts, whole, texts, real, real, real, real, whole), strict=False))
        return narwhals.from_dict(columns, schema, backend=backend).to_native()

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


def draw_poses(image: ImageArray, poses: Poses, threshold: float = 0.2) -> ImageArray:
    """A copy of an RGB image with all skeletons; see `Poses.plot`."""
    return poses.plot(image, threshold)


def number_in_name(image: PurePath) -> int | None:
    """The number in an image's file name, such as 397133 for 000000397133.jpg. None if the name is not a number."""
    digits = image.stem
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 256 else None  # as names may be long
