"""Lines of poses.jsonl read back, so that a continued run draws what was found before it."""

from __future__ import annotations

from typing import Any

import numpy as np

from lightpose.results import Boxes, Poses
from lightpose.skeletons import Skeleton

__all__ = ["read_row"]


def read_row(row: dict[str, Any], skeleton: Skeleton) -> Poses:
    """The poses that `Poses.to_dict` made a row of, as exactly as it holds them."""
    people = row["people"]
    joints = [[list(person["keypoints"][joint].values())[:3] for joint in skeleton.joints] for person in people]
    return Poses(
        np.array(joints, np.float32).reshape(len(people), len(skeleton), 3),
        np.array([person["score"] for person in people], np.float32),
        Boxes(
            np.array([person["box"] for person in people], np.float32).reshape(-1, 4),
            np.array([person["box_score"] for person in people], np.float32),
        ),
        skeleton,
        None if row["width"] is None else (row["height"], row["width"]),
        row["image"],
        np.array([person["id"] for person in people], np.int64) if people and "id" in people[0] else None,
    )
