"""How good a detector's boxes are: COCO's box AP of people, computed by faster-coco-eval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightpose.data.people import PeopleFile
from lightpose.errors import ConfigError
from lightpose.evaluate.bootstrap import CELLS, Interval, draw_pictures, interval
from lightpose.evaluate.matching import (
    BLOCK,
    LARGEST_AREA,
    OKS_THRESHOLDS,
    Matches,
    average_precision,
    greedy,
    table,
)
from lightpose.evaluate.scores import require_library
from lightpose.ops.boxes import iou, to_xyxy
from lightpose.results import Boxes

__all__ = ["BoxIntervals", "BoxScores", "bootstrap_boxes", "coco_boxes", "match_boxes", "score_boxes"]

MOST_BOXES = 100
"""Of an image's boxes so many are looked at, by falling score (COCO's maxDets for boxes)."""


@dataclass(frozen=True)
class BoxScores:
    """Each in [0, 1], or -1 where there is nothing to measure. ap: over IoU .5 to .95; ap50, ap75: at one of them.

    recall: share of people with a box of IoU at least .5 among the 100 surest. ap_small, ap_medium, ap_large: people
    of up to 32², up to 96², and more pixels.
    """

    ap: float
    ap50: float
    ap75: float
    ap_small: float
    ap_medium: float
    ap_large: float
    recall: float


@dataclass(frozen=True)
class BoxIntervals:
    """Intervals of the figures of that name."""

    ap: Interval
    ap50: Interval
    ap75: Interval
    recall: Interval


def score_boxes(source: PeopleFile, found: Mapping[int, Boxes]) -> BoxScores:
    """COCO's figures of boxes by image id; crowds are regions where a box is neither right nor wrong."""
    evaluation = _evaluate(source, found)
    if evaluation is None:
        return BoxScores(*[0.0] * 7)
    evaluation.accumulate()
    evaluation.summarize()
    recall = evaluation.eval["recall"][0, 0, 0, -1]
    return BoxScores(*(float(value) for value in (*evaluation.stats[:6], recall)))


def bootstrap_boxes(
    source: PeopleFile, found: Mapping[int, Boxes], resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> BoxIntervals:
    """Percentile intervals over draws of the file's images with replacement, as those of poses (see `bootstrap`).

    Raises ConfigError if there are no resamples or the level is not within (0, 1).
    """
    if resamples < 1 or not 0 < level < 1:
        raise ConfigError(f"bootstrap needs resamples and a level between 0 and 1, not {resamples} and {level}")
    matches = match_boxes(source, found)
    pictures = len(matches.labelled)
    hits = np.bincount(matches.picture[matches.hit[0]], minlength=pictures)
    generator = np.random.default_rng(seed)
    group = max(1, CELLS // max(len(matches.scores), pictures, 1))
    rows = []
    for start in range(0, resamples, group):
        weights = draw_pictures(generator, pictures, min(group, resamples - start))
        precision = average_precision(matches, weights)
        with np.errstate(invalid="ignore"):  # nobody labelled: 0 / 0
            recall = (weights @ hits) / (weights @ matches.labelled)
        rows.append(np.column_stack([precision.mean(1), precision[:, 0], precision[:, 5], recall]))
    return BoxIntervals(*(interval(column, level) for column in np.concatenate(rows).T))


def match_boxes(source: PeopleFile, found: Mapping[int, Boxes]) -> Matches:
    """Give each box, the best of an image first, the free person it covers best, as COCO's evaluateImg does."""
    ids = np.array(sorted(picture["id"] for picture in source.document["images"]), np.int64)
    people = _truth(source)["annotations"]
    corners = _corners([row["bbox"] for row in people])
    area = np.array([row["area"] for row in people], float)
    crowd = np.array([row["iscrowd"] for row in people], bool)
    ignored = crowd | (area < 0) | (area > LARGEST_AREA)
    whose = np.searchsorted(ids, [row["image_id"] for row in people])
    order = np.lexsort((ignored, whose))  # within an image those to be ignored last
    corners, crowd, ignored, whose = corners[order], crowd[order], ignored[order], whose[order]
    rows = coco_boxes(source, {number: found[number] for number in ids.tolist() if number in found})
    boxes, scores = _corners([row["bbox"] for row in rows]), np.array([row["score"] for row in rows], float)
    picture = np.searchsorted(ids, [row["image_id"] for row in rows])
    person = np.full((len(OKS_THRESHOLDS), len(rows)), -1, np.intp)
    for start in range(0, len(ids), BLOCK):
        mine, theirs = (np.arange(*np.searchsorted(one, (start, start + BLOCK))) for one in (picture, whose))
        if len(mine) and len(theirs):
            box_at, person_at = table(picture[mine] - start, mine), table(whose[theirs] - start, theirs)
            alike = iou(boxes[box_at], corners[person_at], crowd[person_at])
            alike[(box_at < 0)[:, :, None] | (person_at < 0)[:, None]] = -1
            place = greedy(alike, OKS_THRESHOLDS, ignored[person_at], crowd[person_at])
            chosen = np.where(place >= 0, np.take_along_axis(person_at[None], np.maximum(place, 0), axis=2), -1)
            person[:, mine] = chosen[:, box_at >= 0]
    to_ignored = (person >= 0) & (ignored[person] if len(ignored) else True)
    too_large = (boxes[:, 2:] - boxes[:, :2]).prod(1) > LARGEST_AREA
    labelled = np.bincount(whose[~ignored], minlength=len(ids))
    hit = (person >= 0) & ~to_ignored
    return Matches(picture, scores, person, hit, to_ignored | ((person < 0) & too_large), labelled)


def _corners(boxes_xywh: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    return to_xyxy(np.array(boxes_xywh, np.float64).reshape(-1, 4))


def _evaluate(source: PeopleFile, found: Mapping[int, Boxes]) -> Any:
    """The library's evaluation, matched; None if no box was found."""
    library = require_library()
    rows = coco_boxes(source, found)
    if not rows:
        return None
    truth = library.COCO(_truth(source))
    evaluation = library.COCOeval_faster(truth, truth.loadRes(rows), "bbox", print_function=lambda *_: None)
    evaluation.evaluate()
    return evaluation


def coco_boxes(source: PeopleFile, found: Mapping[int, Boxes]) -> list[dict[str, Any]]:
    """COCO detection results, the 100 surest of each image."""
    rows = []
    for image_id, boxes in found.items():
        best = np.argsort(-boxes.scores, kind="stable")[:MOST_BOXES]
        rows += [
            {"image_id": image_id, "category_id": source.category_id, "bbox": box, "score": score}
            for box, score in zip(boxes.xywh[best].tolist(), boxes.scores[best].tolist(), strict=True)
        ]
    return rows


def _truth(source: PeopleFile) -> dict[str, Any]:
    """The file's people alone, with what the library needs of each."""
    annotations = [
        {
            "id": number,  # the library holds ids as 64 bits, and takes 0 for nobody
            "image_id": row["image_id"],
            "category_id": source.category_id,
            "bbox": row["bbox"],
            "area": row.get("area", row["bbox"][2] * row["bbox"][3]),
            "iscrowd": int(bool(row.get("iscrowd", 0))),
        }
        for number, row in enumerate(source.rows(), start=1)
    ]
    category = {"id": source.category_id, "name": "person"}
    return {"images": source.document["images"], "annotations": annotations, "categories": [category]}
