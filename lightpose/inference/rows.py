"""Lines of poses.jsonl read back, so that a continued run draws what was found before it."""

from __future__ import annotations

from typing import Any

import numpy as np

from lightpose.results import Boxes, Poses
from lightpose.skeletons import Skeleton
from lightpose.types import FloatArray

__all__ = ["read_row"]


def read_row(row: dict[str, Any], skeleton: Skeleton) -> Poses:
    """The poses that `Poses.to_dict` made a row of, as exactly as it holds them."""
    people = row["people"]
    first = people[0] if people else {}
    return Poses(
        _joints(people, "keypoints", skeleton),
        np.array([person["score"] for person in people], np.float32),
        Boxes(
            np.array([person["box"] for person in people], np.float32).reshape(-1, 4),
            np.array([person["box_score"] for person in people], np.float32),
        ),
        skeleton,
        None if row["width"] is None else (row["height"], row["width"]),
        row["image"],
        np.array([person["id"] for person in people], np.int64) if "id" in first else None,
        np.array([person["state"] for person in people], np.str_) if "state" in first else None,
        _joints(people, "raw_keypoints", skeleton) if "raw_keypoints" in first else None,
    )


def _joints(people: list[dict[str, Any]], key: str, skeleton: Skeleton) -> FloatArray:
    """Keypoints (N, K, 3) of one kind; NaN for the raw ones of who was filled in, as there are none."""
    none = [[np.nan] * 3] * len(skeleton)
    found = [
        none
        if key == "raw_keypoints" and person[key] is None
        else [list(person[key][joint].values())[:3] for joint in skeleton.joints]
        for person in people
    ]
    return np.array(found, np.float32).reshape(len(people), len(skeleton), 3)
