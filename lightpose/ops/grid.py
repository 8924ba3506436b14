"""Contact sheets: many pictures on one, each with a caption."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from lightpose.errors import ShapeError
from lightpose.types import ImageArray

__all__ = ["caption", "contact_sheet", "fit"]

GROUND = 40
_LINE = 16


def fit(image: ImageArray, tile_hw: tuple[int, int]) -> ImageArray:
    """The picture scaled to fit into a grey tile of that size, at its upper left."""
    scale = min(tile_hw[0] / image.shape[0], tile_hw[1] / image.shape[1])
    width, height = (
        max(1, min(round(scale * old), new)) for old, new in zip(image.shape[1::-1], tile_hw[::-1], strict=True)
    )
    ground = np.full((*tile_hw, 3), GROUND, np.uint8)
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    ground[:height, :width] = cv2.resize(image, (width, height), interpolation=way)
    return ground


def caption(tile: ImageArray, text: str) -> ImageArray:
    """A copy of the tile with a line of small white text on its darkened lower edge; what is too long is cut off."""
    captioned = tile.copy()
    captioned[-_LINE:] = captioned[-_LINE:] // 4
    place = (3, tile.shape[0] - 4)
    cv2.putText(captioned, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.38, (255, 255, 255), 1, cv2.LINE_AA)
    return captioned


def contact_sheet(tiles: Sequence[ImageArray], columns: int) -> ImageArray:
    """One picture of all tiles, row by row. Raises ShapeError if there are none, or not all are of one size."""
    if not tiles or columns < 1 or len({tile.shape for tile in tiles}) > 1:
        raise ShapeError("a contact sheet needs at least one tile and one column, and tiles of one size")
    blank = np.full_like(tiles[0], GROUND)
    filled = [*tiles, *[blank] * (-len(tiles) % min(columns, len(tiles)))]
    across = min(columns, len(tiles))
    return np.vstack([np.hstack(filled[start : start + across]) for start in range(0, len(filled), across)])
