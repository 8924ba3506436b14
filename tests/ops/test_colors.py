"""Colours of boxes: alike for the same clothes, unlike for others, whatever the size."""

import numpy as np
import pytest

from lightpose.ops.colors import COLORS, color_vectors

RED, GREEN, BLUE = [200, 30, 30], [30, 200, 30], [30, 30, 200]


def dressed(*people: tuple[list[float], list[int], list[int]], hw: tuple[int, int] = (300, 400)) -> np.ndarray:
    """A grey image with people (box, colour of the upper half, colour of the lower half)."""
    image = np.full((*hw, 3), 120, np.uint8)
    for (x, y, width, height), upper, lower in people:
        left, right = round(max(x, 0)), round(x + width)
        image[round(max(y, 0)) : round(y + height / 2), left:right] = upper
        image[round(y + height / 2) : round(y + height), left:right] = lower
    return image


def test_vectors_have_length_1_and_count_both_halves_apart():
    boxes = [[20, 30, 60, 160], [200, 30, 60, 160], [300, 30, 60, 160]]
    image = dressed((boxes[0], RED, BLUE), (boxes[1], BLUE, RED), (boxes[2], RED, GREEN))
    vectors = color_vectors(image, boxes)
    assert vectors.shape == (3, COLORS)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1)
    np.testing.assert_allclose(vectors @ vectors.T, [[1, 0, 0.5], [0, 1, 0], [0.5, 0, 1]], atol=1e-12)


def test_a_case_worked_by_hand():
    """Half of the upper half is red, the rest black. Red is bin 48 of the upper half, black 0, in the lower half 64."""
    image = np.zeros((40, 40, 3), np.uint8)
    image[:20, :20] = [255, 0, 0]
    vector = color_vectors(image, [[0, 0, 40, 40]])[0]
    expected = np.zeros(COLORS)
    expected[[0, 48, 64]] = np.sqrt([0.25, 0.25, 0.5])
    np.testing.assert_allclose(vector, expected)


def test_size_and_ground_do_not_matter():
    near, far = [10, 10, 120, 280], [200, 100, 30, 70]
    image = dressed((near, RED, BLUE), (far, RED, BLUE))
    wide = [[x - 0.2 * width, y, 1.4 * width, height] for x, y, width, height in (near, far)]  # ground at both sides
    for boxes in ([near, far], wide):
        first, second = color_vectors(image, boxes)
        assert first @ second > 0.99


@pytest.mark.parametrize("box", [[-50, -20, 100, 100], [390, 290, 50, 50], [900, 900, 10, 10], [50, 50, 0, 0]])
def test_boxes_over_the_edge_have_colours_too(box: list[float]):
    vectors = color_vectors(dressed(), [box])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1)


def test_nobody_has_no_colours_and_the_image_is_left_alone():
    image = dressed()
    image.setflags(write=False)
    assert color_vectors(image, np.zeros((0, 4))).shape == (0, COLORS)
    assert color_vectors(image[::2, ::-1], [[0, 0, 50, 50]]).shape == (1, COLORS)
