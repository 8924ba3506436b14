"""A picture in, poses out: what most programs want."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from lightpose.detect import Detector, check_threshold
from lightpose.detect.coco_json import BoxFile, read_boxes
from lightpose.detect.whole_image import whole_image
from lightpose.errors import BoxesError, ConfigError, ShapeError, WeightsError
from lightpose.images import read_image
from lightpose.oks import oks_nms
from lightpose.predict import PredictOptions, predict_poses
from lightpose.runtime import EngineName, ModeName, Runtime
from lightpose.types import Boxes, DecoderName, FloatArray, ImageArray, Poses
from lightpose.weights import DEFAULT, DETECTOR, find_weights, has_detector

__all__ = ["PoseEstimator", "open_detector", "open_runtime"]

SAME_PERSON = 0.6
"""OKS above which two poses that were found are taken for one person's."""

_ENGINES: dict[str, tuple[EngineName, ...]] = {".safetensors": ("torch",), ".xml": ("openvino",)}
"""The engines that can run a kind of file, the usual one first."""


def open_runtime(
    model: str | Path = DEFAULT, threads: int = 0, engine: EngineName = "auto", mode: ModeName = "latency"
) -> Runtime:
    """A network ready to run: bundled weights by name, or an .onnx, .xml (OpenVINO) or .safetensors (PyTorch) file.

    threads: 0 for one on each usable core. engine: auto is ONNX Runtime for .onnx files, which OpenVINO can run too.
    mode: throughput is OpenVINO's. Raises WeightsError if there is no such file or it is damaged, ConfigError if the
    engine cannot run it, MissingPackageError if the engine is not installed.
    """
    path = find_weights(model)
    if path.suffix in (".pt", ".pth"):
        raise WeightsError(
            f"{path} is a checkpoint; give a run's best.safetensors; another project's needs lightpose weights import"
        )
    able = _ENGINES.get(path.suffix, ("onnxruntime", "openvino"))
    chosen = able[0] if engine == "auto" else engine
    if chosen not in able:
        other = ", or export it: lightpose export" if path.suffix == ".safetensors" else ""
        raise ConfigError(f"{path} cannot be run by {engine}; use {' or '.join(able)}{other}")
    if mode != "latency" and chosen != "openvino":
        raise ConfigError(f"mode {mode} is for the engine openvino, not {chosen}; leave it out or choose that engine")
    if chosen == "torch":
        from lightpose.runtime.torch import TorchRuntime, limit_threads
        from lightpose.weights.network import load_network

        limit_threads(threads)
        return TorchRuntime(*load_network(path))
    if chosen == "openvino":
        from lightpose.runtime.openvino import OpenVinoRuntime

        return OpenVinoRuntime(path, threads, mode)
    from lightpose.runtime.onnx import OnnxRuntime

    return OnnxRuntime(path, threads)


def open_detector(
    detector: str | Path | None = None, threshold: float | None = None, threads: int = 0
) -> Detector | BoxFile:
    """What finds the people of a picture: `builtin`, `whole` (the picture is one person), or a file.

    detector: the file is a detector (.onnx), or boxes by picture (.json); not given, it is builtin, or whole in a copy
    of lightpose that brings no detector. threshold: least score of a detector's box; the file's own if not given.
    Raises WeightsError or BoxesError if the file cannot be used, ConfigError if it is of neither kind.
    """
    which = str(detector or ("builtin" if has_detector() else "whole"))
    if which == "whole":
        return whole_image
    if which.lower().endswith(".json"):
        return read_boxes(which)
    if which == "builtin" and not has_detector():
        raise WeightsError("this copy of lightpose brings no detector; give the file of one, or whole")
    if which != "builtin" and not which.lower().endswith(".onnx"):
        raise ConfigError(f"detector {which!r} is unknown; use builtin, whole, or an .onnx or .json file")
    from lightpose.detect.onnx import OnnxDetector

    return OnnxDetector(find_weights(DETECTOR if which == "builtin" else which), threshold, threads)


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
        sure = poses.only(poses.scores >= self.least_score)
        if isinstance(self.detector, BoxFile):
            return sure
        areas = sure.boxes.xywh[:, 2:].prod(axis=1)
        return sure.only(np.sort(oks_nms(sure.keypoints, sure.scores, areas, sure.skeleton.sigmas, SAME_PERSON)))

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
