"""Image grids: tiles of one size, in reading order."""

import numpy as np
import pytest

from lightpose.errors import ShapeError
from lightpose.ops.grid import GROUND, caption, image_grid

TILE_HW = (60, 80)


def plain(height, width, value=200):
    return np.full((height, width, 3), value, np.uint8)


def test_tiles_lie_row_by_row_and_the_rest_is_grey():
    grid = image_grid([plain(*TILE_HW, 10 * n) for n in range(5)], columns=3)
    assert grid.shape == (120, 240, 3)
    assert grid[30::60, 40::80, 0].tolist() == [[0, 10, 20], [30, 40, GROUND]]


def test_fewer_tiles_than_columns_make_one_short_row():
    assert image_grid([plain(*TILE_HW)] * 2, columns=8).shape == (60, 160, 3)


@pytest.mark.parametrize("tiles", [[], [plain(60, 80), plain(60, 81)]])
def test_no_tiles_or_tiles_of_several_sizes_are_refused(tiles):
    with pytest.raises(ShapeError, match="at least one tile"):
        image_grid(tiles, columns=2)


def test_a_caption_changes_a_copy_at_the_lower_edge_only():
    tile = plain(*TILE_HW)
    captioned = caption(tile, "7 a.jpg")
    assert (tile == 200).all()
    assert (captioned[:-16] == 200).all()
    assert captioned[-16:].max() > 200  # text
    assert captioned[-16:].min() == 50  # its ground


def test_a_caption_of_any_length_and_letters_is_no_failure():
    assert caption(plain(*TILE_HW), "größe 图片 " * 50).shape == (*TILE_HW, 3)
