"""An image in a network's input of fixed size, its aspect kept; and boxes back from there."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike

from lightpose.types import FloatArray, ImageArray

__all__ = ["PAD", "Letterbox", "letterbox"]

PAD = 114
"""The grey around an image, which most detectors are trained with."""


@dataclass(frozen=True, eq=False)
class Letterbox:
    """An image at the top left of an input, the rest grey.

    pixels: (H, W, 3), the input. scale_xy: input pixels to one of the image; they differ by the rounding of the
    scaled image to whole pixels. picture_hw: size of the image.
    """

    pixels: ImageArray
    scale_xy: tuple[float, float]
    picture_hw: tuple[int, int]

    def to_picture(self, boxes_xyxy: ArrayLike) -> FloatArray:
        """Boxes (N, 4) left, top, right, bottom from input pixels to the image's, clipped to it.

        Edges are continuous, the first pixel from 0 to 1. A box outside the image ends with no width or height.
        """
        limit = np.array(self.picture_hw[::-1] * 2, np.float64)
        boxes = np.asarray(boxes_xyxy, np.float64).reshape(-1, 4) / np.array(self.scale_xy * 2)
        clipped: FloatArray = np.clip(boxes, 0, limit).astype(np.float32)
        return clipped


def letterbox(image: ImageArray, input_hw: tuple[int, int], pad: int = PAD) -> Letterbox:
    """Scale an image (h, w, 3) so that it just fits into an input of that size; what is left over becomes `pad`."""
    (height, width), (high, wide) = image.shape[:2], input_hw
    scale = min(high / height, wide / width)
    fitted_h = min(max(round(height * scale), 1), high)
    fitted_w = min(max(round(width * scale), 1), wide)
    pixels = np.full((high, wide, 3), pad, np.uint8)
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    pixels[:fitted_h, :fitted_w] = cv2.resize(_halved(image, scale), (fitted_w, fitted_h), interpolation=way)
    return Letterbox(pixels, (fitted_w / width, fitted_h / height), (height, width))


def _halved(image: ImageArray, scale: float) -> ImageArray:
    """The image at a half, a quarter and so on of its size, as long as more than half of that is to be shrunk away.

    Means of four pixels and one last step take a quarter of the time of a single step from a large image.
    """
    height, width = image.shape[:2]
    if scale > 1 / 4 or height % 2 or width % 2:
        return image
    half: ImageArray = cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA).astype(
        np.uint8, copy=False
    )
    return _halved(half, 2 * scale)
