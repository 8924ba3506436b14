"""OKS average precision as COCO defines it, computed by faster-coco-eval."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightpose.data.coco import CocoFile
from lightpose.errors import MissingPackageError
from lightpose.evaluate.pck import person_errors
from lightpose.images import read_image
from lightpose.oks import oks_nms
from lightpose.predict import PredictOptions, predict_many
from lightpose.runtime import Runtime
from lightpose.skeletons import Skeleton
from lightpose.types import Boxes, ImageArray, Person, Poses

__all__ = ["CocoScores", "Evaluation", "coco_rows", "evaluate_given_boxes", "predict_persons", "score_rows", "suppress"]


@dataclass(frozen=True)
class CocoScores:
    """COCO's ten keypoint figures, each in [0, 1], or -1 where there is nothing to measure."""

    ap: float
    ap50: float
    ap75: float
    ap_medium: float
    ap_large: float
    ar: float
    ar50: float
    ar75: float
    ar_medium: float
    ar_large: float


@dataclass(frozen=True)
class Evaluation:
    """Accuracy in given boxes.

    errors: (N, K) distances from the labels as shares of the person's size, NaN where unlabelled; see pck.py.
    """

    scores: CocoScores
    errors: NDArray[np.float64]

    def pck(self, share: float = 0.1) -> float:
        """Share of labelled joints found within that share of the person's size; NaN if none is labelled."""
        labelled = np.isfinite(self.errors).sum()
        return float((self.errors <= share).sum() / labelled) if labelled else math.nan


def evaluate_given_boxes(
    source: CocoFile, runtime: Runtime, options: PredictOptions, progress: Callable[[int], None] = lambda _: None
) -> Evaluation:
    """OKS AP and joint errors of a network on the labelled persons of a file, each cropped by its given box."""
    skeleton = runtime.spec.skeleton
    rows: list[dict[str, Any]] = []
    errors = []
    for people, poses in predict_persons(source, runtime, options, progress):
        rows += coco_rows(people[0].image_id, poses, suppress(poses))
        errors.append(person_errors(people, source.skeleton, poses.keypoints, skeleton))
    return Evaluation(score_rows(source, rows, skeleton), np.concatenate([np.zeros((0, len(skeleton))), *errors]))


def predict_persons(
    source: CocoFile, runtime: Runtime, options: PredictOptions, progress: Callable[[int], None] = lambda _: None
) -> Iterator[tuple[list[Person], Poses]]:
    """Poses of all labelled persons of a file in their given boxes, a picture at a time, beside its persons.

    progress: called with the number of persons done.
    """
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


def suppress(poses: Poses, threshold: float = 0.9) -> NDArray[np.intp]:
    """Numbers of the poses that OKS-NMS keeps, best first; a person's area is that of its box."""
    areas = poses.boxes.xywh[:, 2] * poses.boxes.xywh[:, 3]
    return oks_nms(poses.keypoints, poses.scores, areas, poses.skeleton.sigmas, threshold)


def coco_rows(
    image_id: int, poses: Poses, kept: Sequence[int] | NDArray[np.intp] | None = None
) -> list[dict[str, Any]]:
    """COCO keypoint results of one picture, one row a person, in the order of `kept` (all, if not given)."""
    order = range(len(poses)) if kept is None else kept
    return [
        {
            "image_id": image_id,
            "category_id": 1,
            "keypoints": [round(float(value), 4) for value in poses.keypoints[number].ravel()],
            "score": round(float(poses.scores[number]), 6),
        }
        for number in order
    ]


def score_rows(source: CocoFile, rows: Sequence[dict[str, Any]], skeleton: Skeleton) -> CocoScores:
    """OKS AP of COCO keypoint results against a labelled file.

    rows: as `coco_rows` gives them, in the joints of `skeleton`. Joints are matched by name; those that the file or the
    skeleton lacks are left out on both sides. Raises SkeletonError if no joint is shared.
    """
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ImportError as error:
        raise MissingPackageError("faster-coco-eval", "train") from error
    mine, theirs = skeleton.match(source.skeleton.joints)
    if not rows:
        return CocoScores(*[0.0] * 10)
    truth = COCO(_restrict(source, theirs))
    results = truth.loadRes([_pick(row, mine, source) for row in rows])
    sigmas = [skeleton.sigmas[number] for number in mine]
    evaluation = COCOeval_faster(truth, results, "keypoints", kpt_oks_sigmas=sigmas, print_function=lambda *_: None)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return CocoScores(*(float(value) for value in evaluation.stats[:10]))


def _restrict(source: CocoFile, joints: NDArray[np.intp]) -> dict[str, Any]:
    """The file's content with only those joints, in that order; crowds and unlabelled persons stay, to be ignored."""
    category = {"id": source.category_id, "name": "person", "keypoints": [source.skeleton.joints[n] for n in joints]}
    annotations = []
    for row in source.document["annotations"]:
        if row["category_id"] != source.category_id:
            continue
        triples = np.asarray(row["keypoints"], dtype=float).reshape(-1, 3)[joints]
        box = row["bbox"]
        annotations.append(
            {
                "id": row["id"],
                "image_id": row["image_id"],
                "category_id": row["category_id"],
                "iscrowd": row.get("iscrowd", 0),
                "area": row.get("area", box[2] * box[3]),
                "bbox": box,
                "keypoints": triples.ravel().tolist(),
                "num_keypoints": int((triples[:, 2] > 0).sum()),
            }
        )
    return {"images": source.document["images"], "annotations": annotations, "categories": [category]}


def _pick(row: dict[str, Any], joints: NDArray[np.intp], source: CocoFile) -> dict[str, Any]:
    triples = np.asarray(row["keypoints"], dtype=float).reshape(-1, 3)[joints]
    return {**row, "category_id": source.category_id, "keypoints": triples.ravel().tolist()}
