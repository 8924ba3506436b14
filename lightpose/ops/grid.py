"""Many images of one size on one, row by row, each with a caption."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from lightpose.errors import ShapeError
from lightpose.types import ImageArray

__all__ = ["GROUND", "caption", "image_grid"]

GROUND = 40
"""The grey where there is no tile."""
_LINE = 16


def caption(tile: ImageArray, text: str) -> ImageArray:
    """A copy of the tile with a line of small white text on its darkened lower edge; what is too long is cut off."""
    captioned = tile.copy()
    captioned[-_LINE:] = captioned[-_LINE:] // 4
    place = (3, tile.shape[0] - 4)
    cv2.putText(captioned, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.38, (255, 255, 255), 1, cv2.LINE_AA)
    return captioned


def image_grid(tiles: Sequence[ImageArray], columns: int) -> ImageArray:
    """One image of all tiles, row by row. Raises ShapeError if there are none, or not all are of one size."""
    if not tiles or columns < 1 or len({tile.shape for tile in tiles}) > 1:
        raise ShapeError("an image grid needs at least one tile and one column, and tiles of one size")
    blank = np.full_like(tiles[0], GROUND)
    filled = [*tiles, *[blank] * (-len(tiles) % min(columns, len(tiles)))]
    across = min(columns, len(tiles))
    return np.vstack([np.hstack(filled[start : start + across]) for start in range(0, len(filled), across)])
