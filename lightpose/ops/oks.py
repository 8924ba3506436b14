"""Object keypoint similarity, the suppression of duplicate poses by it, and the score of a whole person."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lightpose.types import FloatArray

__all__ = ["oks", "oks_nms", "person_scores", "similarity", "soft_oks_nms"]

SOFT_NMS_KEEPS = 20
"""How many poses of an image soft OKS-NMS keeps: as many as COCO's evaluation looks at."""


def similarity(distances2: ArrayLike, areas: ArrayLike, sigmas: ArrayLike) -> NDArray[np.float64]:
    """Keypoint similarity, exp(-d² / (2 · area · (2 sigma)²)), of which OKS is the mean (cocodataset.org).

    distances2: (..., K) squared pixels. areas: (...) square pixels, one for each row of joints. sigmas: (K,).
    Returns (..., K) in [0, 1].
    """
    variance = (2 * np.asarray(sigmas, np.float64)) ** 2
    spread = 2 * variance * (np.asarray(areas, np.float64)[..., None] + np.spacing(1))
    similar: NDArray[np.float64] = np.exp(-np.asarray(distances2, np.float64) / spread)
    return similar


def oks(
    points: ArrayLike, others: ArrayLike, areas: ArrayLike, sigmas: ArrayLike, counted: ArrayLike
) -> NDArray[np.float64]:
    """Object keypoint similarity of every pose with every other (COCO's definition, cocodataset.org, keypoints-eval).

    points: (N, K, 2); others: (M, K, 2), pixels. areas: (M,) in square pixels. sigmas: (K,).
    counted: (M, K) bool, the joints to compare. Returns (N, M) in [0, 1]; 0 where no joint counts.
    """
    a, b = np.asarray(points, np.float64), np.asarray(others, np.float64)
    use = np.asarray(counted, bool)
    similar = similarity(((a[:, None] - b[None]) ** 2).sum(-1), areas, sigmas) * use
    total: NDArray[np.float64] = similar.sum(-1) / np.maximum(use.sum(-1), 1)
    return total


def oks_nms(
    keypoints: FloatArray, scores: FloatArray, areas: ArrayLike, sigmas: ArrayLike, threshold: float = 0.9
) -> NDArray[np.intp]:
    """Keep the best of each group of near-equal poses: greedy, by falling score, as in SimpleBaseline's evaluation.

    keypoints: (N, K, 3). scores, areas: (N,). A pose goes if its OKS with a kept one is above the threshold, under
    the mean of the two areas. Returns the numbers of those kept, best first.
    """
    order = np.argsort(-np.asarray(scores), kind="stable")
    kept = []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        order = order[_oks_of_pair(keypoints, areas, sigmas, best, order) <= threshold]
    return np.array(kept, dtype=np.intp)


def soft_oks_nms(
    keypoints: FloatArray, scores: FloatArray, areas: ArrayLike, sigmas: ArrayLike, threshold: float = 0.9
) -> NDArray[np.intp]:
    """Choose the best poses of an image, each lowering the rank of those near it, as in HRNet's evaluation.

    Arguments as for `oks_nms`. Each choice multiplies the scores of the rest by exp(-OKS² / threshold); the lowered
    scores decide the order of choosing alone, the poses keep their own. Returns the numbers of the first
    `SOFT_NMS_KEEPS`, in the order they were chosen in; up to that many poses it therefore drops nobody.
    """
    left = np.arange(len(keypoints))
    lowered = np.array(scores, np.float64)
    kept: list[int] = []
    while len(left) and len(kept) < SOFT_NMS_KEEPS:
        best = int(left[np.argmax(lowered[left])])
        kept.append(best)
        left = left[left != best]
        lowered[left] *= np.exp(-(_oks_of_pair(keypoints, areas, sigmas, best, left) ** 2) / threshold)
    return np.array(kept, dtype=np.intp)


def _oks_of_pair(
    keypoints: FloatArray, areas: ArrayLike, sigmas: ArrayLike, one: int, others: NDArray[np.intp]
) -> NDArray[np.float64]:
    """OKS (M,) of pose number `one` with `others`, every joint counted, under the mean of the two areas."""
    points, size = np.asarray(keypoints, np.float64)[..., :2], np.asarray(areas, np.float64)
    distances2 = ((points[others] - points[one]) ** 2).sum(-1)
    mean: NDArray[np.float64] = similarity(distances2, (size[one] + size[others]) / 2, sigmas).mean(-1)
    return mean


def person_scores(keypoints: FloatArray, box_scores: FloatArray, threshold: float = 0.2) -> FloatArray:
    """Box score times the mean of the keypoint scores above the threshold; 0 if none is.

    keypoints: (N, K, 3). box_scores: (N,). Returns (N,) float32.
    """
    scores = keypoints[..., 2]
    sure = scores > threshold
    mean = (scores * sure).sum(-1) / np.maximum(sure.sum(-1), 1)
    result: FloatArray = (np.asarray(box_scores, np.float32) * mean).astype(np.float32)
    return result
