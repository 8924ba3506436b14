"""Label Studio's tasks with predictions: a rectangle for each person, and its keypoints below it.

Places are in percent of the image (labelstud.io, template Keypoint Labeling; import of pre-annotated data).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from lightpose.errors import DataError
from lightpose.formats.base import Options, image_name, made, matching, real, whole
from lightpose.io.files import read_json
from lightpose.ops.joints import missing
from lightpose.results import Poses
from lightpose.skeletons import COCO17, Skeleton
from lightpose.types import ImageArray

__all__ = ["LabelStudioWriter", "labeling_config", "read_label_studio"]


def labeling_config(skeleton: Skeleton = COCO17) -> str:
    """The labelling interface that the tasks are for, to paste into the project's settings."""
    from xml.sax.saxutils import quoteattr

    joints = "\n".join(f"    <Label value={quoteattr(joint)}/>" for joint in skeleton.joints)
    return (
        '<View>\n  <Image name="image" value="$image"/>\n'
        '  <RectangleLabels name="box" toName="image">\n    <Label value="person"/>\n  </RectangleLabels>\n'
        f'  <KeyPointLabels name="joints" toName="image">\n{joints}\n  </KeyPointLabels>\n</View>\n'
    )


class LabelStudioWriter:
    """A task for each image, whose name is in `image`; a joint that is missing is left out."""

    def __init__(self, file: IO[bytes], options: Options) -> None:
        self._file, self._options, self._count = file, options, 0

    def write(self, poses: Poses, image: ImageArray | None = None, /) -> None:
        """Append the task of an image. Raises DataError if its size is unknown."""
        size = poses.image_hw or self._options.image_hw or (None if image is None else image.shape[:2])
        name = image_name(poses, self._count)
        if size is None:
            raise DataError(f"label-studio has percents of the image, and the size of {name} is unknown; add --video")
        data: dict[str, Any] = {"image": name, "frame": self._count if poses.frame is None else poses.frame}
        data |= {} if poses.time_s is None else {"time_s": poses.time_s, "video": poses.name}
        data["joints"] = list(poses.skeleton.joints)
        prediction = {
            "model_version": str(poses.about.get("model", "lightpose")),
            "score": round(float(poses.scores.mean()), 4) if len(poses) else 0.0,
            "result": [region for number in range(len(poses)) for region in _regions(poses, number, self._count, size)],
        }
        task = {"data": data, "predictions": [prediction]}
        self._file.write((b",\n" if self._count else b"[\n") + json.dumps(task).encode())
        self._count += 1

    def close(self) -> None:
        """End the list."""
        self._file.write(b"\n]\n" if self._count else b"[]\n")


def _regions(poses: Poses, number: int, task: int, size: tuple[int, int]) -> Iterator[dict[str, Any]]:
    """The rectangle of a person, and the joints."""
    height, width = size
    own = {"to_name": "image", "original_width": width, "original_height": height, "image_rotation": 0}
    left, top, wide, high = (poses.boxes.xywh[number] * (100 / np.array([width, height, width, height]))).tolist()
    box = f"{task}-{number}"
    meta = {} if poses.ids is None else {"meta": {"text": [f"person {poses.ids[number]}"]}}
    place = {"x": left, "y": top, "width": wide, "height": high, "rotation": 0, "rectanglelabels": ["person"]}
    score = round(float(poses.scores[number]), 4)
    yield {"id": box, "from_name": "box", "type": "rectanglelabels", **own, "value": place, "score": score, **meta}
    joints = poses.keypoints[number].astype(np.float64)
    for at in np.flatnonzero(~missing(joints)).tolist():
        joint, (x, y, score) = poses.skeleton.joints[at], joints[at].tolist()
        value = {"x": 100 * x / width, "y": 100 * y / height, "width": 0.5, "keypointlabels": [joint]}
        named = {"id": f"{box}-{at}", "parentID": box, "from_name": "joints", "type": "keypointlabels"}
        yield {**named, **own, "value": value, "score": round(score, 4)}


def read_label_studio(path: Path, options: Options) -> Iterator[Poses]:
    """The images of tasks or of an export: the last annotation of each, or its prediction if nobody annotated it."""
    tasks = read_json(path)
    names = dict.fromkeys(
        str(joint)
        for task in tasks
        for joint in (task.get("data", {}).get("joints") or [each for r in _results(task) for each in _label(r)])
    )
    skeleton = COCO17 if set(names) <= set(COCO17.joints) else matching(tuple(names))
    for number, task in enumerate(tasks):
        where = f"{path}: task {number}"
        try:
            yield _task(task, skeleton, where, number, options)
        except (LookupError, TypeError, AttributeError) as error:
            raise DataError(f"{where}: this is no task of keypoints ({type(error).__name__}: {error})") from error


def _results(task: dict[str, Any]) -> list[dict[str, Any]]:
    given = [each for each in task.get("annotations") or [] if not each.get("was_cancelled")]
    given = given or task.get("predictions") or [{"result": []}]
    results: list[dict[str, Any]] = given[-1].get("result") or []
    return results


def _label(region: dict[str, Any]) -> list[str]:
    return region["value"]["keypointlabels"][:1] if region.get("type") == "keypointlabels" else []


def _task(task: dict[str, Any], skeleton: Skeleton, where: str, number: int, options: Options) -> Poses:
    regions = _results(task)
    boxes = {str(each["id"]): each for each in regions if each.get("type") == "rectanglelabels"}
    keypoints = {box: np.full((len(skeleton), 3), np.nan) for box in boxes}
    sizes = {(int(each["original_height"]), int(each["original_width"])) for each in regions}
    height, width = next(iter(sizes), options.image_hw or (0, 0))
    for region in regions:
        for joint in _label(region):
            value = region["value"]
            point = [real(value[side], where) for side in ("x", "y")]
            box = str(region.get("parentID") or _around(point, boxes, where, joint))
            if box not in keypoints or joint not in skeleton.joints:
                raise DataError(
                    f"{where}: the joint {joint} belongs to no person's rectangle; draw one, and relate them"
                )
            place = point[0] * width / 100, point[1] * height / 100, real(region.get("score", 1.0), where)
            keypoints[box][skeleton.joints.index(joint)] = place
    share = np.array([width, height, width, height]) / 100
    data = task.get("data") or {}
    frame = whole(data.get("frame", number), f"{where}: frame")
    time_s = options.time_s(frame) if data.get("time_s") is None else real(data["time_s"], f"{where}: time_s")
    ids = [_id(each) for each in boxes.values()]
    named = all(each is not None for each in ids) and (boxes or time_s is not None)
    return made(
        np.array([*keypoints.values()]), skeleton,
        boxes=np.array([[each["value"][side] for side in ("x", "y", "width", "height")] for each in boxes.values()]
                       ).reshape(-1, 4) * share,
        scores=np.array([real(each.get("score", 1.0), where) for each in boxes.values()]),
        name=str(data.get("video", data.get("image", data.get("img", "")))),
        image_hw=(height, width) if height and width else None, frame=frame, time_s=time_s,
        ids=np.array(ids, np.int64) if named else None,
    )  # fmt: skip


def _around(point: list[float], boxes: dict[str, Any], where: str, joint: str) -> str:
    """The smallest rectangle that a point is in; the only one, if there is one."""
    inside = []
    for name, box in boxes.items():
        value = box["value"]
        away = [point[0] - value["x"], point[1] - value["y"]]
        if len(boxes) == 1 or (0 <= away[0] <= value["width"] and 0 <= away[1] <= value["height"]):
            inside.append((value["width"] * value["height"], name))
    if not inside:
        raise DataError(f"{where}: the joint {joint} is in no person's rectangle; draw one round it")
    return min(inside)[1]


def _id(region: dict[str, Any]) -> int | None:
    texts = (region.get("meta") or {}).get("text") or []
    found = next((text.split()[-1] for text in texts if text.startswith("person ")), "")
    return int(found) if found.isdigit() else None
