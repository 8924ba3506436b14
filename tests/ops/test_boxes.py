"""Suppression of boxes: against a plain loop written from its definition, ties included."""

import numpy as np
import pytest

from lightpose.ops.boxes import nms


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def plain(boxes: np.ndarray, scores: np.ndarray, iou: float) -> list[int]:
    kept: list[int] = []
    for number in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(overlap(boxes[number].astype(float), boxes[other].astype(float)) <= iou for other in kept):
            kept.append(number)
    return kept


@pytest.mark.parametrize("iou", [0.3, 0.5, 0.6, 1.0])
def test_it_keeps_what_a_plain_loop_keeps(iou: float):
    generator = np.random.default_rng(0)
    for count in (1, 2, 10, 60, 150):
        corner, size = generator.integers(0, 40, (count, 2)), generator.integers(1, 30, (count, 2))
        boxes = np.concatenate([corner, corner + size], 1).astype(np.float32)  # whole numbers: overlaps often tie
        scores = (generator.integers(1, 9, count) / 8).astype(np.float32)
        assert nms(boxes, scores, iou).tolist() == plain(boxes, scores, iou)


def test_overlap_as_large_as_the_limit_is_let_stay():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 5]], np.float32)
    assert nms(boxes, np.array([0.8, 0.9], np.float32), 0.5).tolist() == [1, 0]
    assert nms(boxes, np.array([0.8, 0.9], np.float32), 0.49).tolist() == [1]


def test_no_boxes_stay_none_and_the_input_is_left_alone():
    assert nms(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), 0.5).shape == (0,)
    boxes = np.array([[1, 2, 3, 4]], np.float32)
    nms(boxes, np.ones(1, np.float32), 0.5)
    assert boxes.tolist() == [[1, 2, 3, 4]]
