"""YOLO-pose: a folder with images, labels and data.yaml, as Ultralytics and Roboflow have it.

A line of labels is: class, box centre x, y, width, height, then x, y, v of each joint; shares of the image
(docs.ultralytics.com/datasets/pose).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from lightpose.errors import DataError
from lightpose.formats.base import HIDDEN, Options, by_count, image_name, made, matching, real, text_of, visibility
from lightpose.io.files import write_aside
from lightpose.io.images import IMAGE_SUFFIXES, encode_image
from lightpose.results import Poses
from lightpose.skeletons import COCO17, Skeleton
from lightpose.types import ImageArray

__all__ = ["SUFFIXES", "YoloPoseFolder", "read_yolo_pose"]

SUFFIXES = (*sorted(IMAGE_SUFFIXES), *sorted(each.upper() for each in IMAGE_SUFFIXES))
"""Of images, in small letters and capitals."""


class YoloPoseFolder:
    """images/train, labels/train and data.yaml. Without pixels at hand, only labels are written."""

    def __init__(self, folder: Path, options: Options) -> None:
        self._folder, self._options, self._count = folder, options, 0
        self._skeleton: Skeleton = COCO17
        for part in ("images", "labels"):
            (folder / part / "train").mkdir(parents=True, exist_ok=True)

    def write(self, poses: Poses, image: ImageArray | None = None, /) -> None:
        """Write the labels of an image, and the image. Raises DataError if its size is unknown."""
        size = poses.image_hw or self._options.image_hw or (None if image is None else image.shape[:2])
        name = PurePath(image_name(poses, self._count))
        if size is None:
            raise DataError(f"yolo-pose has shares of the image, and the size of {name} is unknown; add --video")
        self._skeleton = poses.skeleton
        flat = "__".join(part.strip("/\\.") or "_" for part in name.with_suffix("").parts)
        content = "".join(_lines(poses, size)).encode()
        write_aside(self._folder / "labels" / "train" / f"{flat}.txt", content, sync=False)
        if image is not None:
            suffix = name.suffix.lower() if name.suffix.lower() in IMAGE_SUFFIXES else ".jpg"
            path = self._folder / "images" / "train" / f"{flat}{suffix}"
            write_aside(path, encode_image(image, suffix), sync=False)
        self._count += 1

    def close(self) -> None:
        """Write data.yaml."""
        joints = self._skeleton.joints
        text = (
            "path: .\ntrain: images/train\nval: images/train\n\n"
            f"kpt_shape: [{len(joints)}, 3]\nflip_idx: {list(self._skeleton.flip_order)}\n\n"
            "names:\n  0: person\n\nkpt_names:\n  0:\n" + "".join(f"    - {json.dumps(each)}\n" for each in joints)
        )
        write_aside(self._folder / "data.yaml", text.encode())


def _lines(poses: Poses, size: tuple[int, int]) -> Iterator[str]:
    height, width = size
    marks = visibility(poses.keypoints)
    share = np.array([1 / width, 1 / height])
    points = np.where(marks[..., None] > 0, poses.keypoints[..., :2] * share, 0)
    boxes = poses.boxes.xywh.astype(np.float64) * np.tile(share, 2)
    boxes[:, :2] += boxes[:, 2:] / 2
    for box, joints, mark in zip(boxes.tolist(), points.tolist(), marks.tolist(), strict=True):
        numbers = [f"{value:.6f}" for value in box]
        for (x, y), v in zip(joints, mark, strict=True):
            numbers += [f"{x:.6f}", f"{y:.6f}", str(v)]
        yield f"0 {' '.join(numbers)}\n"


def read_yolo_pose(path: Path, options: Options) -> Iterator[Poses]:
    """The images of a folder with data.yaml, in the order of their labels' names; sizes come from the images.

    With `options.images` only those in that folder, such as images/train, by their names in it.
    """
    folder, yaml = (path, path / "data.yaml") if path.is_dir() else (path.parent, path)
    skeleton, values = _data(yaml, options)
    labels = sorted(folder.glob("labels/**/*.txt")) or sorted(folder.glob("*/labels/*.txt"))
    if not labels:
        raise DataError(f"{folder} has no labels/…/*.txt; name the folder of data.yaml")
    classes, left_out = Counter[int](), 0
    for number, label in enumerate(labels):
        image = _image(label, options)
        if image is None:
            left_out += 1
            continue
        rows = [
            _row(line, skeleton, values, f"{label}:{n}")
            for n, line in enumerate(text_of(label).splitlines(), 1)
            if line.split()
        ]
        classes.update(int(row[0]) for row in rows)
        yield _poses(rows, skeleton, values, *image, label, number, options)
    if left_out == len(labels):
        raise DataError(f"{folder} has labels of {left_out} images, and none of them is in {options.images}")
    if left_out:
        options.notes.append(f"labels of {left_out} images that are not in {options.images} are left out")
    if len(classes) > 1:
        options.notes.append(f"people are of {len(classes)} classes, with the same joints; all are used")


def _poses(
    rows: list[list[float]], skeleton: Skeleton, values: int, name: str, size: tuple[int, int], label: Path,
    number: int, options: Options,
) -> Poses:  # fmt: skip
    """The people of an image. rows: of numbers, as `_row` gives them."""
    found = np.array(rows).reshape(len(rows), 5 + values * len(skeleton))
    height, width = size
    boxes = found[:, 1:5].copy() if rows else np.zeros((0, 4))
    boxes[:, :2] -= boxes[:, 2:] / 2
    joints = found[:, 5:].reshape(len(rows), -1, values) if rows else np.zeros((0, len(skeleton), 3))
    marks = joints[..., 2] if values == 3 else np.where((joints == 0).all(-1), 0, 2)
    sure = np.select([marks >= 2, marks >= 1], [1.0, HIDDEN], 0)
    keypoints = np.concatenate([joints[..., :2] * (width, height), sure[..., None]], -1)
    keypoints[sure == 0] = np.nan
    digits = re.search(r"(\d{6,})$", label.stem)
    frame = int(digits[1]) if digits else number
    return made(
        keypoints, skeleton, boxes=boxes * (width, height, width, height), name=name, image_hw=size, frame=frame,
        time_s=options.time_s(frame), scores=np.ones(len(rows)),
    )  # fmt: skip


def _data(yaml: Path, options: Options) -> tuple[Skeleton, int]:
    """The joints that data.yaml tells, and how many numbers each has. Only the keys that matter are read."""
    text = text_of(yaml)
    shape = _numbers(text, "kpt_shape")
    if len(shape) != 2 or shape[1] not in (2, 3):
        raise DataError(f"{yaml} has no kpt_shape such as [17, 3]; add it")
    count, values = shape
    block = re.search(r"^kpt_names:\s*\n\s+0:\s*\n((?:\s+- .*\n?)+)", text, re.MULTILINE)
    names = [each.strip().strip("'\"") for each in re.findall(r"^\s+- (.*)$", block[1], re.MULTILINE)] if block else []
    if names and len(names) != count:
        raise DataError(f"{yaml} names {len(names)} joints in kpt_names and {count} in kpt_shape; make them agree")
    skeleton = matching(tuple(names)) if names else by_count(count, f"{yaml} (kpt_names)")
    if not names:
        options.notes.append(
            f"{yaml.name} has no kpt_names; its {count} joints are taken to be those of {skeleton.name}"
        )
    flip = _numbers(text, "flip_idx")
    if flip and flip != [*skeleton.flip_order]:
        options.notes.append(
            f"flip_idx of {yaml.name} is not what the names of joints say, left and right; names count"
        )
    return skeleton, values


def _numbers(text: str, key: str) -> list[int]:
    """The whole numbers of a key, in brackets or below it; none if it has none."""
    found = re.search(rf"^{key}:\s*(?:\[([\d\s,]*)\]|((?:\n\s*-\s*\d+[ \t]*)+))", text, re.MULTILINE)
    return [int(each) for each in re.findall(r"\d{1,9}", found[1] or found[2] or "")] if found else []


def _image(label: Path, options: Options) -> tuple[str, tuple[int, int]] | None:
    """The name of a label's image, and its size; None if it is none of those that are asked for."""
    from lightpose.io.headers import image_header

    beside = Path(*("images" if part == "labels" else part for part in label.parent.parts))
    for folder in (beside, *([options.images] if options.images else [])):
        for suffix in SUFFIXES:
            path = folder / f"{label.stem}{suffix}"
            if not path.is_file():
                continue
            whole, images = folder.resolve() / path.name, (options.images or folder).resolve()
            if not whole.is_relative_to(images):
                return None
            with path.open("rb") as file:
                header: Any = image_header(file.read(2**20))
            if header is not None and header.height:
                size = (header.height, header.width)  # Ultralytics labels images turned upright
                return whole.relative_to(images).as_posix(), size[::-1] if header.orientation >= 5 else size
    if options.images:
        return None
    if options.image_hw is None:
        raise DataError(f"{label}: its image is not in {beside}, so its size is unknown; put it there, or add --video")
    return f"{label.stem}.jpg", options.image_hw


def _row(line: str, skeleton: Skeleton, values: int, where: str) -> list[float]:
    fields = [real(each, where) for each in line.split()]
    if len(fields) != 5 + values * len(skeleton):
        raise DataError(
            f"{where}: {len(fields)} numbers are not a class, a box and {values} for each of {len(skeleton)} joints, "
            "as kpt_shape in data.yaml says"
        )
    if max(map(abs, fields[1:5])) > 4:
        raise DataError(f"{where}: the box is in pixels, and labels are shares of the image; divide by its size")
    return fields
