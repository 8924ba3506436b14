"""Label Studio's tasks with predictions: a rectangle for each person, and its keypoints below it.

Places are in percent of the image (labelstud.io, template Keypoint Labeling; import of pre-annotated data). A hidden
joint has the choice "hidden".
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO, Any

import numpy as np

from lightpose.errors import DataError
from lightpose.formats.base import Options, image_name, visibility
from lightpose.ops.joints import missing
from lightpose.results import Poses
from lightpose.skeletons import COCO17, Skeleton
from lightpose.types import ImageArray

__all__ = ["LabelStudioWriter", "labeling_config"]


def labeling_config(skeleton: Skeleton = COCO17) -> str:
    """The labelling interface that the tasks are for, to paste into the project's settings."""
    from xml.sax.saxutils import quoteattr

    joints = "\n".join(
        f'    <Label value={quoteattr(joint)} model_index="{number}"/>' for number, joint in enumerate(skeleton.joints)
    )  # by the numbers Label Studio's own export as COCO has an order
    return (
        '<View>\n  <Image name="image" value="$image"/>\n'
        '  <RectangleLabels name="box" toName="image">\n    <Label value="person"/>\n  </RectangleLabels>\n'
        f'  <KeyPointLabels name="joints" toName="image">\n{joints}\n  </KeyPointLabels>\n'
        '  <Choices name="visibility" toName="image" perRegion="true" whenTagName="joints">\n'
        '    <Choice value="hidden"/>\n  </Choices>\n</View>\n'
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
    unseen = visibility(joints) < 2
    for at in np.flatnonzero(~missing(joints)).tolist():
        joint, (x, y, score) = poses.skeleton.joints[at], joints[at].tolist()
        value = {"x": 100 * x / width, "y": 100 * y / height, "width": 0.5, "keypointlabels": [joint]}
        named = {"id": f"{box}-{at}", "parentID": box, "from_name": "joints", "type": "keypointlabels"}
        yield {**named, **own, "value": value, "score": round(score, 4)}
        if unseen[at]:
            choice = {"id": named["id"], "from_name": "visibility", "type": "choices", "value": {"choices": ["hidden"]}}
            yield {**choice, **own}
