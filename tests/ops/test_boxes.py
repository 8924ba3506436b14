"""Suppression of boxes: against a plain loop written from its definition, ties included."""

import numpy as np
import pytest

from lightpose.ops.boxes import iou, nms, to_xywh, to_xyxy


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def plain(boxes: np.ndarray, scores: np.ndarray, limit: float) -> list[int]:
    kept: list[int] = []
    for number in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(overlap(boxes[number].astype(float), boxes[other].astype(float)) <= limit for other in kept):
            kept.append(number)
    return kept


@pytest.mark.parametrize("limit", [0.3, 0.5, 0.6, 1.0])
def test_it_keeps_what_a_plain_loop_keeps(limit: float):
    generator = np.random.default_rng(0)
    for count in (1, 2, 10, 60, 150):
        corner, size = generator.integers(0, 40, (count, 2)), generator.integers(1, 30, (count, 2))
        boxes = np.concatenate([corner, corner + size], 1).astype(np.float32)  # whole numbers: overlaps often tie
        scores = (generator.integers(1, 9, count) / 8).astype(np.float32)
        assert nms(boxes, scores, limit).tolist() == plain(boxes, scores, limit)


def test_overlap_as_large_as_the_limit_is_let_stay():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 5]], np.float32)
    assert nms(boxes, np.array([0.8, 0.9], np.float32), 0.5).tolist() == [1, 0]
    assert nms(boxes, np.array([0.8, 0.9], np.float32), 0.49).tolist() == [1]


def test_no_boxes_stay_none_and_the_input_is_left_alone():
    assert nms(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), 0.5).shape == (0,)
    boxes = np.array([[1, 2, 3, 4]], np.float32)
    nms(boxes, np.ones(1, np.float32), 0.5)
    assert boxes.tolist() == [[1, 2, 3, 4]]


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_corners_and_sides_turn_into_each_other_and_keep_their_type(kind: type):
    xywh = np.array([[1, 2, 3, 4], [-5, 0.5, 10, 0]], kind)
    corners = to_xyxy(xywh)
    assert corners.tolist() == [[1, 2, 4, 6], [-5, 0.5, 5, 0.5]]
    assert to_xywh(corners).tolist() == xywh.tolist()
    assert corners.dtype == to_xywh(corners).dtype == kind
    assert to_xyxy(np.zeros((0, 4), kind)).shape == (0, 4)


def test_iou_is_that_of_a_plain_loop_and_of_crowds_the_share_they_cover():
    corner, size = np.random.default_rng(0).uniform(0, 40, (2, 2, 9, 2))
    one, other = np.concatenate([corner, corner + size], -1)
    expected = np.array([[overlap(a, b) for b in other] for a in one])
    np.testing.assert_allclose(iou(one, other), expected, rtol=1e-12)
    crowd = np.arange(9) % 2 == 0
    mixed = iou(one, other, crowd)
    np.testing.assert_array_equal(mixed[:, ~crowd], iou(one, other)[:, ~crowd])
    np.testing.assert_allclose(
        iou(np.array([[0.0, 0, 10, 10]]), np.array([[5.0, 0, 99, 99]]), np.array([True])), [[0.5]]
    )
