"""COCO's matching of poses to labelled people, for all OKS thresholds at once, and the average precision of it.

The published figures come from faster-coco-eval (scores.py). This is the same arithmetic with its intermediate steps at
hand: who was matched to whom (breakdown.py), and precision when an image counts any number of times (bootstrap.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lightpose.data.coco import CocoFile
from lightpose.evaluate.results import PoseResults
from lightpose.evaluate.scores import MOST_POSES, restrict
from lightpose.ops.oks import similarity

__all__ = [
    "BLOCK",
    "LARGEST_AREA",
    "OKS_THRESHOLDS",
    "Bools",
    "Candidates",
    "Floats",
    "Matches",
    "Numbers",
    "Truth",
    "average_precision",
    "candidates",
    "greedy",
    "match",
    "read_truth",
    "table",
]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Numbers = NDArray[np.intp]

OKS_THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""The thresholds that COCO's AP is the mean over."""

RECALLS = np.linspace(0, 1, 101)
"""Where COCO reads the curve of precision."""

LARGEST_AREA = 1e5**2
"""Square pixels; people and unmatched poses larger than this do not count (COCO's area range `all`)."""

BLOCK = 64
"""Images that are matched together in one padded array."""


@dataclass(frozen=True, eq=False)
class Truth:
    """The people of a data set, by image, and within an image those to be ignored last.

    image_ids: (P,) of all images, rising. picture: (G,) the place of each person's image among them. keypoints:
    (G, K, 3) x, y, visibility. areas: (G,). boxes: (G, 4) left, top, width, height. ignored: (G,) crowds, people
    without a labelled joint, and those of an area that does not count. crowd: (G,) may be matched again and again.
    row: (G,) their places in the file, which decide between people that are equally like.
    """

    image_ids: NDArray[np.int64]
    picture: Numbers
    keypoints: Floats
    areas: Floats
    boxes: Floats
    ignored: Bools
    crowd: Bools
    row: Numbers

    def only(self, joint: int) -> Truth:
        """The same people as if no other joint than this had been labelled; whoever lacks it is ignored."""
        keypoints = self.keypoints[:, [joint]]
        return self._sorted(keypoints, self.ignored | _unlabelled(keypoints))

    def _sorted(self, keypoints: Floats, ignored: Bools) -> Truth:
        """With other keypoints and ignored people, and in the right order again."""
        order = np.lexsort((self.row, ignored, self.picture))
        rest = (self.areas[order], self.boxes[order], ignored[order], self.crowd[order], self.row[order])
        return Truth(self.image_ids, self.picture[order], keypoints[order], *rest)


@dataclass(frozen=True, eq=False)
class Candidates:
    """The poses that are looked at, by image, and within an image by falling score.

    picture: (D,) as in Truth. keypoints: (D, K, 2). scores: (D,).
    """

    picture: Numbers
    keypoints: Floats
    scores: Floats


@dataclass(frozen=True, eq=False)
class Matches:
    """Who was matched to whom at T thresholds.

    picture, scores: (D,) of the poses, as in Candidates. person: (T, D) whom each found, numbered as in Truth, -1 for
    nobody. hit: (T, D) it found somebody who counts. ignored: (T, D) it is neither right nor wrong. labelled: (P,) how
    many people of each image count.
    """

    picture: Numbers
    scores: Floats
    person: Numbers
    hit: Bools
    ignored: Bools
    labelled: NDArray[np.int64]


def read_truth(source: CocoFile, joints: Numbers) -> Truth:
    """The people of a file, in those of its joints."""
    document = restrict(source, joints)
    people = document["annotations"]
    image_ids = np.array(sorted(image["id"] for image in document["images"]), np.int64)
    picture = np.searchsorted(image_ids, np.array([row["image_id"] for row in people], np.int64))
    keypoints = np.array([row["keypoints"] for row in people], float).reshape(len(people), len(joints), 3)
    areas = np.array([row["area"] for row in people], float)
    boxes = np.array([row["bbox"] for row in people], float).reshape(len(people), 4)
    crowd = np.array([bool(row["iscrowd"]) for row in people], bool)
    ignored = crowd | _unlabelled(keypoints) | (areas < 0) | (areas > LARGEST_AREA)
    in_file = Truth(image_ids, picture, keypoints, areas, boxes, ignored, crowd, np.arange(len(people)))
    return in_file._sorted(keypoints, ignored)


def candidates(results: PoseResults, truth: Truth, joints: Numbers) -> Candidates:
    """The poses to look at, in those joints of the results; their images must all be in the truth."""
    best = results.best(MOST_POSES)
    return Candidates(np.searchsorted(truth.image_ids, best.image_ids), best.keypoints[:, joints, :2], best.scores)


def match(truth: Truth, poses: Candidates, sigmas: ArrayLike, thresholds: ArrayLike = OKS_THRESHOLDS) -> Matches:
    """Give each pose, the best of an image first, the free person it is most like, as COCO's evaluateImg does.

    sigmas: (K,). thresholds: (T,) the least OKS of a match.
    """
    pictures, least = len(truth.image_ids), np.asarray(thresholds, float)
    person = np.full((len(least), len(poses.scores)), -1, np.intp)
    for start in range(0, pictures, BLOCK):
        mine, theirs = (
            np.arange(*np.searchsorted(one.picture, (start, start + BLOCK)), dtype=np.intp) for one in (poses, truth)
        )
        if len(mine) and len(theirs):
            person[:, mine] = _match_block(truth, poses, np.asarray(sigmas, float), least, start, mine, theirs)
    found = person >= 0
    to_ignored = found & truth.ignored[person] if len(truth.ignored) else found
    too_large = np.ptp(poses.keypoints, axis=1).prod(-1) > LARGEST_AREA
    labelled = np.bincount(truth.picture[~truth.ignored], minlength=pictures)
    return Matches(
        poses.picture, poses.scores, person, found & ~to_ignored, to_ignored | (~found & too_large), labelled
    )


def average_precision(matches: Matches, weights: NDArray[np.int64] | None = None) -> Floats:
    """COCO's interpolated average precision at each threshold.

    weights: (B, P) how often each image counts, for B data sets made of these images; the copies of a pose follow
    one another. Returns (B, T), or (T,) without weights; NaN where nobody is labelled.
    """
    if weights is None:
        once: Floats = average_precision(matches, np.ones((1, len(matches.labelled)), np.int64))[0]
        return once
    labelled = weights @ matches.labelled
    order = np.argsort(-matches.scores, kind="stable")
    counts = weights.astype(np.int32)[:, matches.picture[order]]  # enough to count poses, and much faster summed up
    columns = [
        _precision(counts, hit, ignored, labelled)
        for hit, ignored in zip(matches.hit[:, order], matches.ignored[:, order], strict=True)
    ]
    return np.where(labelled[:, None] > 0, np.stack(columns, axis=1), np.nan)


def _precision(counts: NDArray[np.int32], hit: Bools, ignored: Bools, labelled: NDArray[np.int64]) -> Floats:
    """Average precision (B,) at one threshold of poses by falling score, each of which counts `counts` (B, D) times.

    Precision has its peaks at the hits, and recall moves only there, so that the curve is taken at the hits alone.
    """
    right = np.cumsum(counts[:, hit], axis=1, dtype=np.int32)
    answered = np.cumsum(counts * ~ignored, axis=1, dtype=np.int32)[:, hit]
    precision = right / (answered + np.spacing(1))
    highest_from_here = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    curve = np.concatenate([highest_from_here, np.zeros((len(counts), 1))], axis=1)  # recall never reached: 0
    recall = right / np.maximum(labelled, 1)[:, None]
    places = np.stack([np.searchsorted(row, RECALLS) for row in recall])
    mean: Floats = np.take_along_axis(curve, places, axis=1).mean(axis=1)
    return mean


def _match_block(
    truth: Truth, poses: Candidates, sigmas: Floats, thresholds: Floats, start: int, mine: Numbers, theirs: Numbers
) -> Numbers:
    """Whom (T, M) the poses `mine` find among the people `theirs`, all of the `BLOCK` images from `start` on."""
    pose_at = table(poses.picture[mine] - start, mine)
    person_at = table(truth.picture[theirs] - start, theirs)
    alike = np.full((BLOCK, pose_at.shape[1], person_at.shape[1]), -1.0)
    pose, person = np.broadcast_arrays(pose_at[:, :, None], person_at[:, None])
    both = (pose >= 0) & (person >= 0)
    alike[both] = _oks(truth, poses, sigmas, pose[both], person[both])
    place = greedy(alike, thresholds, truth.ignored[person_at], truth.crowd[person_at])
    found = np.where(place >= 0, np.take_along_axis(person_at[None], np.maximum(place, 0), axis=2), -1)
    return found[:, pose_at >= 0]


def greedy(alike: Floats, thresholds: Floats, ignored: Bools, crowd: Bools) -> Numbers:
    """Places (T, R, M) of the people chosen, -1 for nobody.

    alike: (R, M, N) likeness (OKS, or IoU of boxes) of the M poses of R images, best first, with their N people; -1
    where there is none. ignored, crowd: (R, N). Somebody who counts goes before somebody ignored; of equals the last is
    taken.
    """
    rows, poses, people = alike.shape
    taken = np.zeros((len(thresholds), rows, people), bool)
    chosen = np.full((len(thresholds), rows, poses), -1, np.intp)
    least = np.minimum(thresholds, 1 - 1e-10)[:, None, None]
    for rank in range(poses):
        here = alike[None, :, rank]
        free = (here >= least) & (~taken | crowd)
        counting = free & ~ignored
        wanted = np.where(counting.any(-1, keepdims=True), counting, free)
        place = people - 1 - np.argmax(np.where(wanted, here, -1)[..., ::-1], axis=-1)
        found = np.take_along_axis(free, place[..., None], axis=-1)[..., 0]
        chosen[..., rank] = np.where(found, place, -1)
        threshold, row = np.nonzero(found)
        taken[threshold, row, place[found]] = True
    return chosen


def _oks(truth: Truth, poses: Candidates, sigmas: Floats, pose: Numbers, person: Numbers) -> Floats:
    """OKS (N,) of poses with people; of people without a label, how near the joints are to the doubled box (COCO)."""
    points, labels = poses.keypoints[pose], truth.keypoints[person]
    seen = labels[..., 2] > 0
    nobody = _unlabelled(labels)
    offset = points - labels[..., :2]
    corner, size = truth.boxes[person, None, :2], truth.boxes[person, None, 2:]
    outside = np.maximum(corner - size - points, 0) + np.maximum(points - corner - 2 * size, 0)
    offset = np.where(nobody[:, None, None], outside, offset)
    alike = similarity((offset**2).sum(-1), truth.areas[person], sigmas)
    counted = seen | nobody[:, None]
    oks: Floats = (alike * counted).sum(-1) / counted.sum(-1)
    return oks


def _unlabelled(keypoints: Floats) -> Bools:
    nobody: Bools = keypoints[..., 2].max(1) <= 0
    return nobody


def _places(groups: Numbers) -> Numbers:
    """For each element of rising groups, its place within its group: 0, 0, 1 for groups 3, 7, 7."""
    return np.arange(len(groups)) - np.searchsorted(groups, groups)


def table(rows: Numbers, numbers: Numbers) -> Numbers:
    """(BLOCK, most in a row) with the numbers of each row, then -1."""
    places = _places(rows)
    table = np.full((BLOCK, places.max() + 1), -1, np.intp)
    table[rows, places] = numbers
    return table
