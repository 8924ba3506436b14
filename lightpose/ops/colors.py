"""What colours boxes in an image have, so that people can be told apart by their clothes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lightpose.types import ImageArray

__all__ = ["COLORS", "color_vectors"]

Floats = NDArray[np.float64]

_SIDE = 10
"""Points across, and down each half."""
_BINS = 64
"""Four shades of each of red, green and blue."""
COLORS = 2 * _BINS
"""Numbers of a vector: upper and lower half."""


def color_vectors(image: ImageArray, xywh: ArrayLike) -> Floats:
    """(N, COLORS) float64 of length 1 for boxes (N, 4): square roots of the share of each colour, in both halves.

    Their product is the Bhattacharyya coefficient: 1 for the same colours, 0 if no colour is common. The edge of a box
    is left out: a quarter of its width and three twentieths of its height on each side. Points outside the image (H,
    W, 3), uint8 RGB, count as the nearest pixel in it.
    """
    boxes = np.asarray(xywh, np.float64).reshape(-1, 4)
    across = 0.25 + 0.5 * (np.arange(_SIDE) + 0.5) / _SIDE
    down = 0.15 + 0.7 * (np.arange(2 * _SIDE) + 0.5) / (2 * _SIDE)
    columns = _places(boxes[:, 0], boxes[:, 2], across, image.shape[1])
    rows = _places(boxes[:, 1], boxes[:, 3], down, image.shape[0])
    shades = image[rows[:, :, None], columns[:, None, :]].astype(np.intp) >> 6  # (N, 2 * side, side, 3)
    half = np.repeat([0, _BINS], _SIDE)[:, None]
    bins = shades @ np.array([16, 4, 1]) + half + COLORS * np.arange(len(boxes))[:, None, None]
    counts = np.bincount(bins.ravel(), minlength=COLORS * len(boxes)).reshape(-1, COLORS)
    vectors: Floats = np.sqrt(counts / (2 * _SIDE**2))
    return vectors


def _places(start: Floats, size: Floats, shares: Floats, limit: int) -> NDArray[np.intp]:
    """Pixels (N, n) at shares (n,) of lengths (N,) along an axis of the image."""
    at = start[:, None] + size[:, None] * shares
    return np.clip(np.floor(at), 0, limit - 1).astype(np.intp)
