"""Where a network goes wrong: AP of each joint alone, and the kinds of error after Ruggero Ronchi & Perona.

Benchmarking and Error Diagnosis in Multi-Instance Pose Estimation, ICCV 2017, section 3.1, by the rules of its released
code (coco-analyze): a pose is held against the person it was matched with at an OKS of 0.1 or more; each labelled joint
is given to whatever label in the image it is most similar to, among its own, that of the mirror joint, and both of
every other person.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lightpose.data.coco import CocoFile
from lightpose.evaluate.matching import (
    Bools,
    Candidates,
    Floats,
    Matches,
    Numbers,
    Truth,
    average_precision,
    candidates,
    match,
    read_truth,
)
from lightpose.evaluate.results import PoseResults
from lightpose.ops.oks import similarity
from lightpose.skeletons import Skeleton

__all__ = ["KINDS", "Breakdown", "break_down"]

KINDS = ("good", "jitter", "inversion", "swap", "miss")
"""good: nearest to its own label, similarity of at least 0.85. jitter: the same, 0.5 to 0.85. inversion: nearest to the
mirror joint of its person (left for right), at least 0.5. swap: nearest to that joint or its mirror joint of somebody
else, at least 0.5. miss: below 0.5 everywhere."""

LEAST_OKS, NEAR, EXACT = 0.1, 0.5, 0.85
"""OKS of a match; the similarity that is near a label; the similarity within which annotators themselves differ."""

BLOCK = 512
"""Matched poses that are classified together."""


@dataclass(frozen=True, eq=False)
class Breakdown:
    """Errors by joint.

    counts: (K, 5) how many labelled joints of matched persons are of each of `KINDS`. ap: (K,) the OKS AP of each joint
    alone, as COCO's evaluation gives it where no other joint is labelled; NaN where it is labelled for nobody.
    persons, found: how many people count, and how many of those a pose was matched with. poses, astray: how many poses
    were looked at, and how many of those match nobody.
    """

    joints: tuple[str, ...]
    counts: NDArray[np.int64]
    ap: Floats
    persons: int
    found: int
    poses: int
    astray: int

    @property
    def shares(self) -> Floats:
        """(K, 5) the counts as shares of each joint's; NaN where a joint has none."""
        total = self.counts.sum(1, keepdims=True)
        return np.where(total > 0, self.counts / np.maximum(total, 1), np.nan)

    @property
    def overall(self) -> Floats:
        """(5,) the shares of all joints together."""
        total = self.counts.sum()
        return np.where(total > 0, self.counts.sum(0) / np.maximum(total, 1), np.nan)


def break_down(source: CocoFile, results: PoseResults) -> Breakdown:
    """AP and kinds of error of each joint that the results and the file share, in the order of the results."""
    skeleton = results.skeleton
    mine, theirs = skeleton.match(source.skeleton.joints)
    shared = Skeleton(
        skeleton.name, tuple(skeleton.joints[n] for n in mine), sigmas=tuple(skeleton.sigmas[n] for n in mine)
    )
    truth = read_truth(source, theirs)
    poses = candidates(results, truth, mine)
    matches = match(truth, poses, shared.sigmas, [LEAST_OKS])
    counts = _count_kinds(truth, poses, matches, shared)
    ap = [_ap_of_joint(truth, poses, joint, sigma) for joint, sigma in enumerate(shared.sigmas)]
    hit = matches.hit[0]
    return Breakdown(
        shared.joints,
        counts,
        np.array(ap),
        int(matches.labelled.sum()),
        int(hit.sum()),
        len(hit),
        int((~hit & ~matches.ignored[0]).sum()),
    )


def _ap_of_joint(truth: Truth, poses: Candidates, joint: int, sigma: float) -> float:
    alone = Candidates(poses.picture, poses.keypoints[:, [joint]], poses.scores)
    return float(average_precision(match(truth.only(joint), alone, [sigma])).mean())


def _count_kinds(truth: Truth, poses: Candidates, matches: Matches, skeleton: Skeleton) -> NDArray[np.int64]:
    """(K, 5) kinds of the labelled joints of all persons found."""
    found = np.nonzero(matches.hit[0])[0]
    counts = np.zeros((len(skeleton), len(KINDS)), np.int64)
    for start in range(0, len(found), BLOCK):
        pose = found[start : start + BLOCK]
        own = matches.person[0, pose]
        kinds = _kinds(truth, poses.keypoints[pose], own, skeleton)
        labelled = truth.keypoints[own][..., 2] > 0
        counts += np.stack([((kinds == kind) & labelled).sum(0) for kind in range(len(KINDS))], axis=1)
    return counts


def _kinds(truth: Truth, points: Floats, own: Numbers, skeleton: Skeleton) -> NDArray[np.int64]:
    """Kinds (M, K), as numbers into `KINDS`, of the joints of M poses (M, K, 2) matched with the persons `own`."""
    mirror = list(skeleton.flip_order)
    labels = truth.keypoints[own]
    to_own = _similar(points, labels, truth.areas[own], skeleton)
    to_mirror = _similar(points, labels[:, mirror], truth.areas[own], skeleton)
    to_others = _nearest_of_others(truth, points, own, skeleton)
    best = np.maximum(np.maximum(to_own, to_mirror), to_others)
    kinds = np.full(best.shape, KINDS.index("swap"))
    kinds[to_mirror == best] = KINDS.index("inversion")
    mine: Bools = to_own == best
    kinds[mine] = np.where(best[mine] >= EXACT, KINDS.index("good"), KINDS.index("jitter"))
    kinds[best < NEAR] = KINDS.index("miss")
    return kinds


def _nearest_of_others(truth: Truth, points: Floats, own: Numbers, skeleton: Skeleton) -> Floats:
    """(M, K) the highest similarity to the same or the mirror joint of the other people in the image; -1 for none."""
    first = np.searchsorted(truth.picture, truth.picture[own])
    people = np.searchsorted(truth.picture, truth.picture[own], side="right") - first
    pose = np.repeat(np.arange(len(own)), people)
    other = np.arange(people.sum()) - np.repeat(np.cumsum(people) - people, people) + np.repeat(first, people)
    pose, other = pose[other != own[pose]], other[other != own[pose]]
    labels, areas = truth.keypoints[other], truth.areas[other]
    same = _similar(points[pose], labels, areas, skeleton)
    mirrored = _similar(points[pose], labels[:, list(skeleton.flip_order)], areas, skeleton)
    nearest = np.full(points.shape[:2], -1.0)
    np.maximum.at(nearest, pose, np.maximum(same, mirrored))
    return nearest


def _similar(points: Floats, labels: Floats, areas: Floats, skeleton: Skeleton) -> Floats:
    """Similarity (N, K) of joints to labels (N, K, 3); -1 where there is no label."""
    alike = similarity(((points - labels[..., :2]) ** 2).sum(-1), areas, skeleton.sigmas)
    return np.where(labels[..., 2] > 0, alike, -1)
