"""The whole image as one person: for images that are crops already."""

from __future__ import annotations

import numpy as np

from lightpose.results import Boxes
from lightpose.types import ImageArray

__all__ = ["whole_image"]


def whole_image(image: ImageArray) -> Boxes:
    """One box that covers the image."""
    return Boxes(np.array([[0, 0, image.shape[1], image.shape[0]]], np.float32))
