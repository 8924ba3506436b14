"""OKS AP of a network and of MediaPipe's BlazePose full on the same labelled persons, and an interval of the gain.

    pip install mediapipe==0.10.14 && pip install . faster-coco-eval 'numpy>=2'
    python benchmarks/blazepose.py --annotations data/lspet/val.json --images data/lspet/images

BlazePose is made for one person: it gets a crop around each given box, `margin` times the box's size and no wider than
the picture, and finds the person in it again by itself. Its 33 landmarks are read as COCO's 17 joints; where it finds
nobody, nothing is there. The network is run as `lightpose evaluate` runs it. The interval (95 %) is that of the gain in
AP, on the same draws of the pictures for both. All of it is given for the body alone as well, since a data set's face
joints may be BlazePose's own answers, as those of our LSP-Extended are.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import mediapipe
import numpy as np
import tyro
from numpy.typing import NDArray
from rich.progress import track

from lightpose.data.coco import CocoFile, read_coco
from lightpose.evaluate.bootstrap import gain_intervals
from lightpose.evaluate.evaluation import Evaluation, evaluate_given_boxes
from lightpose.evaluate.pck import person_errors
from lightpose.evaluate.results import PoseResults
from lightpose.evaluate.scores import score_results
from lightpose.inference.top_down import PredictOptions
from lightpose.io.images import read_image
from lightpose.skeletons import COCO17, Skeleton
from lightpose.types import FloatArray, ImageArray, Person
from lightpose.weights import DEFAULT
from lightpose.weights.open import open_runtime

BODY = Skeleton("body", COCO17.joints[5:])
"""Shoulders to ankles."""

LANDMARKS = [0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28]
"""Of BlazePose's 33, those that are COCO's 17 joints, in COCO's order."""


@dataclass(frozen=True)
class Options:
    """annotations, images: a COCO file and its folder. margin: of BlazePose's crop. resamples: of the pictures."""

    annotations: Path
    images: Path
    model: str = DEFAULT
    margin: float = 1.25
    resamples: int = 1000


def crop(image: ImageArray, person: Person, margin: float) -> tuple[ImageArray, NDArray[np.int64]]:
    """The picture around a person's box, and the place of its top left corner."""
    middle, half = person.box_xywh[:2] + person.box_xywh[2:] / 2, person.box_xywh[2:] * margin / 2
    limits = np.array([image.shape[1], image.shape[0]])
    start = np.clip(np.floor(middle - half), 0, limits - 1).astype(int)
    end = np.clip(np.ceil(middle + half), start + 1, limits).astype(int)
    return np.ascontiguousarray(image[start[1] : end[1], start[0] : end[0]]), start


def blazepose(source: CocoFile, margin: float) -> Iterator[tuple[Person, FloatArray]]:
    """Each labelled person of a file and its joints (17, 3) by BlazePose: x, y in pixels of the picture, visibility."""
    people = sorted(source.persons(), key=lambda person: person.image_id)
    with mediapipe.solutions.pose.Pose(static_image_mode=True, min_detection_confidence=0.1) as network:
        for _, group in groupby(track(people, "BlazePose"), key=lambda person: person.image_id):
            image = None
            for person in group:
                image = read_image(person.image_path, exif=False) if image is None else image
                around, corner = crop(image, person, margin)
                landmarks = network.process(around).pose_landmarks
                found = np.zeros((17, 3), np.float32)
                if landmarks:
                    marks = [landmarks.landmark[number] for number in LANDMARKS]
                    shares = np.array([(mark.x, mark.y) for mark in marks])
                    found[:, :2] = shares * around.shape[1::-1] + corner
                    found[:, 2] = [mark.visibility for mark in marks]
                yield person, found


def evaluate_blazepose(source: CocoFile, margin: float) -> Evaluation:
    """BlazePose's figures on the labelled persons of a file."""
    people, found = zip(*blazepose(source, margin), strict=True)
    keypoints = np.stack(found)
    ids = np.array([person.image_id for person in people])
    print(f"BlazePose found {(keypoints[..., 2].max(1) > 0).sum()} of {len(people)} persons")
    results = PoseResults(ids, keypoints.astype(float), keypoints[..., 2].mean(1).astype(float), COCO17)
    errors = person_errors(people, source.skeleton, keypoints, COCO17)
    return Evaluation(score_results(source, results), errors, ids, results)


def body_alone(source: CocoFile, whole: Evaluation) -> Evaluation:
    """The same answers, of which only the body's joints count."""
    mine, _ = whole.results.skeleton.match(BODY.joints)
    found = whole.results
    results = PoseResults(found.image_ids, found.keypoints[:, mine], found.scores, BODY)
    return Evaluation(score_results(source, results), whole.errors[:, mine], whole.image_ids, results)


def compare(source: CocoFile, joints: str, model: str, peer: Evaluation, ours: Evaluation, resamples: int) -> None:
    """Print AP and PCK of both, and what the network gains."""
    for name, one in (("BlazePose full", peer), (model, ours)):
        scores = one.scores
        figures = f"AP {scores.ap:.1%}, AP50 {scores.ap50:.1%}, AP75 {scores.ap75:.1%}, PCK@0.1 {one.pck():.1%}"
        print(f"{joints}, {name}: {figures}")
    [gain] = gain_intervals(source, peer, [ours], resamples)
    low, high = 100 * gain.ap.low, 100 * gain.ap.high
    print(f"gain in AP: {100 * (ours.scores.ap - peer.scores.ap):.1f} [{low:.1f}, {high:.1f}]")


def main(options: Options) -> None:
    """Measure both on all joints and on the body's."""
    source = read_coco(options.annotations, options.images)
    runtime = open_runtime(options.model)
    peer = evaluate_blazepose(source, options.margin)
    ours = evaluate_given_boxes(source, runtime, PredictOptions(flip=True))
    compare(source, "all joints", options.model, peer, ours, options.resamples)
    peer, ours = body_alone(source, peer), body_alone(source, ours)
    compare(source, "body alone", options.model, peer, ours, options.resamples)


if __name__ == "__main__":
    main(tyro.cli(Options))
