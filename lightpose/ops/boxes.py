"""One box for each person: non-maximum suppression."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from lightpose.types import FloatArray

__all__ = ["nms"]


def nms(boxes_xyxy: FloatArray, scores: FloatArray, iou: float) -> NDArray[np.intp]:
    """Greedy suppression: by falling score, a box goes if its overlap with one that stayed is above `iou`.

    boxes_xyxy: (N, 4). scores: (N,), at least 0; a box that scores 0 goes too. iou: intersection over union. Returns
    the numbers of those that stay, best first, equal ones in their order.
    """
    xywh = boxes_xyxy.astype(np.float64)
    xywh[:, 2:] -= xywh[:, :2]
    kept = cv2.dnn.NMSBoxes(xywh, scores.astype(np.float32), 0.0, iou)  # type: ignore[arg-type]
    return np.array(kept, np.intp).reshape(-1)
