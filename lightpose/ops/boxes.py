"""Boxes (..., 4): left, top, width, height or left, top, right, bottom; their overlap; one for each person."""

from __future__ import annotations

from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from lightpose.types import FloatArray

__all__ = ["iou", "nms", "to_xywh", "to_xyxy"]

Array = TypeVar("Array", NDArray[np.float32], NDArray[np.float64])


def to_xyxy(boxes_xywh: Array) -> Array:
    """Boxes (..., 4) left, top, width, height as left, top, right, bottom, of the same type of numbers."""
    return np.concatenate([boxes_xywh[..., :2], boxes_xywh[..., :2] + boxes_xywh[..., 2:]], axis=-1)


def to_xywh(boxes_xyxy: Array) -> Array:
    """Boxes (..., 4) left, top, right, bottom as left, top, width, height, of the same type of numbers."""
    return np.concatenate([boxes_xyxy[..., :2], boxes_xyxy[..., 2:] - boxes_xyxy[..., :2]], axis=-1)


def iou(
    one_xyxy: NDArray[np.float64], other_xyxy: NDArray[np.float64], crowd: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Intersection over union (..., M, N) of boxes (..., M, 4) with boxes (..., N, 4).

    crowd: (..., N), which of the others are crowds; with these, the share of the first box that they cover.
    """
    one, other = one_xyxy[..., :, None, :], other_xyxy[..., None, :, :]
    inner = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    both = np.maximum(inner, 0).prod(-1)
    mine, theirs = ((each[..., 2:] - each[..., :2]).prod(-1) for each in (one, other))
    either = mine + theirs - both
    if crowd is not None:
        either = np.where(crowd[..., None, :], mine, either)
    shared: NDArray[np.float64] = both / np.maximum(either, 1e-12)
    return shared


def nms(boxes_xyxy: FloatArray, scores: FloatArray, max_iou: float) -> NDArray[np.intp]:
    """Greedy suppression: by falling score, a box goes if its overlap with one that stayed is above `max_iou`.

    boxes_xyxy: (N, 4). scores: (N,), at least 0; a box that scores 0 goes too. max_iou: intersection over union.
    Returns the numbers of those that stay, best first, equal ones in their order.
    """
    xywh = to_xywh(boxes_xyxy.astype(np.float64))
    kept = cv2.dnn.NMSBoxes(xywh, scores.astype(np.float32), 0.0, max_iou)  # type: ignore[arg-type]
    return np.array(kept, np.intp).reshape(-1)
