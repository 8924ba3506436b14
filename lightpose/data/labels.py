"""Labels of annotation tools as COCO documents: COCO itself, YOLO-pose, CVAT 1.1 XML and Label Studio's JSON."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from lightpose.data.convert import AREA_SHARE, Converted, annotation, category, clip_box, extent_box
from lightpose.errors import DataError
from lightpose.formats import Options, format_named, recognise
from lightpose.formats.base import visibility
from lightpose.formats.yolo_pose import SUFFIXES
from lightpose.io.coco import tell
from lightpose.io.files import read_json
from lightpose.results import Poses
from lightpose.skeletons import COCO17

__all__ = ["document_of", "read_export", "read_labels"]

_FORMATS = ("yolo-pose", "cvat", "label-studio")
"""Formats beside COCO; docs/own_data.md lists them."""


def read_labels(path: Path, images: Path | None) -> tuple[Any, tuple[str, ...]]:
    """The COCO document of a file of labels, as it is if it is one, and what was read how, a line each.

    path: a .json of COCO or Label Studio, CVAT's .xml or .zip, or the folder or data.yaml of YOLO-pose. images: the
    folder of the images. Raises DataError if it is none of these, or something is wrong with it.
    """
    if path.suffix.lower() == ".json" or (
        path.is_file() and path.suffix.lower() not in (".xml", ".zip", ".yaml", ".yml")
    ):
        document = read_json(path)
        first = document[0] if isinstance(document, list) and document else None
        if not (isinstance(first, dict) and ("data" in first or "annotator" in first)):
            return document, ()
        kind = format_named("label-studio")
    elif path.is_file() and path.suffix.lower() == ".zip":
        kind = format_named("cvat")
    elif path.exists():
        kind = recognise(path)
    else:
        raise DataError(f"cannot read {path}: there is no such file")
    if kind.name not in _FORMATS:
        raise DataError(f"{path} is {kind.name}, and labels are COCO, YOLO-pose, CVAT 1.1 or Label Studio's JSON")
    options = Options(images=images, labelled=True)
    document = document_of(kind.read(path, options), images, video=kind.name == "cvat")
    return document, tuple(options.notes)


def read_export(path: Path, images: Path, name: str) -> Converted:
    """The labels of an annotation tool's export in that format, to write as COCO. Raises DataError as `read_labels`."""
    options = Options(images=images, labelled=True)
    document = document_of(format_named(name).read(path, options), images, video=name == "cvat")
    tell(path, options.notes)
    return Converted(document, {})


def document_of(frames: Iterator[Poses], images: Path | None, video: bool = False) -> dict[str, Any]:
    """A COCO document of people. Who has no box gets one round the joints, with a margin; see `convert`.

    images: the folder in which the images' files are looked for. video: whether people with ids are of a video.
    """
    pictures: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    skeleton = COCO17
    for poses in frames:
        skeleton = poses.skeleton
        track = video and poses.ids is not None
        name = _file_name(poses, images, track)
        if track and not len(poses) and (images is None or not (images / name).is_file()):
            continue  # frames of a video that nobody made images of
        number = len(pictures) + 1
        size = {} if poses.image_hw is None else dict(zip(("height", "width"), poses.image_hw, strict=True))
        pictures.append({"id": number, "file_name": name, **size})
        rows.extend(_people(poses, number, len(rows)))
    return {"images": pictures, "annotations": rows, "categories": [category(skeleton)]}


def _people(poses: Poses, image: int, count: int) -> Iterator[dict[str, Any]]:
    """The rows of an image's people."""
    marks = visibility(poses.keypoints)
    triples = np.concatenate([poses.keypoints[..., :2], marks[..., None]], -1).astype(np.float64)
    boxes = poses.boxes.xywh.astype(np.float64)
    for person, (box, joints, mark) in enumerate(zip(boxes, triples, marks, strict=True)):
        points = joints[mark > 0, :2]
        if len(points):
            low, high = points.min(0), points.max(0)
            if np.allclose(box, [*low, *(high - low)], atol=0.01):  # made of them: nobody drew it
                box = extent_box(points)
        if poses.image_hw is not None:
            box = clip_box(box, poses.image_hw)
        if len(points) or (box[2:] > 0).all():
            row = annotation(count + 1, image, box, AREA_SHARE * box[2] * box[3], joints)
            yield {**row, **({} if poses.ids is None else {"track_id": int(poses.ids[person])})}
            count += 1


def _file_name(poses: Poses, images: Path | None, track: bool) -> str:
    """The name of an image's file in the folder of images; the first of the possible ones if none is there."""
    names = [*_video_names(poses)] if track else [*_image_names(poses.name)]
    if images is not None:
        for name in names:
            for path in (name, *(f"{name}{suffix}" for suffix in SUFFIXES)):
                if (images / path).is_file():
                    return path
    return names[0]


def _image_names(name: str) -> Iterator[str]:
    """Where an image that a tool calls so may be: by the path, or its last parts; Label Studio puts more before it."""
    yield name
    parts = urlsplit(name)
    path = unquote(parse_qs(parts.query).get("d", [parts.path])[0]).replace("\\", "/").lstrip("/")
    pieces = path.split("/")
    for start in range(len(pieces)):
        yield "/".join(pieces[start:])
    token, _, rest = pieces[-1].partition("-")
    if len(token) == 8 and rest:  # what Label Studio puts before the name of an upload
        yield rest


def _video_names(poses: Poses) -> Iterator[str]:
    """What CVAT calls a frame that it exports, and what lightpose does."""
    frame, stem = poses.frame or 0, Path(poses.name).stem or "frame"
    for folder in ("", "images/"):
        yield f"{folder}frame_{frame:06}"
        yield f"{folder}{stem}_{frame:06}"
