"""Person detectors in ONNX files: lightpose's own, and other projects' (see `layouts`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightpose.detect import check_threshold
from lightpose.detect.layouts import Found, Outputs, Pixels, Probe, find_layout, of_one_image, read_literal
from lightpose.errors import WeightsError
from lightpose.ops.boxes import nms, to_xywh
from lightpose.ops.letterbox import PAD, letterbox
from lightpose.results import Boxes, number_in_name
from lightpose.runtime import PrecisionName
from lightpose.runtime.devices import CPU
from lightpose.runtime.onnx import Session, SplitSession, read_ap_loss
from lightpose.types import LARGEST_SIDE, SOURCE_KEY, SPEC_KEY, DetectorSpec, FloatArray, ImageArray

__all__ = ["OnnxDetector"]

THRESHOLD = 0.3
"""Least score of a box where the file does not say."""
NMS_IOU = 0.6
"""Overlap above which two boxes are taken for one person's."""
OPEN_SIDE = 640
"""Sides of the input where the file leaves them open: what most detectors were trained with."""
TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}


class OnnxDetector:
    """Finds the people of an image with a detector from an ONNX file, run by ONNX Runtime.

    threshold: least score of a box, in [0, 1]; the file's own if not given. threads: 0 for one on each usable core.
    device: as `find_device` gives it, none of OpenVINO's. min_person_score: of a person, see DetectorSpec; 0 where the
    file does not say. name: what a report calls it. precision: float32, or int8 for a file that `lightpose quantize`
    made. made_from: SHA-256 of the file that an int8 one was made from. ap_loss: points of box AP that it lost, NaN if
    unknown. Raises WeightsError if the file is missing, damaged, or no person detector that is known.
    """

    given = False

    def __init__(self, path: str | Path, threshold: float | None = None, threads: int = 0, device: str = CPU) -> None:
        check_threshold(threshold)
        self.path = Path(path)
        self._sessions = SplitSession(self.path, threads, device)
        metadata = self._sessions.first.metadata
        self.made_from, self.ap_loss = metadata.get(SOURCE_KEY), read_ap_loss(metadata)
        self.precision: PrecisionName = "float32" if self.made_from is None else "int8"
        with _naming(self.path):
            spec = DetectorSpec.from_json(metadata[SPEC_KEY]) if SPEC_KEY in metadata else None
            self._input = _Input(self._sessions.first.inputs, metadata)
            self._layout = find_layout(Probe(self.path.stem, self._input.hw, metadata, self._probe()))
            self._person = self._layout.person_class(metadata)
        self._pad = PAD if spec is None else spec.pad
        default = THRESHOLD if spec is None else spec.threshold
        self.threshold = default if threshold is None else threshold
        self.min_person_score = 0.0 if spec is None else spec.min_person_score
        self.name = f"{self.path.name} ({self._layout.name})"

    def __call__(self, image: ImageArray, path: Path | None = None) -> Boxes:  # noqa: ARG002 - it sees pixels alone
        """People of an RGB image, the surest first. Raises WeightsError if the network gives no finite numbers."""
        return self._find(image, self._sessions.together)

    @property
    def lanes(self) -> int:
        """How many threads there are."""
        return self._sessions.lanes.count

    def find_all(self, images: Sequence[ImageArray]) -> list[Boxes]:
        """People of each image; each thread takes whole images, which is faster than all threads on one."""
        if len(images) == 1:
            return [self(images[0])]
        return self._sessions.lanes.map(lambda image: self._find(image, self._sessions.first), images)

    def _find(self, image: ImageArray, session: Session) -> Boxes:
        boxed = letterbox(image, self._input.hw, self._pad)
        with _naming(self.path), np.errstate(all="ignore"):  # infinities are looked for in what comes of them
            outputs = of_one_image(self._run(self._input.tensor(boxed.pixels, self._layout.pixels), session))
            xyxy, scores = self._choose(self._decode(outputs))
        xywh = to_xywh(boxed.to_picture(xyxy))
        seen = (xywh[:, 2:] >= 1).all(axis=1)  # what is left of a box in the grey is no person
        return Boxes(xywh[seen], scores[seen])

    def image_id(self, path: Path) -> int | None:
        """The number that the image is named by, if it is."""
        return number_in_name(path)

    def _decode(self, outputs: Outputs) -> Found:
        """Boxes and scores of what the network gives for one image."""
        try:
            return self._layout.decode(outputs, self._person, self._input.hw)
        except (ValueError, IndexError) as error:
            shapes = ", ".join(f"{name} {value.shape}" for name, value in outputs.items())
            raise WeightsError(f"what it gives does not fit its input or itself: {shapes}") from error

    def _choose(self, found: Found) -> tuple[FloatArray, FloatArray]:
        """Of all boxes those that score enough, one a person, best first."""
        xyxy, scores = (np.asarray(value, np.float32) for value in found)
        if xyxy.shape != (len(scores), 4):
            raise WeightsError(f"it gives boxes of shape {xyxy.shape} and scores of shape {scores.shape} for one image")
        sure = scores >= self.threshold
        if not (np.isfinite(xyxy[sure]).all() and np.isfinite(scores).all()):
            raise WeightsError("its boxes are not finite numbers, so its weights are damaged")
        sure &= (xyxy[:, 2:] > xyxy[:, :2]).all(axis=1)
        xyxy, scores = xyxy[sure], np.clip(scores[sure], 0, 1)
        order = np.argsort(-scores, kind="stable") if self._layout.suppressed else nms(xyxy, scores, NMS_IOU)
        return xyxy[order], scores[order]

    def _probe(self) -> Outputs:
        """What the network gives for a grey image."""
        grey = np.full((*self._input.hw, 3), PAD, np.uint8)
        return self._run(self._input.tensor(grey, Pixels()), self._sessions.first)

    def _run(self, tensor: NDArray[Any], session: Session) -> Outputs:
        try:
            values = session.run({self._input.name: tensor})
        except WeightsError as error:
            height, width = self._input.hw
            reason = type(error.__cause__).__name__
            raise WeightsError(f"it cannot be run on an image of {width}x{height} ({reason})") from error
        names = [output.name for output in session.outputs]
        strange = [name for name, value in zip(names, values, strict=True) if not _is_numbers(value)]
        if strange:
            raise WeightsError(f"it is no person detector: its output {strange[0]} is no array of numbers")
        return dict(zip(names, values, strict=True))


class _Input:
    """What a graph takes: one image of some size, type and order of dimensions."""

    def __init__(self, inputs: Sequence[Any], metadata: Mapping[str, str]) -> None:
        given = ", ".join(f"{one.name} {one.type} {one.shape}" for one in inputs)
        if not inputs:
            raise WeightsError("it is no person detector: it takes no image")
        first = inputs[0]
        shape = list(first.shape)
        self.batched = len(shape) == 4
        sides = shape[1:] if self.batched else shape
        self.channels_last = len(sides) == 3 and sides[2] == 3 and sides[0] != 3
        wanted = len(inputs) == 1 and first.type in TYPES and len(sides) == 3 and 3 in (sides[0], sides[2])
        if not wanted or (self.batched and isinstance(shape[0], int) and shape[0] > 1):
            raise WeightsError(f"it is no person detector that takes one image at a time: its input is {given}")
        self.name, self.type = first.name, TYPES[first.type]
        height, width = sides[:2] if self.channels_last else sides[1:]
        open_hw = _open_size(metadata)
        self.hw = (
            height if isinstance(height, int) else open_hw[0],
            width if isinstance(width, int) else open_hw[1],
        )
        if not all(1 <= side <= LARGEST_SIDE for side in self.hw):
            raise WeightsError(f"its input has {self.hw[0]}x{self.hw[1]} pixels; sides are at most {LARGEST_SIDE}")

    def tensor(self, pixels: ImageArray, way: Pixels) -> NDArray[Any]:
        """An RGB image (H, W, 3) as the network wants it."""
        tensor: NDArray[Any] = pixels
        if self.type != np.uint8:  # graphs that take bytes normalise by themselves
            ordered = pixels[..., ::-1] if way.color_order == "bgr" else pixels
            mean, std = np.array(way.mean, np.float32), np.array(way.std, np.float32)
            tensor = ((ordered - mean) / std).astype(self.type, copy=False)
        if not self.channels_last:
            tensor = tensor.transpose(2, 0, 1)
        return np.ascontiguousarray(tensor[None] if self.batched else tensor)


def _is_numbers(value: object) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "fiub"


def _open_size(metadata: Mapping[str, str]) -> tuple[int, int]:
    """Height and width for a graph that leaves them open: those it was exported with, where it says so."""
    try:
        height, width = (int(side) for side in read_literal(metadata, "imgsz"))
    except (ValueError, TypeError):
        return OPEN_SIDE, OPEN_SIDE
    if not all(32 <= side <= LARGEST_SIDE for side in (height, width)):
        raise WeightsError(f"its metadata says imgsz {height}x{width}; sides are from 32 to {LARGEST_SIDE}")
    return height, width


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Put the file's name before what is wrong with it."""
    try:
        yield
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
