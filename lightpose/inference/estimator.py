"""A picture in, poses out: what most programs want."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from lightpose.detect import Detector, check_threshold
from lightpose.detect.box_file import BoxFile
from lightpose.detect.open import open_detector
from lightpose.errors import BoxesError, ShapeError
from lightpose.inference.top_down import PredictOptions, predict_poses
from lightpose.io.images import read_image
from lightpose.ops.oks import oks_nms
from lightpose.results import Boxes, Poses
from lightpose.runtime import EngineName, ModeName
from lightpose.types import DecoderName, FloatArray, ImageArray
from lightpose.weights import DEFAULT
from lightpose.weights.open import open_runtime

__all__ = ["PoseEstimator"]

SAME_PERSON = 0.6
"""OKS above which two poses that were found are taken for one person's."""


class PoseEstimator:
    """Finds the keypoints of the people in pictures.

        poses = PoseEstimator().predict("photo.jpg")
        poses.keypoints  # (people, joints, 3): x, y in pixels, score

    model: bundled weights by name, or a weights file. detector: finds the people where no boxes are given, any function
    from an RGB picture to `Boxes`, or what `open_detector` takes. detector_threshold: least score of a box that is
    found; the detector's own if not given. least_score: of a person who was found, joints included; the detector's own
    if not given, and none where boxes are. flip, decoder, beta, batch, padding: see PredictOptions. threads, engine,
    mode: see open_runtime.
    """

    def __init__(
        self,
        model: str | Path = DEFAULT,
        detector: Detector | BoxFile | str | Path | None = None,
        *,
        detector_threshold: float | None = None,
        least_score: float | None = None,
        flip: bool = False,
        decoder: DecoderName | None = None,
        beta: float | None = None,
        batch: int = 8,
        padding: float | None = None,
        threads: int = 0,
        engine: EngineName = "auto",
        mode: ModeName = "latency",
    ) -> None:
        check_threshold(detector_threshold)
        check_threshold(least_score, "the least score of a person")
        self.options = PredictOptions(flip, decoder, beta, batch, padding)
        if detector is None or isinstance(detector, str | Path):
            detector = open_detector(detector, detector_threshold, threads)
        self.detector = detector
        self.detector_threshold = detector_threshold
        self.least_score: float = getattr(detector, "least_score", 0.0) if least_score is None else least_score
        self.runtime = open_runtime(model, threads, engine, mode)

    def predict(self, image: str | Path | ImageArray, boxes: Boxes | ArrayLike | None = None) -> Poses:
        """Poses of one picture, in the order of the boxes; none where nobody is found.

        image: a file, read upright, or an RGB array (H, W, 3) uint8. boxes: (N, 4) left, top, width, height in pixels.
        Raises ImageError, ShapeError or BoxesError if the picture or a box cannot be used.
        """
        path = Path(image) if isinstance(image, str | Path) else None
        pixels = image if path is None else read_image(path)
        if not isinstance(pixels, np.ndarray):
            raise ShapeError(f"predict takes one picture, a file's name or an RGB array, not a {type(image).__name__}")
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or 0 in pixels.shape:
            raise ShapeError(f"a picture must be RGB uint8 of shape (H, W, 3); got {pixels.dtype} {pixels.shape}")
        found = self.find_people(pixels, path) if boxes is None else boxes
        people = found if isinstance(found, Boxes) else Boxes(cast("FloatArray", found))
        poses = predict_poses(pixels, people, self.runtime, self.options)
        return self.choose(poses) if boxes is None else poses

    def choose(self, poses: Poses) -> Poses:
        """Those that count of the poses in boxes that were found, in their order.

        Left out is who scores less than the least and, where a detector found the boxes, who has nearly the pose of
        somebody that scores more. Boxes in a file are taken to be those of different people.
        """
        sure = poses[poses.scores >= self.least_score]
        if isinstance(self.detector, BoxFile):
            return sure
        areas = sure.boxes.xywh[:, 2:].prod(axis=1)
        return sure[np.sort(oks_nms(sure.keypoints, sure.scores, areas, sure.skeleton.sigmas, SAME_PERSON))]

    def find_people(self, image: ImageArray, path: Path | None = None) -> Boxes:
        """People of an RGB picture, as the detector finds them. path: the picture's, by which a file of boxes goes."""
        if not isinstance(self.detector, BoxFile):
            found = self.detector(image)
        elif path is None:
            raise BoxesError("a file of boxes goes by the names of pictures; give a picture's file, or its boxes")
        else:
            found = self.detector.boxes(path.absolute())
        if self.detector_threshold is None:
            return found
        sure = found.scores >= self.detector_threshold
        return Boxes(found.xywh[sure], found.scores[sure])
