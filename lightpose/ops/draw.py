"""Skeletons drawn on a copy of an image."""

from __future__ import annotations

import colorsys

import cv2
import numpy as np
from numpy.typing import NDArray

from lightpose.skeletons import Skeleton
from lightpose.types import FloatArray, ImageArray

__all__ = ["color_of_id", "draw_skeletons"]

LEFT, RIGHT, MIDDLE = (255, 138, 30), (40, 170, 255), (60, 220, 90)
"""RGB of a person's left side, right side, and what belongs to neither."""

_SHIFT = 4
"""OpenCV takes points as whole numbers of 1/16 pixel when told so."""


def draw_skeletons(
    image: ImageArray,
    people: FloatArray,
    skeleton: Skeleton,
    threshold: float = 0.2,
    ids: NDArray[np.int64] | None = None,
) -> ImageArray:
    """A copy of the image with everybody's limbs and joints; a person's left is orange, right blue, middle green.

    image: (H, W, 3) RGB. people: (N, K, 3) x, y in pixels, score. threshold: joints with a lower score are left out,
    and the limbs at them; so are joints that are not finite. ids: (N,), each written above its person, whose limbs
    have `color_of_id`.
    """
    canvas = np.ascontiguousarray(image).copy()
    colors = _joint_colors(skeleton)
    limbs = skeleton.limb_indices
    for number, keypoints in enumerate(people):  # OpenCV draws one thing at a time
        shown = (keypoints[:, 2] >= threshold) & np.isfinite(keypoints).all(-1)
        if not shown.any():
            continue
        points = np.clip(np.nan_to_num(keypoints[:, :2]), -1e6, 1e6)
        extent = np.ptp(points[shown], axis=0).max()
        width = int(np.clip(round(extent / 90), 1, 12))
        fixed = np.round(points * 2**_SHIFT).astype(np.int32)
        own = None if ids is None else color_of_id(int(ids[number]))
        for start, end in limbs[shown[limbs].all(1)]:
            color = own or (colors[start] if colors[start] == colors[end] else MIDDLE)
            cv2.line(canvas, fixed[start].tolist(), fixed[end].tolist(), color, width, cv2.LINE_AA, _SHIFT)
        for joint in np.flatnonzero(shown):
            _dot(canvas, fixed[joint], width, colors[joint])
        if ids is not None and own is not None:
            top = (points[shown][:, 0].mean(), points[shown][:, 1].min() - extent / 20)
            _write(canvas, str(ids[number]), top, float(np.clip(extent / 250, 0.5, 2)), own)
    return canvas


def color_of_id(number: int) -> tuple[int, int, int]:
    """RGB of a person: always the same for an id, and far from that of the next ones."""
    red, green, blue = colorsys.hsv_to_rgb(number * 0.618034 % 1, 0.75 if number % 2 else 0.5, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def _write(
    canvas: ImageArray, text: str, bottom_xy: tuple[float, float], scale: float, color: tuple[int, int, int]
) -> None:
    """A text with a dark rim, its lower edge in the middle at a point, moved inside the image if it would stick out."""
    font, thick = cv2.FONT_HERSHEY_SIMPLEX, max(1, round(2 * scale))
    (width, height), _ = cv2.getTextSize(text, font, scale, thick)
    left = int(np.clip(bottom_xy[0] - width / 2, 0, max(0, canvas.shape[1] - width)))
    bottom = int(np.clip(bottom_xy[1], height + 2, max(height + 2, canvas.shape[0] - 2)))
    cv2.putText(canvas, text, (left, bottom), font, scale, (20, 20, 20), thick + 3, cv2.LINE_AA)
    cv2.putText(canvas, text, (left, bottom), font, scale, color, thick, cv2.LINE_AA)


def _dot(canvas: ImageArray, center: NDArray[np.int32], width: int, color: tuple[int, int, int]) -> None:
    """A joint: a filled circle with a dark rim, so that it shows on any ground."""
    radius = int((0.9 * width + 1) * 2**_SHIFT)
    cv2.circle(canvas, center.tolist(), radius + 2**_SHIFT, (20, 20, 20), cv2.FILLED, cv2.LINE_AA, _SHIFT)
    cv2.circle(canvas, center.tolist(), radius, color, cv2.FILLED, cv2.LINE_AA, _SHIFT)


def _joint_colors(skeleton: Skeleton) -> list[tuple[int, int, int]]:
    return [LEFT if j.startswith("left_") else RIGHT if j.startswith("right_") else MIDDLE for j in skeleton.joints]
