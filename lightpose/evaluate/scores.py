"""OKS average precision as COCO defines it, computed by faster-coco-eval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightpose.data.coco import CocoFile
from lightpose.errors import DataError, MissingPackageError
from lightpose.evaluate.results import PoseResults
from lightpose.skeletons import Skeleton

__all__ = ["MOST_POSES", "CocoScores", "require_library", "restrict", "score_results", "score_rows"]

MOST_POSES = 20
"""Of an image's poses so many are looked at, by falling score (COCO's maxDets for keypoints)."""


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


def require_library() -> Any:
    """The package faster_coco_eval. Raises MissingPackageError if it is not installed."""
    try:
        import faster_coco_eval
    except ImportError as error:
        raise MissingPackageError("faster-coco-eval", "train") from error
    return faster_coco_eval


def score_rows(source: CocoFile, rows: Sequence[dict[str, Any]], skeleton: Skeleton) -> CocoScores:
    """OKS AP of COCO keypoint results against a labelled file.

    rows: `image_id`, `keypoints` and `score` of each person, in the joints of `skeleton`. Raises SkeletonError if no
    joint is shared, DataError if a row is malformed or belongs to an image that is not in the file.
    """
    return score_results(source, _checked(source, rows, skeleton))


def score_results(source: CocoFile, results: PoseResults) -> CocoScores:
    """OKS AP of results against a labelled file.

    Joints are matched by name; those that the file or the network lacks are left out on both sides. Raises
    SkeletonError if no joint is shared, MissingPackageError without faster-coco-eval.
    """
    library = require_library()
    mine, theirs = results.skeleton.match(source.skeleton.joints)
    if not len(results):
        return CocoScores(*[0.0] * 10)
    truth = library.COCO(restrict(source, theirs))
    best = results.best(MOST_POSES)  # the rest is not looked at, and need not be held as objects
    rows = _with_boxes(best.rows([results.skeleton.joints[number] for number in mine], source.category_id))
    evaluation = library.COCOeval_faster(
        truth,
        truth.loadRes(rows),
        "keypoints",
        kpt_oks_sigmas=[results.skeleton.sigmas[number] for number in mine],
        print_function=lambda *_: None,
    )
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return CocoScores(*(float(value) for value in evaluation.stats[:10]))


def restrict(source: CocoFile, joints: NDArray[np.intp]) -> dict[str, Any]:
    """The file's content with only those joints, in that order; crowds and unlabelled persons stay, to be ignored."""
    category_id = source.category_id
    people = [row for row in source.document["annotations"] if row["category_id"] == category_id]
    all_joints = np.array([row["keypoints"] for row in people], float).reshape(len(people), len(source.skeleton), 3)
    triples = all_joints[:, joints]
    labelled = (triples[..., 2] > 0).sum(-1).tolist()
    flat = triples.reshape(len(people), 3 * len(joints)).tolist()
    category = {"id": category_id, "name": "person", "keypoints": [source.skeleton.joints[n] for n in joints]}
    annotations = [
        {
            "id": number,  # the library holds ids as 64 bits, and takes 0 for nobody
            "image_id": row["image_id"],
            "category_id": category_id,
            "iscrowd": row.get("iscrowd", 0),
            "area": row.get("area", row["bbox"][2] * row["bbox"][3]),
            "bbox": row["bbox"],
            "keypoints": keypoints,
            "num_keypoints": count,
        }
        for number, (row, keypoints, count) in enumerate(zip(people, flat, labelled, strict=True), start=1)
    ]
    return {"images": source.document["images"], "annotations": annotations, "categories": [category]}


def _with_boxes(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same with each pose's extent, which the library would else take one by one, for half of its time."""
    points = np.array([row["keypoints"] for row in rows]).reshape(len(rows), -1, 3)[..., :2]
    low = points.min(axis=1)
    boxes = np.concatenate([low, points.max(axis=1) - low], axis=1).tolist()
    return [{**row, "bbox": box} for row, box in zip(rows, boxes, strict=True)]


def _checked(source: CocoFile, rows: Sequence[dict[str, Any]], skeleton: Skeleton) -> PoseResults:
    """The rows as arrays. Raises DataError if one cannot be scored."""
    count, ids = len(skeleton), []
    for number, row in enumerate(rows):
        if not isinstance(row, dict) or not {"image_id", "keypoints", "score"} <= row.keys():
            raise DataError(f"result {number} must be an object with image_id, keypoints and score")
        image_id = source.image_id(row["image_id"])
        if image_id is None:
            raise DataError(f"result {number} belongs to image {row['image_id']}, which is not in {source.path}")
        ids.append(image_id)
        if not isinstance(row["keypoints"], list) or len(row["keypoints"]) != 3 * count:
            raise DataError(f"result {number} must have {count} keypoints of three numbers (x, y, score)")
    try:
        triples = np.array([row["keypoints"] for row in rows], float).reshape(len(rows), count, 3)
        scores = np.array([row["score"] for row in rows], float).reshape(len(rows))
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"a result holds something that is not a number ({error})") from error
    finite = np.isfinite(triples).all((1, 2)) & np.isfinite(scores)
    if not finite.all():
        raise DataError(f"result {int((~finite).argmax())} holds a number that is NaN or infinite")
    return PoseResults(np.array(ids, np.int64), triples, scores, skeleton)
