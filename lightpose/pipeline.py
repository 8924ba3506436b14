"""A picture in, poses out: what most programs want."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from lightpose.detect import Detector
from lightpose.detect.whole_image import whole_image
from lightpose.errors import ShapeError
from lightpose.images import read_image
from lightpose.predict import PredictOptions, predict_poses
from lightpose.runtime import Runtime
from lightpose.types import Boxes, DecoderName, FloatArray, ImageArray, Poses
from lightpose.weights import DEFAULT, find_weights

__all__ = ["PoseEstimator", "open_runtime"]


def open_runtime(model: str | Path = DEFAULT, threads: int = 0) -> Runtime:
    """A network ready to run: bundled weights by name, an .onnx file (ONNX Runtime) or a .safetensors file (PyTorch).

    threads: 0 for one on each physical core. Raises WeightsError if there is no such file or it is damaged.
    """
    path = find_weights(model)
    if path.suffix == ".safetensors":
        from lightpose.runtime.torch import TorchRuntime
        from lightpose.weights.network import load_network

        return TorchRuntime(*load_network(path))
    from lightpose.runtime.onnx import OnnxRuntime

    return OnnxRuntime(path, threads)


class PoseEstimator:
    """Finds the keypoints of the people in pictures.

        poses = PoseEstimator().predict("photo.jpg")
        poses.keypoints  # (people, joints, 3): x, y in pixels, score

    model: bundled weights by name, or a weights file. detector: finds the people where no boxes are given; by default
    the whole picture is taken as one person. flip, decoder, beta, batch: see PredictOptions.
    """

    def __init__(
        self,
        model: str | Path = DEFAULT,
        detector: Detector = whole_image,
        *,
        flip: bool = False,
        decoder: DecoderName | None = None,
        beta: float | None = None,
        batch: int = 8,
        threads: int = 0,
    ) -> None:
        self.options = PredictOptions(flip, decoder, beta, batch)
        self.detector = detector
        self.runtime = open_runtime(model, threads)

    def predict(self, image: str | Path | ImageArray, boxes: Boxes | ArrayLike | None = None) -> Poses:
        """Poses of one picture, in the order of the boxes.

        image: a file, read upright, or an RGB array (H, W, 3) uint8. boxes: (N, 4) left, top, width, height in pixels.
        Raises ImageError, ShapeError or BoxesError if the picture or a box cannot be used.
        """
        pixels = image if isinstance(image, np.ndarray) else read_image(image)
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or 0 in pixels.shape:
            raise ShapeError(f"a picture must be RGB uint8 of shape (H, W, 3); got {pixels.dtype} {pixels.shape}")
        found = self.detector(pixels) if boxes is None else boxes
        people = found if isinstance(found, Boxes) else Boxes(cast("FloatArray", found))
        return predict_poses(pixels, people, self.runtime, self.options)
