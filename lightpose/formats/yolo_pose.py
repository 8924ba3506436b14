"""YOLO-pose: a folder with images, labels and data.yaml, as Ultralytics and Roboflow have it.

A line of labels is: class, box centre x, y, width, height, then x, y, v of each joint; shares of the image
(docs.ultralytics.com/datasets/pose).
"""

from __future__ import annotations

import json
import re
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

__all__ = ["YoloPoseFolder", "read_yolo_pose"]


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
    """The images of a folder with data.yaml, in the order of their names; sizes come from the images."""
    folder, yaml = (path, path / "data.yaml") if path.is_dir() else (path.parent, path)
    skeleton, values = _data(yaml)
    labels = sorted(folder.glob("labels/**/*.txt")) or sorted(folder.glob("*/labels/*.txt"))
    if not labels:
        raise DataError(f"{folder} has no labels/…/*.txt; name the folder of data.yaml")
    for number, label in enumerate(labels):
        name, size = _image(label, options)
        rows = [
            _row(line, skeleton, values, f"{label}:{n}")
            for n, line in enumerate(text_of(label).splitlines(), 1)
            if line.split()
        ]
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
        yield made(
            keypoints, skeleton, boxes=boxes * (width, height, width, height), name=name, image_hw=size, frame=frame,
            time_s=options.time_s(frame), scores=np.ones(len(rows)),
        )  # fmt: skip


def _data(yaml: Path) -> tuple[Skeleton, int]:
    """The joints that data.yaml tells, and how many numbers each has. Only the keys that matter are read."""
    text = text_of(yaml)
    shape = re.search(r"^kpt_shape:\s*\[\s*(\d+)\s*,\s*([23])\s*\]", text, re.MULTILINE)
    if shape is None:
        raise DataError(f"{yaml} has no kpt_shape such as [17, 3]; add it")
    count = int(shape[1])
    block = re.search(r"^kpt_names:\s*\n\s+0:\s*\n((?:\s+- .*\n?)+)", text, re.MULTILINE)
    names = [each.strip().strip("'\"") for each in re.findall(r"^\s+- (.*)$", block[1], re.MULTILINE)] if block else []
    if names and len(names) != count:
        raise DataError(f"{yaml} names {len(names)} joints in kpt_names and {count} in kpt_shape; make them agree")
    return matching(tuple(names)) if names else by_count(count, str(yaml)), int(shape[2])


def _image(label: Path, options: Options) -> tuple[str, tuple[int, int]]:
    """The name of a label's image, and its size."""
    from lightpose.io.headers import image_header

    folder = Path(*("images" if part == "labels" else part for part in label.parent.parts))
    for suffix in sorted(IMAGE_SUFFIXES):
        path = folder / f"{label.stem}{suffix}"
        if path.is_file():
            with path.open("rb") as file:
                header: Any = image_header(file.read(2**20))
            if header is not None and header.height:
                return path.name, (header.height, header.width)
    if options.image_hw is None:
        raise DataError(f"{label}: its image is not in {folder}, so its size is unknown; put it there, or add --video")
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
