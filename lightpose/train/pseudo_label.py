"""Labels from a trained network: keypoints for boxed people who have none, to train on."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightpose.data.coco import CocoFile
from lightpose.data.stored import read_labelled
from lightpose.errors import ConfigError
from lightpose.inference.top_down import flip_test
from lightpose.ops.families import FAMILIES
from lightpose.ops.geometry import cut_crops, invert, transform_points
from lightpose.runtime import Runtime
from lightpose.types import FloatArray, ImageArray, Person

__all__ = ["LabelOptions", "added_labels", "label_persons", "people_to_label"]

NEIGHBOUR = 1 / 3
"""Share of sure keypoints outside the box beyond which, if more than two, they are taken for another's."""


@dataclass(frozen=True)
class LabelOptions:
    """Which of a network's keypoints become labels.

    min_score: least score of a keypoint. agree: most that the mirrored crop's keypoint may lie off, and most that the
    network may be off the labels that a person has already (in the mean; else it gets no new ones), as shares of the
    longer side of the box. min_side: least longer side of a box, in pixels. replace: leave the file's own labels out.
    hidden_below: pre-labels instead, for a person to correct: all keypoints in the image, hidden where they score less.
    """

    min_score: float = 0.3
    agree: float = 0.06
    min_side: float = 32.0
    replace: bool = False
    batch: int = 16
    hidden_below: float | None = None

    def __post_init__(self) -> None:
        if self.hidden_below is not None and not 0 <= self.hidden_below < math.inf:
            raise ConfigError(f"hidden_below must be finite and not below 0, not {self.hidden_below}")
        for name in ("min_score", "agree", "min_side"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name} must be finite and not below 0, not {getattr(self, name)}")
        if self.batch < 1:
            raise ConfigError(f"batch must be at least 1, not {self.batch}")


def people_to_label(source: CocoFile, options: LabelOptions) -> list[Person]:
    """The file's people whose boxes are large enough, labelled or not."""
    return [person for person in source.boxed() if person.box_xywh[2:].max() >= options.min_side]


def label_persons(
    source: CocoFile, runtime: Runtime, options: LabelOptions, progress: Callable[[int], None] = lambda _: None
) -> dict[str, Any]:
    """The file's content as it is written, with keypoints added, as visibility 1, where the network is sure of them.

    A keypoint is added if it is unlabelled, scores enough, lies in the box widened by a tenth, and the mirrored crop
    gives the same place. Nobody gets any if more than two, and more than a third, of them lie outside: those are a
    neighbour's. The file's joints that the network does not have stay as they are, and so do people in boxes that are
    too small. With `hidden_below` all unlabelled joints are added that lie in the image, as 2 or, below it, as 1.
    progress: called with the number of persons done. Raises SkeletonError if no joint is shared.
    """
    document = copy.deepcopy(source.written)
    rows = dict(zip((row["id"] for row in source.document["annotations"]), document["annotations"], strict=True))
    read = {row["id"]: row.get("keypoints", []) for row in source.document["annotations"]}
    mine, theirs = runtime.spec.skeleton.match(source.skeleton.joints)
    done = 0
    for batch, crops, matrices in _crops(people_to_label(source, options), runtime, options.batch):
        found, sure = _confident(crops, runtime, options.min_score, options.agree * _crop_sides(batch, matrices))
        points = transform_points(found[..., :2], invert(matrices))[:, mine]
        known = (np.stack([person.visibility for person in batch])[:, theirs] > 0) & (not options.replace)
        truth = np.stack([person.keypoints for person in batch])[:, theirs]
        marks = np.ones(known.shape, np.int64)
        if options.hidden_below is None:
            added = _own(sure[:, mine], _inside(points, batch)) & ~known
            added &= _agreeing(points, truth, known, batch, options.agree)
        else:
            added = np.logical_and(_in_image(points, batch), ~known)
            marks += found[:, mine, 2] >= options.hidden_below
        for person, where, new, mark in zip(batch, points, added, marks, strict=True):
            keypoints = read[person.annotation_id]
            if options.replace:
                keypoints = _cleared(keypoints, theirs)
            if options.replace or new.any():
                _write(rows[person.annotation_id], keypoints, theirs[new], where[new], mark[new])
        done += len(batch)
        progress(done)
    return document


def added_labels(source: CocoFile, after: dict[str, Any]) -> tuple[int, int]:
    """How many persons gained labels, and how many labels, from a file to the content that `label_persons` gives."""
    counts = []
    for old, read, new in zip(
        source.written["annotations"], source.document["annotations"], after["annotations"], strict=True
    ):
        if old.get("keypoints") != new.get("keypoints"):
            first, second = (np.reshape(row["keypoints"], (-1, 3)) for row in (read, new))
            counts.append(int(((first != second).any(1) & (second[:, 2] > 0)).sum()))
    return sum(count > 0 for count in counts), sum(counts)


def _crops(
    people: list[Person], runtime: Runtime, count: int
) -> Iterator[tuple[list[Person], ImageArray, NDArray[np.float64]]]:
    """At least `count` persons at a time (fewer at the end), each image read once, with their crops and matrices."""
    spec = runtime.spec
    batch: list[Person] = []
    crops: list[ImageArray] = []
    matrices: list[NDArray[np.float64]] = []
    people = sorted(people, key=lambda person: person.image_id)
    for _, group in groupby(people, key=lambda person: person.image_id):
        together = list(group)
        boxes = np.stack([person.box_xywh for person in together])
        image = read_labelled(together[0].image_path, together[0].image_hw, together[0].upright)
        cut, maps = cut_crops(image, boxes, spec.input_hw, spec.geometry, spec.padding)
        crops.append(cut)
        matrices.append(maps)
        batch += together
        if len(batch) >= count or batch[-1] is people[-1]:
            yield batch, np.concatenate(crops), np.concatenate(matrices)
            batch, crops, matrices = [], [], []


def _crop_sides(people: list[Person], matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Longer side of each person's box in pixels of its crop, (N, 1)."""
    scale = np.sqrt(np.abs(np.linalg.det(matrices[:, :, :2])))
    sides: NDArray[np.float64] = np.array([person.box_xywh[2:].max() for person in people]) * scale
    return sides[:, None]


def _confident(
    crops: ImageArray, runtime: Runtime, min_score: float, distance: NDArray[np.float64]
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Keypoints of the flip test (N, K, 3) in crop pixels, and whether score and agreement of both views will do."""
    spec = runtime.spec
    straight, merged = flip_test(crops, runtime)
    back = 2 * merged - straight  # the mirrored view alone, mirrored back
    read = FAMILIES[spec.family].read
    both, one, other = (read(given, spec, spec.decoder, spec.beta) for given in (merged, straight, back))
    apart = np.linalg.norm((one - other)[..., :2], axis=-1)
    return both, (both[..., 2] >= min_score) & (apart <= distance)


def _inside(points: FloatArray, people: list[Person]) -> NDArray[np.bool_]:
    box = np.stack([person.box_xywh for person in people])
    low, high = box[:, None, :2] - 0.1 * box[:, None, 2:], box[:, None, :2] + 1.1 * box[:, None, 2:]
    return np.asarray(((points >= low) & (points <= high)).all(-1)) & _in_image(points, people)


def _in_image(points: FloatArray, people: list[Person]) -> NDArray[np.bool_]:
    last = np.array([person.image_hw[::-1] for person in people])[:, None] - 1
    return np.asarray(((points >= 0) & (points <= last)).all(-1))


def _own(sure: NDArray[np.bool_], inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Those of the sure keypoints that are inside, unless so many are outside that another person was found."""
    outside = (sure & ~inside).sum(1)
    strangers = outside > np.maximum(NEIGHBOUR * sure.sum(1), 2)
    kept: NDArray[np.bool_] = sure & inside & ~strangers[:, None]
    return kept


def _agreeing(
    points: FloatArray, truth: FloatArray, known: NDArray[np.bool_], people: list[Person], share: float
) -> NDArray[np.bool_]:
    """(N, 1): whether the network finds a person's labelled joints within that share of its size, in the mean."""
    size = np.array([person.box_xywh[2:].max() for person in people])
    off = np.where(known, np.linalg.norm(points - truth, axis=-1), 0).sum(1) / np.maximum(known.sum(1), 1)
    agreeing: NDArray[np.bool_] = off <= share * size
    return agreeing[:, None]


def _write(
    row: dict[str, Any], known: list[float], joints: NDArray[np.intp], points: FloatArray, marks: NDArray[np.int64]
) -> None:
    """Label those joints, to a tenth of a pixel; all others stay as they are known."""
    keypoints = list(known)
    for joint, point, mark in zip(joints.tolist(), points.tolist(), marks.tolist(), strict=True):
        keypoints[3 * joint : 3 * joint + 3] = [*(round(value, 1) for value in point), mark]
    row["keypoints"] = keypoints
    row["num_keypoints"] = sum(seen > 0 for seen in keypoints[2::3])


def _cleared(keypoints: list[float], joints: NDArray[np.intp]) -> list[float]:
    """The keypoints without those joints' labels."""
    left = list(keypoints)
    for joint in joints.tolist():
        left[3 * joint : 3 * joint + 3] = [0, 0, 0]
    return left
