"""Joints of one skeleton as those of another: by name, and where a name is missing, midway between two others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["BETWEEN", "as_joints", "can_make", "height_px", "made_of", "missing"]

SAME = (("pelvis", "mid_hip", "hip", "root"), ("head_top", "head"))
"""Names of one place: pelvis is midway between the hips."""

BETWEEN = {"neck": ("left_shoulder", "right_shoulder"), "pelvis": ("left_hip", "right_hip")}
"""Joints that many skeletons lack, and the two that they lie midway between."""

_CHAIN = 0.779
"""Height of the shoulder less that of the ankle, as shares of the body's height: 0.818 and 0.039 (Drillis and Contini
1966, as in Winter, Biomechanics and Motor Control of Human Movement, 2009, Fig. 4.1)."""


def missing(keypoints: NDArray[np.floating]) -> NDArray[np.bool_]:
    """(…, K) where joints (…, K, 3) have no place: x or y is NaN or infinite."""
    gone: NDArray[np.bool_] = ~np.isfinite(keypoints[..., :2]).all(-1)
    return gone


def _place(joints: Sequence[str], name: str) -> int | None:
    names = next((same for same in SAME if name in same), (name,))
    return next((joints.index(each) for each in (name, *names) if each in joints), None)


def made_of(joints: Sequence[str], name: str) -> tuple[str, ...]:
    """The joint that a name stands for, or the two that it lies midway between; none if it cannot be had."""
    if (place := _place(joints, name)) is not None:
        return (joints[place],)
    ends = [_place(joints, end) for end in _ends(name)]
    return tuple(joints[end] for end in ends if end is not None) if None not in ends else ()


def can_make(joints: Sequence[str], names: Iterable[str]) -> list[bool]:
    """Whether each of the names can be had from those joints."""
    return [bool(made_of(joints, name)) for name in names]


def _ends(name: str) -> tuple[str, ...]:
    """The two joints that one lies between; one that nobody has for others."""
    names = next((same for same in SAME if name in same), (name,))
    return next((BETWEEN[each] for each in names if each in BETWEEN), ("",))


def as_joints(keypoints: NDArray[np.floating], joints: Sequence[str], names: Sequence[str]) -> NDArray[np.floating]:
    """The joints of other names: the same one, or one midway between two, with the smaller of their scores.

    keypoints: (…, K, 3) x, y, score of `joints`. Returns (…, M, 3). Those that cannot be had are NaN, NaN, 0.
    """
    result = np.full((*keypoints.shape[:-2], len(names), 3), np.nan, keypoints.dtype)
    result[..., 2] = 0
    for number, name in enumerate(names):
        places = [joints.index(each) for each in made_of(joints, name)]
        if len(places) == 1:
            result[..., number, :] = keypoints[..., places[0], :]
        elif places:
            two = keypoints[..., np.array(places, np.intp), :]
            result[..., number, :2] = two[..., :2].mean(-2)
            result[..., number, 2] = np.where(missing(two).any(-1), 0, two[..., 2].min(-1))
    return result


def height_px(keypoints: NDArray[np.floating], joints: Sequence[str]) -> float:
    """A person's height in pixels, from the lengths ankle–knee, knee–hip and hip–shoulder, whatever the posture.

    keypoints: (T, K, 3). It is the median over time; NaN if shoulders, hips, knees or ankles are never seen together.
    """
    names = [f"{side}_{joint}" for joint in ("ankle", "knee", "hip") for side in ("left", "right")]
    points = as_joints(keypoints, joints, [*names, "neck"])[..., :2].astype(np.float64)
    shank, thigh = (
        np.linalg.norm(points[:, [low, low + 1]] - points[:, [low + 2, low + 3]], axis=-1).mean(1) for low in (0, 2)
    )
    trunk = np.linalg.norm(points[:, [4, 5]].mean(1) - points[:, 6], axis=-1)
    chain = shank + thigh + trunk
    return float(np.median(chain[np.isfinite(chain)]) / _CHAIN) if np.isfinite(chain).any() else float("nan")
