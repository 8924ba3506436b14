"""PCK: the share of keypoints found within a fraction of the person's size, and the tables made of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lightpose.data.coco import CocoFile
from lightpose.errors import DataError
from lightpose.skeletons import LSP14, MPII16, Skeleton
from lightpose.types import FloatArray, Person

__all__ = ["TABLE_SHARES", "SizeName", "counted_joints", "part_table", "person_errors", "person_sizes"]

SizeName = Literal["box", "head", "torso"]
"""What a person's size is: the longer side of its box, MPII's head (PCKh), or LSP's torso."""

TABLE_SHARES: dict[SizeName, tuple[float, ...]] = {"box": (0.1,), "head": (0.5, 0.1), "torso": (0.2,)}
"""The reaches that are usual for each size: PCK@0.1, PCKh@0.5 and PCKh@0.1, PCK@0.2."""

HEAD_BIAS = 0.6
"""Share of the head box's diagonal that MPII's PCKh takes as the head's size (SC_BIAS of its evaluation)."""

SIDES = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
HEADS: dict[SizeName, tuple[str, ...]] = {
    "box": ("nose", "left_eye", "right_eye", "left_ear", "right_ear"),
    "head": ("head_top",),
    "torso": ("neck", "head_top"),
}
"""What the tables call head: in MPII's the top of the head, in LSP's the neck as well."""

COUNTED: dict[SizeName, frozenset[str] | None] = {
    "box": None,
    "head": frozenset(MPII16.joints) - {"pelvis", "thorax"},
    "torso": frozenset(LSP14.joints),
}
"""The joints that are measured: all, MPII's without the two that its evaluation leaves out, LSP's."""


def person_errors(
    people: Sequence[Person],
    named: Skeleton,
    keypoints: FloatArray,
    skeleton: Skeleton,
    sizes: ArrayLike | None = None,
    bias_px: float = 0.0,
) -> NDArray[np.float64]:
    """Distance of each predicted joint from its label, as a share of the person's size; NaN where there is no label.

    people: N labelled persons, their joints named by `named`. keypoints: (N, K, 3) in the joints of `skeleton`.
    sizes: (N,) pixels, NaN where not known; the longer sides of the boxes if not given. bias_px: what is taken from
    both predicted coordinates first. Returns (N, K).
    """
    errors = np.full(keypoints.shape[:2], np.nan)
    if not people:
        return errors
    mine, theirs = skeleton.match(named.joints)
    truth = np.stack([person.keypoints for person in people])[:, theirs]
    labelled = np.stack([person.visibility for person in people])[:, theirs] > 0
    size = np.array([person.box_xywh[2:].max() for person in people]) if sizes is None else np.asarray(sizes, float)
    distance = np.linalg.norm(keypoints[:, mine, :2] - bias_px - truth, axis=-1) / size[:, None]
    errors[:, mine] = np.where(labelled, distance, np.nan)
    return errors


def counted_joints(skeleton: Skeleton, size: SizeName) -> NDArray[np.bool_]:
    """(K,) which joints are measured by that size, see `COUNTED`."""
    counted = COUNTED[size]
    return np.array([counted is None or joint in counted for joint in skeleton.joints])


def person_sizes(source: CocoFile, size: SizeName) -> dict[int, float]:
    """The size of each labelled person in pixels, by its annotation's id; NaN where it cannot be told.

    head: 0.6 times the diagonal of the annotation's `head_box` [left, top, right, bottom], as in MPII's PCKh.
    torso: from left shoulder to right hip (Sapp & Taskar, MODEC, CVPR 2013), or from right to left where one of those
    is not labelled. Raises DataError if a head box is malformed, or if nobody's size can be told.
    """
    people = source.persons()
    if size == "box":
        return {person.annotation_id: float(person.box_xywh[2:].max()) for person in people}
    found = _head_sizes(source) if size == "head" else _torso_sizes(people, source.skeleton)
    sizes = {person.annotation_id: found.get(person.annotation_id, float("nan")) for person in people}
    if people and not np.isfinite(list(sizes.values())).any():
        wanted = "a head_box" if size == "head" else "a labelled shoulder and the hip across"
        raise DataError(f"{source.path}: nobody has {wanted}, so joints cannot be measured by the {size}; use box")
    return sizes


def part_table(errors: NDArray[np.float64], skeleton: Skeleton, size: SizeName, share: float) -> dict[str, float]:
    """PCK of head, shoulder, elbow, wrist, hip, knee, ankle and mean, each in [0, 1]; NaN where nothing is labelled.

    errors: (N, K), see `person_errors`. A part is the mean of its left and right joints; the mean is over all joints.
    So SimpleBaseline's MPII evaluation has it (but what that calls Mean@0.1 is at 0.11, and here at 0.1).
    """
    hits, labelled = (errors <= share).sum(0), np.isfinite(errors).sum(0)
    place = {joint: number for number, joint in enumerate(skeleton.joints)}

    def part(joints: Sequence[str]) -> float:
        each = [hits[place[j]] / labelled[place[j]] for j in joints if j in place and labelled[place[j]]]
        return float(np.mean(each)) if each else float("nan")

    table = {"head": part(HEADS[size])}
    table |= {name: part((f"left_{name}", f"right_{name}")) for name in SIDES}
    return {**table, "mean": float(hits.sum() / labelled.sum()) if labelled.any() else float("nan")}


def _head_sizes(source: CocoFile) -> dict[int, float]:
    rows = [row for row in source.document["annotations"] if "head_box" in row]
    return {row["id"]: _diagonal(row["head_box"], f"{source.path}: annotation {row['id']}") for row in rows}


def _diagonal(box: Any, where: str) -> float:
    """0.6 times the diagonal of [left, top, right, bottom]."""
    try:
        corners = np.array(box, float)
    except (TypeError, ValueError):
        corners = np.zeros(0)
    if corners.shape != (4,) or not np.isfinite(corners).all() or (corners[2:] <= corners[:2]).any():
        raise DataError(f"{where} must have a head_box [left, top, right, bottom] of some width and height")
    return HEAD_BIAS * float(np.hypot(*(corners[2:] - corners[:2])))


def _torso_sizes(people: Sequence[Person], named: Skeleton) -> dict[int, float]:
    place = {joint: number for number, joint in enumerate(named.joints)}
    diagonals = (("left_shoulder", "right_hip"), ("right_shoulder", "left_hip"))
    known = [(place[a], place[b]) for a, b in diagonals if a in place and b in place]
    sizes: dict[int, float] = {}
    for person in people:
        lengths = [
            float(np.linalg.norm(person.keypoints[a] - person.keypoints[b]))
            for a, b in known
            if person.visibility[a] and person.visibility[b]
        ]
        sizes[person.annotation_id] = next((length for length in lengths if length > 0), float("nan"))
    return sizes
