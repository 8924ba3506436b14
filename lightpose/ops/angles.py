"""Angles of joints and segments in the image plane, with the zero and the sign that Sports2D gives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from lightpose.errors import ConfigError
from lightpose.ops.joints import as_joints, can_make, made_of

__all__ = ["ANGLES", "AngleRule", "Facing", "angle_rules", "angles_of", "known_angles"]

Facing = Literal["auto", "right", "left"]
"""Where the person looks in the image. auto: where the toes point; right if the skeleton has none."""


@dataclass(frozen=True)
class AngleRule:
    """How an angle comes from points: (direction + offset) × sign, in degrees.

    points: of two, the direction of the segment from the second to the first, against the image's x axis; of three,
    the turn at the middle one from the third to the first; of four, from the segment of the last two to that of the
    first two. turn_deg: the angle is the same after so many degrees.
    """

    name: str
    points: tuple[str, ...]
    offset: float
    sign: int
    turn_deg: int = 360

    @property
    def is_segment(self) -> bool:
        """Whether it is of a segment against the horizontal, and not of a joint."""
        return len(self.points) == 2


def _sides(name: str, points: str, offset: float, sign: int) -> list[AngleRule]:
    """A rule for each side; joints with a dot before them have no side."""
    return [
        AngleRule(
            f"{side}_{name}",
            tuple(p[1:] if p[0] == "." else f"{side}_{p}" for p in points.split()),
            offset,
            sign,
        )
        for side in ("right", "left")
    ]


ANGLES: dict[str, AngleRule] = {
    rule.name: rule
    for rule in (
        *_sides("ankle", "knee ankle big_toe heel", 90, 1),
        *_sides("knee", "ankle knee hip", -180, 1),
        *_sides("hip", "knee hip .pelvis .neck", 0, -1),
        *_sides("shoulder", "elbow shoulder .pelvis .neck", 0, -1),
        *_sides("elbow", "wrist elbow shoulder", 180, -1),
        *_sides("foot", "big_toe heel", 0, -1),
        *_sides("shank", "ankle knee", 0, -1),
        *_sides("thigh", "knee hip", 0, -1),
        AngleRule("pelvis", ("left_hip", "right_hip"), 0, -1, 180),
        AngleRule("trunk", ("neck", "pelvis"), 0, -1),
        AngleRule("shoulders", ("left_shoulder", "right_shoulder"), 0, -1, 180),
        AngleRule("head", ("head_top", "neck"), 0, -1),
        *_sides("arm", "elbow shoulder", 0, -1),
        *_sides("forearm", "wrist elbow", 0, -1),
    )
}
"""By name. Zero and sign are those of Sports2D 0.8.34 and Pose2Sim 0.10.49 (Pagnon and Kim, Journal of Open Source
Software 9(101), 6849, 2024), there `angle_dict`: a straight knee is 0°, a bent one is above 0."""


_FEET = ("left_big_toe", "right_big_toe", "left_heel", "right_heel")


def known_angles(joints: Sequence[str]) -> list[str]:
    """The angles that those joints give."""
    return [name for name, rule in ANGLES.items() if all(can_make(joints, rule.points))]


def angle_rules(joints: Sequence[str]) -> dict[str, Any]:
    """The same rules for other programs, ready for JSON, of the angles that those joints give.

    feet: left and right big toe and heel, by which it is told where the person looks; None if they are not there.
    Each point is a list of joints, and lies midway between them.
    """
    feet = [list(made_of(joints, foot)) for foot in _FEET]
    rules = (ANGLES[name] for name in known_angles(joints))
    return {
        "feet": feet if all(feet) else None,
        "angles": [
            {
                "name": rule.name,
                "points": [list(made_of(joints, point)) for point in rule.points],
                "offset": rule.offset,
                "sign": rule.sign,
                "turn_deg": rule.turn_deg,
            }
            for rule in rules
        ],
    }


def angles_of(
    keypoints: NDArray[np.floating], joints: Sequence[str], names: Sequence[str], facing: Facing = "auto"
) -> NDArray[np.float64]:
    """Angles in degrees, from -180 to below 180; pelvis, shoulders from -90 to below 90. NaN where a joint is missing.

    keypoints: (…, K, 3), y downwards as in an image. Returns (…, A). Raises ConfigError if a name is unknown, or needs
    joints that there are not.
    """
    if facing not in get_args(Facing):
        raise ConfigError(f"facing must be {', '.join(get_args(Facing))}, not {facing}")
    for name in names:
        if name not in ANGLES:
            raise ConfigError(f"there is no angle {name!r}; known are {', '.join(ANGLES)}")
        if not all(can_make(joints, ANGLES[name].points)):
            raise ConfigError(f"the angle {name} needs {', '.join(ANGLES[name].points)}, which the skeleton lacks")
    ahead = _ahead(keypoints, joints, facing)[..., None]
    result = np.full((*keypoints.shape[:-2], len(names)), np.nan)
    for number, name in enumerate(names):
        rule = ANGLES[name]
        points = as_joints(keypoints, joints, rule.points)[..., :2].astype(np.float64)
        points[..., 0] *= ahead
        result[..., number] = _wrapped((_direction(points) + rule.offset) * rule.sign, rule.turn_deg)
    return result


def _ahead(keypoints: NDArray[np.floating], joints: Sequence[str], facing: Facing) -> NDArray[np.float64]:
    """1 where a person looks to the right of the image, -1 to the left (…,)."""
    if facing != "auto" or not all(can_make(joints, _FEET)):
        return np.full(keypoints.shape[:-2], -1.0 if facing == "left" else 1.0)
    x = as_joints(keypoints, joints, _FEET)[..., 0].astype(np.float64)
    return np.where(x[..., 0] + x[..., 1] - x[..., 2] - x[..., 3] < 0, -1.0, 1.0)


def _direction(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Degrees between two vectors, or of one against the x axis. points: (…, 2 to 4, 2)."""
    p = [points[..., number, :] for number in range(points.shape[-2])]
    if len(p) == 2:
        segment = p[0] - p[1]
        return np.asarray(np.degrees(np.arctan2(segment[..., 1], segment[..., 0])))
    u, v = (p[0] - p[1], p[2] - p[1]) if len(p) == 3 else (p[1] - p[0], p[3] - p[2])
    cross = u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]
    return np.asarray(-np.degrees(np.arctan2(cross, (u * v).sum(-1))))


def _wrapped(degrees: NDArray[np.float64], turn: int) -> NDArray[np.float64]:
    return (degrees + turn / 2) % turn - turn / 2
