"""Reading Label Studio's JSON: tasks with annotations, as its export has them, or with predictions.

People are rectangles; a keypoint belongs to the one that it is below in the tree of regions, is related to, or is in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightpose.errors import DataError
from lightpose.formats.base import HIDDEN, SURE, Options, made, matching, real, whole
from lightpose.io.files import read_json
from lightpose.io.images import IMAGE_SUFFIXES
from lightpose.results import Poses
from lightpose.skeletons import COCO17, Skeleton

__all__ = ["read_label_studio"]

Region = dict[str, Any]

_UNSEEN = {"hidden", "occluded"}
"""The choice, of a keypoint, that says that one does not see it; any case."""


def read_label_studio(path: Path, options: Options) -> Iterator[Poses]:
    """The images of tasks or of an export.

    Of several annotations of a task, that which is the ground truth is taken, else the one that was changed last;
    cancelled ones are not. Its joints are visible, or hidden by their choice. Without annotations the last prediction
    is taken, with its scores; with `options.labelled` the task is left out. `options.notes` tell what is left out.
    """
    tasks = read_json(path)
    if not isinstance(tasks, list) or any(not isinstance(task, dict) for task in tasks):
        raise DataError(f"{path} is no list of tasks; export it from Label Studio as JSON")
    if tasks and "data" not in tasks[0]:
        raise DataError(f"{path} has tasks without data; export it from Label Studio as JSON, not as JSON-MIN")
    seen = Counter[str]()
    try:
        chosen = [(number, task, _choose(task, seen)) for number, task in enumerate(tasks)]
        chosen = [each for each in chosen if each[2].annotated or not options.labelled]
        names = dict.fromkeys(str(j) for _, task, found in chosen for j in task["data"].get("joints") or found.joints())
    except (LookupError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: these are no tasks of keypoints ({type(error).__name__}: {error})") from error
    skeleton = COCO17 if set(names) <= set(COCO17.joints) else matching(tuple(names))
    options.notes.extend(_notes(seen, options.labelled))
    for number, task, found in chosen:
        where = f"{path}: task {task.get('id', number)}"
        try:
            yield _task(task, found, skeleton, where, number, options)
        except (LookupError, TypeError, AttributeError) as error:
            raise DataError(f"{where}: this is no task of keypoints ({type(error).__name__}: {error})") from error


@dataclass(frozen=True)
class _Found:
    """What is taken of a task. annotated: by a person. unseen: ids of the keypoints that one does not see."""

    annotated: bool
    boxes: dict[str, Region] = field(default_factory=dict)
    points: list[Region] = field(default_factory=list)
    unseen: frozenset[str] = frozenset()
    related: Mapping[str, str] = field(default_factory=dict)

    def joints(self) -> list[str]:
        """Their names, in order."""
        return [str(each["value"]["keypointlabels"][0]) for each in self.points]


def _choose(task: Region, seen: Counter[str]) -> _Found:
    """The annotation to take, or the prediction."""
    given = task.get("annotations") or []
    whole_ones = [each for each in given if not each.get("was_cancelled")]
    seen["several"] += len(whole_ones) > 1
    if not whole_ones:
        seen["cancelled" if given else "nobody"] += 1
        predictions = task.get("predictions") or [{}]
        return _found(predictions[-1].get("result") or [], annotated=False)
    latest = max(
        range(len(whole_ones)), key=lambda n: (bool(whole_ones[n].get("ground_truth")), _when(whole_ones[n]), n)
    )
    return _found(whole_ones[latest].get("result") or [], annotated=True)


def _when(annotation: Region) -> str:
    return str(annotation.get("updated_at") or annotation.get("created_at") or "")


def _found(result: list[Region], annotated: bool) -> _Found:
    boxes = {str(each["id"]): each for each in result if each.get("type") == "rectanglelabels"}
    points = [each for each in result if each.get("type") == "keypointlabels" and each["value"].get("keypointlabels")]
    unseen = {
        str(each.get("id"))
        for each in result
        if each.get("type") == "choices" and _UNSEEN & {str(c).lower() for c in each["value"].get("choices", ())}
    }
    related: dict[str, str] = {}
    for each in result:
        if each.get("type") == "relation":
            ends = str(each.get("from_id")), str(each.get("to_id"))
            one, other = ends if ends[1] in boxes else ends[::-1]
            related[one] = other
    return _Found(annotated, boxes, points, frozenset(unseen), related)


def _notes(seen: Counter[str], labelled: bool) -> Iterator[str]:
    for reason, text in (
        ("nobody", f"nobody annotated {seen['nobody']} tasks; they are left out"),
        (
            "cancelled",
            f"{seen['cancelled']} tasks were cancelled by all who annotated them; they are left out",
        ),
        (
            "several",
            f"{seen['several']} tasks have several annotations; the ground truth is used, else the last change",
        ),
    ):
        if seen[reason] and (labelled or reason == "several"):
            yield text


def _task(task: Region, found: _Found, skeleton: Skeleton, where: str, number: int, options: Options) -> Poses:
    regions = [*found.boxes.values(), *found.points]
    if any(each.get("image_rotation") for each in regions):
        raise DataError(f"{where}: the image was turned in Label Studio; turn it back there, and export it anew")
    sizes = {(int(each["original_height"]), int(each["original_width"])) for each in regions}
    height, width = size = next(iter(sizes), options.image_hw or (0, 0))
    people = {box: np.full((len(skeleton), 3), np.nan) for box in found.boxes}
    boxes = {key: _box(each["value"], size, where) for key, each in found.boxes.items()}
    if not people and found.points:
        people[""] = np.full((len(skeleton), 3), np.nan)
    for region, joint in zip(found.points, found.joints(), strict=True):
        point = np.array([real(region["value"][side], where) for side in ("x", "y")]) * (width / 100, height / 100)
        box = _owner(region, point, found, boxes)
        if box is None or joint not in skeleton.joints:
            raise DataError(
                f"{where}: the joint {joint} is in no person's rectangle; draw one round it, or relate them"
            )
        at = skeleton.joints.index(joint)
        if np.isfinite(people[box][at, 0]):
            draw = "draw a rectangle round each person" if not boxes else "remove one"
            raise DataError(f"{where}: the joint {joint} is there twice; {draw}")
        people[box][at] = *point, _score(region, found, where)
    data = task["data"]
    frame = whole(data.get("frame", number), f"{where}: frame")
    time_s = options.time_s(frame) if data.get("time_s") is None else real(data["time_s"], f"{where}: time_s")
    ids = [_id(each) for each in found.boxes.values()]
    named = all(each is not None for each in ids) and (ids or time_s is not None)
    return made(
        np.array([*people.values()]), skeleton, boxes=np.array([*boxes.values()]) if boxes else None,
        scores=np.array([1.0 if found.annotated else real(each.get("score", 1.0), where)
                         for each in found.boxes.values()] or [1.0] * len(people)),
        name=str(data.get("video", _image_in(data))), image_hw=size if all(size) else None, frame=frame,
        time_s=time_s, ids=np.array(ids, np.int64) if named else None,
    )  # fmt: skip


def _score(region: Region, found: _Found, where: str) -> float:
    """1 or hidden of what a person placed; of a prediction its own score, which does not contradict the choice."""
    unseen = str(region.get("id")) in found.unseen
    if found.annotated:
        return HIDDEN if unseen else 1.0
    score = real(region.get("score", 1.0), where)
    return HIDDEN if unseen and score >= SURE else score


def _owner(
    region: Region, point: NDArray[np.float64], found: _Found, boxes: Mapping[str, NDArray[np.float64]]
) -> str | None:
    """Whose joint it is: by the tree, by a relation, or of the smallest rectangle that it is in."""
    if not boxes:
        return ""
    for told in (region.get("parentID"), found.related.get(str(region.get("id")))):
        if told is not None and str(told) in boxes:
            return str(told)
    if len(boxes) == 1:
        return next(iter(boxes))
    inside = [name for name, (left, top, wide, high) in boxes.items()
              if 0 <= point[0] - left <= wide and 0 <= point[1] - top <= high]  # fmt: skip
    return min(inside, key=lambda name: float(boxes[name][2] * boxes[name][3]), default=None)


def _box(value: Mapping[str, Any], image_hw: tuple[int, int], where: str) -> NDArray[np.float64]:
    """(4,) left, top, width, height in pixels; of a rectangle that is turned, about its left upper corner, the box."""
    share = np.array([*image_hw[::-1], *image_hw[::-1]]) / 100
    left, top, wide, high = np.array([real(value[side], where) for side in ("x", "y", "width", "height")]) * share
    angle = np.deg2rad(real(value.get("rotation", 0), where))
    if not angle:
        return np.array([left, top, wide, high])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    corners = np.array([[0, 0], [wide, 0], [0, high], [wide, high]]) @ turn + (left, top)
    return np.concatenate([corners.min(0), np.ptp(corners, 0)])


def _image_in(data: Mapping[str, Any]) -> str:
    """What a task calls its image: any of its fields can be the one."""
    for name in ("image", "img"):
        if name in data:
            return str(data[name])
    texts = [each for each in data.values() if isinstance(each, str)]
    named = (each for each in texts if Path(each.split("?", 1)[0]).suffix.lower() in IMAGE_SUFFIXES)
    return next(named, texts[0] if texts else "")


def _id(region: Region) -> int | None:
    texts = (region.get("meta") or {}).get("text") or []
    found = next((text.split()[-1] for text in texts if text.startswith("person ")), "")
    return int(found) if found.isdigit() else None
