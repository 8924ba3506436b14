"""How many people the built-in detector and the network find together and how often they are right; how sure of joints.

People: for each least score, the answers, the share of them that is right, and the share of all people found. Right is
a box of IoU 0.5 with a labelled person's, each person once, the surest answer first; in a crowd region nothing counts.
Joints, in the labelled boxes with flip test: quartiles of the scores of right and of wrong ones. Right is within a
tenth of the box's longer side.

    python benchmarks/found_people.py people --annotations data/person_boxes/val.json --images data/person_boxes/images
    python benchmarks/found_people.py joints --annotations data/coco_keypoints/val.json \
        --images data/coco_keypoints/val2017
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tyro
from pycocotools import mask
from tyro.conf import Positional

from lightpose.data.coco import CocoFile, read_coco
from lightpose.evaluate.evaluation import predict_persons
from lightpose.inference.estimator import PoseEstimator
from lightpose.inference.top_down import PredictOptions
from lightpose.io.images import read_image
from lightpose.results import Poses
from lightpose.weights import DEFAULT
from lightpose.weights.open import open_runtime


@dataclass(frozen=True)
class Options:
    """what: to measure. annotations, images: a COCO file and its folder. least_scores: of people."""

    what: Positional[Literal["people", "joints"]]
    annotations: Path
    images: Path
    model: str = DEFAULT
    least_scores: tuple[float, ...] = (0.09, 0.1, 0.11, 0.12)


def judge(poses: Poses, labelled: list[dict[str, Any]]) -> list[tuple[float, bool]]:
    """Score of each found person and whether it is right; those in crowds left out."""
    crowd = np.array([bool(row.get("iscrowd", 0)) for row in labelled], bool)
    free, judged = ~crowd, []
    boxes = [row["bbox"] for row in labelled]
    for number in np.argsort(-poses.scores):
        found = poses.boxes.xywh[number : number + 1].astype(float)
        overlap = mask.iou(found, np.array(boxes, float), crowd.astype(int))[0] if boxes else np.zeros(0)
        single = np.where(free, overlap, 0)
        if (single >= 0.5).any():
            free[single.argmax()] = False
            judged.append((float(poses.scores[number]), True))
        elif not (crowd & (overlap >= 0.5)).any():
            judged.append((float(poses.scores[number]), False))
    return judged


def people(options: Options, source: CocoFile) -> None:
    """Print the figures of found people."""
    labelled: dict[int, list[dict[str, Any]]] = {row["id"]: [] for row in source.document["images"]}
    for row in source.document["annotations"]:
        labelled[row["image_id"]].append(row)
    estimator, judged = PoseEstimator(options.model, "builtin", min_person_score=0.0, precision="float32"), []
    for row in source.document["images"]:
        poses = estimator.predict(read_image(options.images / row["file_name"], exif=False))
        judged += judge(poses, labelled[row["id"]])
    if not judged:
        raise SystemExit("nobody was found")
    count = sum(not row.get("iscrowd", 0) for rows in labelled.values() for row in rows)
    scores, right = (np.array(column) for column in zip(*judged, strict=True))
    for least in options.least_scores:
        kept = right[scores >= least]
        print(
            f"{least}: {len(kept)} answers, {kept.mean():.1%} right; found {kept.sum() / count:.1%} of {count} people"
        )


def joints(options: Options, source: CocoFile) -> None:
    """Print the quartiles of joints' scores."""
    scores: dict[bool, list[float]] = {True: [], False: []}
    for persons, poses in predict_persons(source, open_runtime(options.model), PredictOptions(flip=True)):
        for person, found in zip(persons, poses.keypoints, strict=True):
            away = np.linalg.norm(found[:, :2] - person.keypoints[:, :2], axis=1)
            for joint in np.flatnonzero(person.visibility):
                scores[bool(away[joint] <= 0.1 * person.box_xywh[2:].max())].append(found[joint, 2])
    for right, values in scores.items():
        low, middle, high = np.percentile(values, [25, 50, 75])
        print(f"{'right' if right else 'wrong'}: {len(values)} joints, quartiles {low:.2f} {middle:.2f} {high:.2f}")


def main(options: Options) -> None:
    """Measure what was asked for."""
    source = read_coco(options.annotations, options.images)
    (people if options.what == "people" else joints)(options, source)


if __name__ == "__main__":
    main(tyro.cli(Options))
