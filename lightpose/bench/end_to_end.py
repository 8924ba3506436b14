"""From an image file to a drawn pose, end to end: the time of each stage, and what it costs beyond the network."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from lightpose.bench.interleave import interleaved
from lightpose.bench.variants import Variant
from lightpose.detect import Detector, FunctionDetector, SideBySideDetector
from lightpose.detect.open import open_detector
from lightpose.errors import ConfigError
from lightpose.inference.estimator import PoseEstimator
from lightpose.inference.folder import predict_images
from lightpose.inference.top_down import PredictOptions, decode_crops, predict_poses, run_network
from lightpose.io.images import decode_image, encode_image
from lightpose.io.sources import find_images
from lightpose.ops.geometry import cut_crops
from lightpose.results import Boxes, draw_poses
from lightpose.runtime import PrecisionName
from lightpose.types import FloatArray, ImageArray, ModelSpec
from lightpose.weights import has_detector
from lightpose.weights.open import PrecisionChoice

__all__ = ["EndToEnd", "can_measure", "measure_end_to_end"]

PICTURE_HW = (720, 1280)
BATCH = 8


@dataclass(frozen=True)
class EndToEnd:
    """Median ms of the stages of one image, one after another, and of an image among many.

    people: in the image. read: decode the file. detect: find people; None without a detector, which is in int8 if the
    network is. network: without flip
    test, batches of up to 8. decode: heatmaps to keypoints. write: encode the drawn image.
    overhead_share: what the stages but `detect`, itself a network, take over the network's time.
    folder_ms: of an image of a folder, in given boxes, with reading and drawing beside the network; files included.
    folder_overhead_share: (folder_ms − network) / network. predict_ms: the same with the detector, as `lightpose
    predict` does it; None without one.
    """

    people: int
    read: float
    detect: float | None
    crop: float
    network: float
    decode: float
    draw: float
    write: float
    overhead_share: float
    folder_ms: float
    folder_overhead_share: float
    predict_ms: float | None = None


@dataclass(frozen=True)
class _Known:
    """A Runtime whose answer is known already, so that what comes after it is all that takes time."""

    spec: ModelSpec
    answer: FloatArray
    name: str = "known"
    precision: PrecisionName = "float32"
    path: Path | None = None

    def heatmaps(self, crops: ImageArray) -> FloatArray:
        return self.answer[: len(crops)]


class _Replaced:
    """A detector at its work, whose boxes are replaced by others."""

    given = False

    def __init__(self, detector: Detector, boxes: Boxes) -> None:
        self._detector, self._boxes = detector, boxes
        self.name, self.path = detector.name, detector.path
        self.threshold, self.min_person_score = None, 0.0
        self.lanes = detector.lanes if isinstance(detector, SideBySideDetector) else 1

    def __call__(self, image: ImageArray, path: Path | None = None) -> Boxes:
        self._detector(image, path)
        return self._boxes

    def find_all(self, images: Sequence[ImageArray]) -> list[Boxes]:
        if isinstance(self._detector, SideBySideDetector):
            self._detector.find_all(images)
            return [self._boxes] * len(images)
        return [self(image) for image in images]

    def image_id(self, path: Path) -> int | None:
        return self._detector.image_id(path)


def can_measure(variant: Variant) -> bool:
    """Whether `lightpose predict` has that engine."""
    return variant.engine in ("onnxruntime", "openvino")


def measure_end_to_end(variant: Variant, people: int, repeats: int, pictures: int = 8) -> EndToEnd:
    """Time the stages of an image with that many people, and a folder of such images, interleaved.

    pictures: in the folder. Raises ConfigError if an argument is below 1.
    """
    if min(people, repeats, pictures) < 1:
        raise ConfigError("people, repeats and pictures must be at least 1 each")
    image, boxes = scene(people)
    content = encode_image(image)
    detector = None
    if has_detector():
        precision: PrecisionChoice = "int8" if variant.precision == "int8" else "float32"
        detector = open_detector("builtin", threads=variant.threads, precision=precision)
    estimator = _estimator(variant, FunctionDetector(lambda _: boxes))
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in"
        source.mkdir()
        for number in range(pictures):
            (source / f"{number:03}.jpg").write_bytes(content)
        works = _stages(estimator, image, content, boxes, detector)
        found = find_images([str(source)])
        works["folder"] = lambda: predict_images(found, estimator, Path(folder) / "out")
        if detector is not None:
            whole = _estimator(variant, _Replaced(detector, boxes))
            works["predict"] = lambda: predict_images(found, whole, Path(folder) / "found")
        taken = dict(zip(works, (one.ms for one in interleaved(list(works.values()), repeats)), strict=True))
    return _end_to_end(people, taken, pictures)


def _estimator(variant: Variant, detector: Detector) -> PoseEstimator:
    assert variant.path is not None
    return PoseEstimator(
        variant.path,
        detector,
        batch=BATCH,
        threads=variant.threads,
        engine="openvino" if variant.engine == "openvino" else "onnxruntime",
        precision=None,
    )


def scene(people: int) -> tuple[ImageArray, Boxes]:
    """A soft image (720, 1280, 3), whose JPEG is as large as a photo's, and boxes of people side by side in rows."""
    generator = np.random.default_rng(0)
    rough = generator.integers(0, 256, (PICTURE_HW[0] // 8, PICTURE_HW[1] // 8, 3), dtype=np.uint8)
    image = cv2.resize(rough, PICTURE_HW[::-1], interpolation=cv2.INTER_CUBIC)
    across = int(np.ceil(np.sqrt(2 * people)))
    down = int(np.ceil(people / across))
    width, height = PICTURE_HW[1] / across, PICTURE_HW[0] / down
    number = np.arange(people)
    left, top = number % across * width, number // across * height
    return image, Boxes(np.stack([left, top, np.full(people, width), np.full(people, height)], -1).astype(np.float32))  # type: ignore[return-value]


def _stages(
    estimator: PoseEstimator, image: ImageArray, content: bytes, boxes: Boxes, detector: Detector | None
) -> dict[str, Callable[[], object]]:
    """The stages as they run in a program, each with the answers of those before it at hand."""
    runtime, spec = estimator.of_crops("stages"), estimator.runtime.spec
    crops = _crop(image, boxes, spec)
    batches = [crops[start : start + BATCH] for start in range(0, len(crops), BATCH)]
    known = _Known(spec, np.concatenate([runtime.heatmaps(batch) for batch in batches]))
    poses = predict_poses(image, boxes, known, PredictOptions(batch=len(boxes)))
    drawn = draw_poses(image, poses, threshold=-np.inf)  # noise has no sure joints; draw them all
    works: dict[str, Callable[[], object]] = {
        "read": partial(decode_image, content),
        "crop": partial(_crop, image, boxes, spec),
        "network": lambda: [run_network(batch, runtime, flip=False) for batch in batches],
        "decode": partial(decode_crops, crops, known, False, [PredictOptions().decoding(spec)]),
        "draw": partial(draw_poses, image, poses, -np.inf),
        "write": partial(encode_image, drawn),
    }
    return works if not callable(detector) else works | {"detect": partial(detector, image)}


def _crop(image: ImageArray, boxes: Boxes, spec: ModelSpec) -> ImageArray:
    return cut_crops(image, boxes.xywh, spec.input_hw, spec.geometry, spec.padding)[0]


def _end_to_end(people: int, taken: dict[str, float], pictures: int) -> EndToEnd:
    own: Sequence[str] = ("read", "crop", "decode", "draw", "write")
    network, folder = taken["network"], taken["folder"] / pictures
    return EndToEnd(
        people=people,
        detect=round(taken["detect"], 3) if "detect" in taken else None,
        network=round(network, 3),
        overhead_share=round(sum(taken[name] for name in own) / network, 4),
        folder_ms=round(folder, 3),
        folder_overhead_share=round(folder / network - 1, 4),
        predict_ms=round(taken["predict"] / pictures, 3) if "predict" in taken else None,
        **{name: round(taken[name], 3) for name in own},
    )
