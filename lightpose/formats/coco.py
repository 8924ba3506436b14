"""COCO's annotations of keypoints, with people over time by `track_id`, and its results."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import IO, Any

import numpy as np

from lightpose.errors import DataError
from lightpose.formats.base import HIDDEN, Options, image_name, made, matching, real, visibility, whole
from lightpose.io.coco import read_annotations
from lightpose.io.files import read_json
from lightpose.ops.joints import missing
from lightpose.results import Poses, coco_rows, number_in_name
from lightpose.skeletons import COCO17, from_category
from lightpose.types import ImageArray

__all__ = ["CocoResultsWriter", "CocoWriter", "category_of", "coco_poses", "read_coco_poses", "read_coco_results"]


def category_of(poses: Poses) -> dict[str, Any]:
    """The category of people with their joints and limbs."""
    skeleton = poses.skeleton
    limbs = (skeleton.limb_indices + 1).tolist()
    return {"id": 1, "name": "person", "supercategory": "person", "keypoints": list(skeleton.joints), "skeleton": limbs}


class CocoWriter:
    """Annotations: joints that score less than 0.2 are hidden, v = 1; `area` is that of the box.

    An image has, beside what COCO says, `frame`, `time_s` and `video` if it is of a video.
    """

    def __init__(self, file: IO[bytes], options: Options) -> None:
        self._file, self._options = file, options
        self._rows: IO[bytes] = tempfile.SpooledTemporaryFile(2**24)  # noqa: SIM115 - closed in close
        self._images = self._people = 0
        self._category: dict[str, Any] | None = None

    def write(self, poses: Poses, _image: ImageArray | None = None, /) -> None:
        """Take a frame."""
        self._category = self._category or category_of(poses)
        self._images += 1
        height, width = poses.image_hw or self._options.image_hw or (0, 0)
        row: dict[str, Any] = {"id": self._images, "file_name": image_name(poses, self._images - 1)}
        row |= {"width": width, "height": height}
        row |= {} if poses.frame is None else {"frame": poses.frame}
        if poses.time_s is not None:
            row |= {"time_s": poses.time_s, "video": poses.name}
        self._file.write((b'{"images": [\n' if self._images == 1 else b",\n") + _line(row))
        for each in self._annotations(poses):
            self._rows.write((b",\n" if self._people else b"") + _line(each))
            self._people += 1

    def _annotations(self, poses: Poses) -> Iterator[dict[str, Any]]:
        marks = visibility(poses.keypoints)
        points = np.where(marks[..., None] > 0, poses.keypoints[..., :2], 0).astype(np.float64).round(2)
        boxes = poses.boxes.xywh.astype(np.float64).round(2).tolist()
        for number, (box, mark) in enumerate(zip(boxes, marks, strict=True)):
            yield {
                "id": self._people + 1,
                "image_id": self._images,
                "category_id": 1,
                "keypoints": np.concatenate([points[number], mark[:, None]], 1).ravel().tolist(),
                "num_keypoints": int((mark > 0).sum()),
                "bbox": box,
                "area": round(box[2] * box[3], 2),
                "segmentation": [],
                "iscrowd": 0,
                "score": round(float(poses.scores[number]), 4),
                **({} if poses.ids is None else {"track_id": int(poses.ids[number])}),
            }

    def close(self) -> None:
        """Write the annotations after the images."""
        self._file.write(b'{"images": [' if not self._images else b"")
        self._file.write(b'\n],\n"annotations": [\n')
        self._rows.seek(0)
        while block := self._rows.read(2**20):
            self._file.write(block)
        self._rows.close()
        category = self._category or {"id": 1, "name": "person", "keypoints": list(COCO17.joints), "skeleton": []}
        self._file.write(b'\n],\n"categories": [' + _line(category) + b"]}\n")


def _line(row: dict[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False).encode(errors="backslashreplace")


class CocoResultsWriter:
    """Results, as COCO's evaluation reads them: an object for each person, with scores of the joints."""

    def __init__(self, file: IO[bytes], _options: Options) -> None:
        self._file, self._images, self._rows = file, 0, 0
        file.write(b"[")

    def write(self, poses: Poses, _image: ImageArray | None = None, /) -> None:
        """Append the people of an image, whose id is the number it is named by, or, in a video, that of the frame."""
        named = number_in_name(PurePath(poses.name)) if poses.time_s is None else None
        number = (self._images if poses.frame is None else poses.frame) if named is None else named
        joints = np.where(missing(poses.keypoints)[..., None], 0, poses.keypoints).astype(np.float64).round(4)
        for row in coco_rows(np.full(len(poses), number, object), joints, poses.scores.astype(np.float64).round(6)):
            self._file.write((b",\n" if self._rows else b"\n") + _line(row))
            self._rows += 1
        self._images += 1

    def close(self) -> None:
        """End the list."""
        self._file.write(b"\n]\n")


def read_coco_poses(path: Path, options: Options) -> Iterator[Poses]:
    """The images of a file of annotations, in its order; a joint is sure (v = 2), hidden (1) or missing (0)."""
    yield from coco_poses(read_json(path), path, options)


def coco_poses(document: Any, path: Path, options: Options) -> Iterator[Poses]:
    """The same of a file's content."""
    reading = read_annotations(document, "pose")
    refusal = reading.refusal(path)
    if refusal or reading.people is None:
        raise DataError(refusal or f"{path}: nobody in it has joints; name a file of keypoints")
    skeleton = from_category(reading.people.row)
    skeleton = matching(skeleton.joints, skeleton.name)
    people: dict[int, list[dict[str, Any]]] = {}
    for row in reading.document["annotations"]:
        if row.get("category_id") == reading.people.number and not row.get("iscrowd"):
            people.setdefault(row["image_id"], []).append(row)
    for number, image in enumerate(reading.document["images"]):
        rows = people.get(image["id"], [])
        where = f"{path}: image {image.get('file_name', image['id'])}"
        joints = np.array([row.get("keypoints") or [0] * 3 * len(skeleton) for row in rows], np.float64)
        joints = joints.reshape(-1, len(skeleton), 3)
        joints[..., 2] = np.select([joints[..., 2] >= 2, joints[..., 2] >= 1], [1.0, HIDDEN], 0)
        joints[joints[..., 2] == 0] = np.nan
        ids = [whole(row["track_id"], f"{where}: track_id") for row in rows if row.get("track_id") is not None]
        frame = whole(image.get("frame", number), f"{where}: frame")
        time_s = image.get("time_s")
        size = (image.get("height") or 0, image.get("width") or 0)
        yield made(
            joints,
            skeleton,
            boxes=np.array([row["bbox"] for row in rows], np.float64).reshape(-1, 4),
            scores=np.array([real(row.get("score", 1), where) for row in rows]),
            name=str(image.get("video", image.get("file_name", ""))),
            image_hw=(int(size[0]), int(size[1])) if all(size) else options.image_hw,
            ids=np.array(ids, np.int64) if len(ids) == len(rows) and (ids or time_s is not None) else None,
            frame=frame,
            time_s=options.time_s(frame) if time_s is None else real(time_s, f"{where}: time_s"),
        )


def read_coco_results(path: Path, options: Options) -> Iterator[Poses]:
    """The images of a file of results, in its order; which has no names of joints: their number must tell."""
    from lightpose.formats.base import by_count

    found: dict[Any, list[Any]] = {}
    document = read_json(path)
    for number, row in enumerate(document):
        try:
            found.setdefault(whole(row["image_id"], f"{path}: row {number}: image_id"), []).append(
                (
                    [real(v, f"{path}: row {number}") for v in row["keypoints"]],
                    real(row["score"], f"{path}: row {number}"),
                )
            )
        except (LookupError, TypeError) as error:
            raise DataError(
                f"{path}: row {number} has no image_id, keypoints and score; name a file of results"
            ) from error
    for image, rows in sorted(found.items()):
        counts = {len(values) for values, _ in rows}
        if len(counts) > 1 or next(iter(counts)) % 3:
            raise DataError(
                f"{path}: image {image} has people with {counts} numbers, not x, y, score of the same joints"
            )
        skeleton = by_count(counts.pop() // 3, f"{path}: image {image}")
        joints = np.array([values for values, _ in rows]).reshape(-1, len(skeleton), 3)
        joints[(joints == 0).all(-1)] = np.nan
        yield made(
            joints, skeleton, scores=np.array([score for _, score in rows]), frame=image, name=f"{image:012}.jpg",
            image_hw=options.image_hw, time_s=options.time_s(image),
        )  # fmt: skip
