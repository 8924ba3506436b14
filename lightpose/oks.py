"""Object keypoint similarity, the suppression of duplicate poses by it, and the score of a whole person."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lightpose.types import FloatArray

__all__ = ["oks", "oks_nms", "person_scores"]


def oks(
    points: ArrayLike, others: ArrayLike, areas: ArrayLike, sigmas: ArrayLike, counted: ArrayLike
) -> NDArray[np.float64]:
    """Object keypoint similarity of every pose with every other (COCO's definition, cocodataset.org, keypoints-eval).

    points: (N, K, 2); others: (M, K, 2), pixels. areas: (M,) in square pixels. sigmas: (K,).
    counted: (M, K) bool, the joints to compare. Returns (N, M) in [0, 1]; 0 where no joint counts.
    """
    a, b = np.asarray(points, np.float64), np.asarray(others, np.float64)
    use = np.asarray(counted, bool)
    variance = (2 * np.asarray(sigmas, np.float64)) ** 2
    distance = ((a[:, None] - b[None]) ** 2).sum(-1)
    spread = 2 * variance * (np.asarray(areas, np.float64)[:, None] + np.spacing(1))
    similar = np.exp(-distance / spread) * use
    total: NDArray[np.float64] = similar.sum(-1) / np.maximum(use.sum(-1), 1)
    return total


def oks_nms(
    keypoints: FloatArray, scores: FloatArray, areas: FloatArray, sigmas: ArrayLike, threshold: float = 0.9
) -> NDArray[np.intp]:
    """Keep the best of each group of near-equal poses: greedy, by falling score, as in SimpleBaseline's evaluation.

    keypoints: (N, K, 3). scores, areas: (N,). A pose goes if its OKS with a kept one is above the threshold, under
    the mean of the two areas. Returns the numbers of those kept, best first.
    """
    order = np.argsort(-np.asarray(scores), kind="stable")
    points, size = np.asarray(keypoints, np.float64)[..., :2], np.asarray(areas, np.float64)
    everything = np.ones(points.shape[1], bool)
    kept = []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        mean_area = (size[best] + size[order]) / 2
        others = np.broadcast_to(everything, (len(order), len(everything)))
        order = order[oks(points[best : best + 1], points[order], mean_area, sigmas, others)[0] <= threshold]
    return np.array(kept, dtype=np.intp)


def person_scores(keypoints: FloatArray, box_scores: FloatArray, threshold: float = 0.2) -> FloatArray:
    """Box score times the mean of the keypoint scores above the threshold; 0 if none is.

    keypoints: (N, K, 3). box_scores: (N,). Returns (N,) float32.
    """
    scores = keypoints[..., 2]
    sure = scores > threshold
    mean = (scores * sure).sum(-1) / np.maximum(sure.sum(-1), 1)
    result: FloatArray = (np.asarray(box_scores, np.float32) * mean).astype(np.float32)
    return result
