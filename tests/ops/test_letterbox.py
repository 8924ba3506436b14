"""The letterbox: where a picture's pixels and boxes go, and that boxes come back."""

import cv2
import numpy as np
import pytest

from lightpose.ops.letterbox import letterbox


def test_the_picture_is_at_the_top_left_and_the_rest_is_grey():
    boxed = letterbox(np.full((50, 100, 3), 200, np.uint8), (64, 64))
    assert boxed.pixels.shape == (64, 64, 3)
    assert (boxed.pixels[:32] == 200).all()
    assert (boxed.pixels[32:] == 114).all()
    assert boxed.scale_xy == (0.64, 0.64)
    assert (letterbox(np.zeros((5, 5, 3), np.uint8), (4, 9), pad=7).pixels[:, 4:] == 7).all()


@pytest.mark.parametrize(
    ("size", "shown"),
    [((60, 80), (60, 80)), ((600, 800), (60, 80)), ((120, 40), (60, 20)), ((30, 80), (30, 80)), ((1, 1000), (1, 80)),
     ((15, 20), (60, 80))],
)  # fmt: skip
def test_an_image_fills_its_tile_one_way_and_keeps_its_aspect(size: tuple[int, int], shown: tuple[int, int]):
    tile = letterbox(np.full((*size, 3), 200, np.uint8), (60, 80), pad=40).pixels
    assert tile.shape == (60, 80, 3)
    rows, columns = np.nonzero((tile == 200).all(-1))
    assert (rows.max() + 1, columns.max() + 1) == shown
    assert (tile[shown[0] :] == 40).all()
    assert (tile[:, shown[1] :] == 40).all()


@pytest.mark.parametrize("hw", [(480, 640), (640, 480), (1, 1), (10, 6000), (6000, 10), (333, 777), (64, 64), (20, 31)])
def test_boxes_go_there_and_back(hw: tuple[int, int]):
    boxed = letterbox(np.zeros((*hw, 3), np.uint8), (64, 96))
    corners = np.sort(np.random.default_rng(0).uniform(0, 1, (50, 2, 2)), axis=1).reshape(-1, 4)
    boxes = corners * np.array(hw[::-1] * 2)
    there = boxes * np.array(boxed.scale_xy * 2)
    assert (there <= np.array([96, 64, 96, 64]) + 1e-6).all()
    np.testing.assert_allclose(boxed.to_picture(there), boxes, atol=1e-3)


def test_a_shape_drawn_in_the_picture_is_where_its_box_says():
    picture = np.zeros((300, 400, 3), np.uint8)
    picture[60:240, 100:180] = 255
    boxed = letterbox(picture, (96, 96))
    rows, columns = np.nonzero(boxed.pixels[:72, :, 0] > 127)
    seen = boxed.to_picture([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]])
    np.testing.assert_allclose(seen, [[100, 60, 180, 240]], atol=0.51 / 0.24)  # half an input pixel


def test_shrinking_takes_every_pixel_into_account():
    """One white pixel in each square of ten is grey everywhere, where every tenth pixel would be black or white."""
    picture = np.zeros((640, 640, 3), np.uint8)
    picture[::10, ::10] = 250
    assert np.abs(letterbox(picture[:250, :250], (25, 25)).pixels - 2.5).max() <= 0.5
    assert letterbox(picture, (64, 64)).pixels.mean() == pytest.approx(2.5, abs=0.5)


@pytest.mark.parametrize("hw", [(720, 1280), (1080, 1920), (3000, 4000), (1501, 2000), (8, 4000)])
def test_a_large_image_is_shrunk_in_steps_to_what_one_step_gives(hw: tuple[int, int]):
    coarse = np.random.default_rng(0).integers(0, 256, (hw[0] // 30 + 1, hw[1] // 30 + 1, 3), dtype=np.uint8)
    picture = cv2.resize(coarse, hw[::-1], interpolation=cv2.INTER_CUBIC)
    boxed = letterbox(picture, (320, 320))
    high, wide = (round(side * min(320 / hw[0], 320 / hw[1])) for side in hw)
    expected = cv2.resize(picture, (wide, high), interpolation=cv2.INTER_AREA)
    difference = np.abs(boxed.pixels[:high, :wide].astype(float) - expected)
    assert difference.mean() < 1
    assert difference.max() < 8


def test_boxes_outside_the_picture_end_without_area():
    boxed = letterbox(np.zeros((50, 100, 3), np.uint8), (100, 100))
    found = boxed.to_picture([[10, 60, 30, 90], [-20, 5, -3, 9], [-5, -5, 500, 500]])
    np.testing.assert_allclose(found, [[10, 50, 30, 50], [0, 5, 0, 9], [0, 0, 100, 50]])
    assert boxed.to_picture(np.zeros((0, 4))).shape == (0, 4)


def test_the_picture_is_left_alone_and_need_not_be_contiguous():
    picture = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    view = picture[::2, ::-1]
    boxed = letterbox(view, (32, 32))
    assert np.array_equal(boxed.pixels, letterbox(view.copy(), (32, 32)).pixels)
    boxed.pixels[:] = 0
    assert picture.any()
