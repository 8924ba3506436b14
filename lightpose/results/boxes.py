"""The boxes of the people found in an image."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightpose.errors import BoxesError
from lightpose.types import FloatArray

__all__ = ["Boxes"]

LARGEST = 100
"""How many times an image's longer side a box may have: in the crop of a longer one the image is a pixel or two."""


@dataclass(frozen=True, eq=False)
class Boxes:
    """People found in one image.

    xywh: (N, 4) float32, left, top, width, height in pixels. scores: (N,) float32, those of most detectors in [0, 1];
    ones if not given. Raises BoxesError if a shape is wrong or a number is not finite.
    """

    xywh: FloatArray
    scores: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))

    def __post_init__(self) -> None:
        try:
            with np.errstate(over="ignore"):  # values that are too large become infinite and are refused below
                xywh = np.array(self.xywh, dtype=np.float32)
                scores = np.array(self.scores, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise BoxesError(f"boxes must be numbers, four for each person ({error})") from error
        if xywh.size == 0:
            xywh = xywh.reshape(0, 4)
        if xywh.ndim != 2 or xywh.shape[1] != 4:
            raise BoxesError(f"boxes must have shape (N, 4) for left, top, width, height; got {xywh.shape}")
        if scores.size == 0:
            scores = np.ones(len(xywh), np.float32)
        if scores.shape != (len(xywh),):
            raise BoxesError(f"{len(xywh)} boxes need {len(xywh)} scores; got shape {scores.shape}")
        if not (np.isfinite(xywh).all() and np.isfinite(scores).all()):
            raise BoxesError("a box or score is NaN or infinite; leave such boxes out")
        object.__setattr__(self, "xywh", xywh)
        object.__setattr__(self, "scores", scores)

    def __len__(self) -> int:
        return len(self.xywh)

    def __getitem__(self, which: slice | NDArray[Any]) -> Boxes:
        """The boxes that a slice, an array of numbers (M,), or a mask (N,) of bool selects."""
        return Boxes(self.xywh[which], self.scores[which])

    def __repr__(self) -> str:
        return f"Boxes({len(self)})"

    def check_inside(self, height: int, width: int) -> None:
        """Raise BoxesError if a box has no area, or is wholly outside an image of that size, or far larger than it."""
        x, y, w, h = self.xywh.T
        for wrong, reason in (
            ((w <= 0) | (h <= 0), "has no area"),
            ((x >= width) | (y >= height) | (x + w <= 0) | (y + h <= 0), f"lies outside the {width}x{height} image"),
            (np.maximum(w, h) > LARGEST * max(height, width), f"is over {LARGEST} times as long as the image"),
        ):
            if wrong.any():
                number = int(wrong.argmax())
                raise BoxesError(f"box {number} {self.xywh[number].tolist()} (left, top, width, height) {reason}")
