"""PCK: the share of keypoints found within a fraction of the person's size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lightpose.skeletons import Skeleton
from lightpose.types import FloatArray, Person

__all__ = ["person_errors"]


def person_errors(
    people: Sequence[Person], named: Skeleton, keypoints: FloatArray, skeleton: Skeleton
) -> NDArray[np.float64]:
    """Distance of each predicted joint from its label, as a share of the person's size; NaN where there is no label.

    people: N labelled persons, their joints named by `named`. keypoints: (N, K, 3) in the joints of `skeleton`.
    A person's size is the longer side of its box. Returns (N, K).
    """
    errors = np.full(keypoints.shape[:2], np.nan)
    if not people:
        return errors
    mine, theirs = skeleton.match(named.joints)
    truth = np.stack([person.keypoints for person in people])[:, theirs]
    labelled = np.stack([person.visibility for person in people])[:, theirs] > 0
    size = np.array([person.box_xywh[2:].max() for person in people])
    distance = np.linalg.norm(keypoints[:, mine, :2] - truth, axis=-1) / size[:, None]
    errors[:, mine] = np.where(labelled, distance, np.nan)
    return errors
