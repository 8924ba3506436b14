"""From a network and a data set to its figures: in the given boxes, or in those of a detector."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightpose.data.coco import CocoFile
from lightpose.errors import BoxesError
from lightpose.evaluate.pck import counted_joints, person_errors, person_sizes
from lightpose.evaluate.protocol import LIGHTPOSE, Protocol
from lightpose.evaluate.results import PoseResults, join, of_picture
from lightpose.evaluate.scores import CocoScores, require_library, score_results, score_rows
from lightpose.images import read_image
from lightpose.predict import PredictOptions, predict_many
from lightpose.runtime import Runtime
from lightpose.types import Boxes, ImageArray, Person, Poses

__all__ = [
    "CocoScores",
    "Evaluation",
    "coco_rows",
    "evaluate_detections",
    "evaluate_given_boxes",
    "predict_detections",
    "predict_persons",
    "score_rows",
]

Progress = Callable[[int], None]
"""Called with the number of persons done."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a network found in a data set, and how good that is.

    scores: COCO's figures, -1 where the set has no labels. errors: (N, K) distances of joints from their labels, as
    shares of the person's size, NaN where unlabelled or not measured, of the N persons given a box (see pck.py); none
    with a detector's boxes. image_ids: (N,) their pictures. results: what was scored.
    """

    scores: CocoScores
    errors: NDArray[np.float64]
    image_ids: NDArray[np.int64]
    results: PoseResults

    def pck(self, share: float = 0.1) -> float:
        """Share of labelled joints found within that share of the person's size; NaN if none is labelled."""
        labelled = np.isfinite(self.errors).sum()
        return float((self.errors <= share).sum() / labelled) if labelled else math.nan


def evaluate_given_boxes(
    source: CocoFile,
    runtime: Runtime,
    options: PredictOptions,
    progress: Progress = lambda _: None,
    protocol: Protocol = LIGHTPOSE,
) -> Evaluation:
    """OKS AP and joint errors of a network on the labelled persons of a file, each cropped by its given box.

    Of a picture only its results are kept, so that memory does not grow with the pictures.
    """
    require_library()  # before the work, not after it
    skeleton = runtime.spec.skeleton
    sizes = person_sizes(source, protocol.size)
    parts, ids = [], [np.zeros(0, np.int64)]
    errors = [np.zeros((0, len(skeleton)))]
    for people, poses in predict_persons(source, runtime, options, progress):
        parts.append(of_picture(people[0].image_id, poses, protocol.keep(poses, runtime.spec)))
        ids.append(np.full(len(people), people[0].image_id, np.int64))
        size = [sizes[person.annotation_id] for person in people]
        errors.append(person_errors(people, source.skeleton, poses.keypoints, skeleton, size, protocol.bias_px))
    results = join(parts, skeleton)
    measured = np.where(counted_joints(skeleton, protocol.size), np.concatenate(errors), np.nan)
    return Evaluation(score_results(source, results), measured, np.concatenate(ids), results)


def evaluate_detections(
    source: CocoFile,
    boxes: Mapping[int, Boxes],
    runtime: Runtime,
    options: PredictOptions,
    progress: Progress = lambda _: None,
    protocol: Protocol = LIGHTPOSE,
) -> Evaluation:
    """OKS AP of a network in a detector's boxes, by image id; a picture without boxes counts as one with nobody found.

    A file without annotations gets results and no figures.
    """
    labelled = bool(source.document["annotations"])
    if labelled:
        require_library()  # before the work, not after it
    skeleton = runtime.spec.skeleton
    parts = [
        of_picture(image_id, poses, protocol.keep(poses, runtime.spec))
        for image_id, poses in predict_detections(source, boxes, runtime, options, progress)
    ]
    results = join(parts, skeleton)
    scores = score_results(source, results) if labelled else CocoScores(*[-1.0] * 10)
    return Evaluation(scores, np.zeros((0, len(skeleton))), np.zeros(0, np.int64), results)


def predict_persons(
    source: CocoFile, runtime: Runtime, options: PredictOptions, progress: Progress = lambda _: None
) -> Iterator[tuple[list[Person], Poses]]:
    """Poses of all labelled persons of a file in their given boxes, a picture at a time, beside its persons."""
    persons = sorted(source.persons(), key=lambda person: person.image_id)

    def pictures() -> Iterator[tuple[list[Person], ImageArray, Boxes]]:
        for _, group in groupby(persons, key=lambda person: person.image_id):
            people = list(group)
            yield people, read_image(people[0].image_path, exif=False), Boxes(np.stack([p.box_xywh for p in people]))

    done = 0
    for people, poses in predict_many(pictures(), runtime, options):
        done += len(people)
        progress(done)
        yield people, poses


def predict_detections(
    source: CocoFile,
    boxes: Mapping[int, Boxes],
    runtime: Runtime,
    options: PredictOptions,
    progress: Progress = lambda _: None,
) -> Iterator[tuple[int, Poses]]:
    """Poses in a detector's boxes, a picture at a time, with its id; pictures without boxes are not read.

    Raises BoxesError if a box has no area or lies outside its picture.
    """

    def pictures() -> Iterator[tuple[int, ImageArray, Boxes]]:
        for picture in source.document["images"]:
            found = boxes.get(picture["id"])
            if found is not None and len(found):
                path = source.images / picture["file_name"]
                image = read_image(path, exif=False)
                try:
                    found.check_inside(*image.shape[:2])
                except BoxesError as error:
                    raise BoxesError(f"{path}: {error}") from error
                yield picture["id"], image, found

    done = 0
    for image_id, poses in predict_many(pictures(), runtime, options):
        done += len(poses)
        progress(done)
        yield image_id, poses


def coco_rows(
    image_id: int, poses: Poses, kept: Sequence[int] | NDArray[np.intp] | None = None
) -> list[dict[str, Any]]:
    """COCO keypoint results of one picture, one row a person, in the order of `kept` (all, if not given)."""
    order = np.arange(len(poses)) if kept is None else np.asarray(kept, np.intp)
    return of_picture(image_id, poses, order).rows(poses.skeleton.joints)
