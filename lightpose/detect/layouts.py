"""How detectors lay out their ONNX files: what goes in, what comes out, and how to tell. One row of `LAYOUTS` for each.

A file is recognised by what it gives for a grey image, since declared shapes are often open. To support another kind,
write a test and a reader for it, and add a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightpose.errors import WeightsError
from lightpose.runtime.graph import Outputs, Pixels, grid_cells, person_class
from lightpose.types import SPEC_KEY, FloatArray

__all__ = ["LAYOUTS", "Found", "Layout", "Probe", "find_layout", "of_one_image"]

_PIXELS_RGB = Pixels()
Found = tuple[FloatArray, FloatArray]
"""Boxes (M, 4) left, top, right, bottom in input pixels, and scores (M,) in [0, 1], of persons."""


@dataclass(frozen=True)
class Probe:
    """What an ONNX file shows of itself. stem: its name. given: its outputs for a grey image, as they are."""

    stem: str
    input_hw: tuple[int, int]
    metadata: Mapping[str, str]
    given: Outputs

    @property
    def outputs(self) -> Outputs:
        """Those of the one image."""
        return of_one_image(self.given)

    def first(self) -> tuple[int, ...]:
        """Shape of the first output."""
        return next(iter(self.outputs.values())).shape

    def cells(self) -> set[int]:
        """How many places a one-stage detector has, over the strides that are usual."""
        return grid_cells(self.input_hw)


@dataclass(frozen=True)
class Layout:
    """A kind of file.

    decode: one image's outputs, number of the class of persons and input size → what was found. person: that class
    where the file does not name its classes. suppressed: whether non-maximum suppression is done in the graph.
    """

    name: str
    recognise: Callable[[Probe], bool]
    decode: Callable[[Outputs, int, tuple[int, int]], Found]
    pixels: Pixels = _PIXELS_RGB
    person: int = 0
    suppressed: bool = False

    def person_class(self, metadata: Mapping[str, str]) -> int:
        """Number of the class of persons. Raises WeightsError if the file names its classes, and none is it."""
        return person_class(metadata, self.person)


def is_batched(outputs: Outputs) -> bool:
    """Whether the first dimension is the batch's: it is not if an output is a list, or if none is more than a table."""
    ranks = [value.ndim for value in outputs.values()]
    return min(ranks, default=0) > 1 and max(ranks) > 2


def of_one_image(outputs: Outputs) -> Outputs:
    """The outputs without the batch's dimension. Raises WeightsError if there is nothing in it."""
    if not is_batched(outputs):
        return outputs
    if not all(len(value) for value in outputs.values()):
        raise WeightsError("it gives nothing for an image, not even an empty list of boxes")
    return {name: value[0] for name, value in outputs.items()}


def find_layout(probe: Probe) -> Layout:
    """The row of `LAYOUTS` that a file is of. Raises WeightsError, naming what the file gives, if it is of none."""
    found = next((layout for layout in LAYOUTS if layout.recognise(probe)), None)
    if found is None:
        given = ", ".join(f"{name} {value.shape}" for name, value in probe.given.items())
        known = ", ".join(dict.fromkeys(layout.name for layout in LAYOUTS))
        raise WeightsError(f"it is no person detector of a known kind: it gives {given}; known are {known}")
    return found


def _corners(centers: NDArray[Any], sizes: NDArray[Any]) -> FloatArray:
    corners: FloatArray = np.concatenate([centers - sizes / 2, centers + sizes / 2], axis=1).astype(np.float32)
    return corners


def _ours(outputs: Outputs, _: int, __: tuple[int, int]) -> Found:
    return outputs["boxes"], outputs["scores"]


def _with_objectness(outputs: Outputs, person: int, _: tuple[int, int]) -> Found:
    """(M, 5 + classes): centre, size, objectness, classes."""
    rows = next(iter(outputs.values()))
    return _corners(rows[:, :2], rows[:, 2:4]), rows[:, 4] * rows[:, 5 + person]


def _yolox_raw(outputs: Outputs, person: int, input_hw: tuple[int, int]) -> Found:
    """The same, centres as offsets from a place of the grid in strides, sizes as logarithms of strides."""
    rows = next(iter(outputs.values()))
    places, sizes = [], []
    for stride in (8, 16, 32):
        y, x = np.mgrid[: input_hw[0] // stride, : input_hw[1] // stride]
        places.append(np.stack([x.ravel(), y.ravel()], axis=1))
        sizes.append(np.full((x.size, 1), stride))
    strides = np.concatenate(sizes)
    centers = (rows[:, :2] + np.concatenate(places)) * strides
    return _corners(centers, np.exp(rows[:, 2:4]) * strides), rows[:, 4] * rows[:, 5 + person]


def _transposed(outputs: Outputs, person: int, _: tuple[int, int]) -> Found:
    """(4 + classes + more, M): centre, size, classes; more are masks or keypoints."""
    rows = next(iter(outputs.values()))
    return _corners(rows[:2].T, rows[2:4].T), rows[4 + person]


def _end_to_end(outputs: Outputs, person: int, _: tuple[int, int]) -> Found:
    """(M, 6 + more): corners, score, class."""
    rows = next(iter(outputs.values()))
    mine = rows[rows[:, 5].round() == person]
    return mine[:, :4], mine[:, 4]


def _yolov7_end_to_end(outputs: Outputs, person: int, _: tuple[int, int]) -> Found:
    """(M, 7): number of the image, corners, class, score."""
    rows = next(iter(outputs.values()))
    mine = rows[rows[:, 5].round() == person]
    return mine[:, 1:5], mine[:, 6]


def _efficient_nms(outputs: Outputs, person: int, _: tuple[int, int]) -> Found:
    """Boxes (M, 4) by corners, scores (M,) and classes (M,), of which the first num_dets count."""
    count = max(int(outputs["num_dets"].ravel()[0]), 0)
    boxes, scores, classes = (outputs[f"det_{name}"][:count] for name in ("boxes", "scores", "classes"))
    mine = classes == person
    return boxes[mine], scores[mine]


def _mmdeploy(outputs: Outputs, person: int, _: tuple[int, int]) -> Found:
    """Outputs dets (M, 5): corners, score; labels (M,)."""
    mine = outputs["dets"][outputs["labels"] == person]
    return mine[:, :4], mine[:, 4]


def _torchvision(outputs: Outputs, person: int, _: tuple[int, int]) -> Found:
    """Boxes (M, 4), labels (M,) and scores (M,), told apart by shape and type: many exports name outputs by numbers."""
    flat = [value for value in outputs.values() if value.ndim == 1]
    boxes = next(value for value in outputs.values() if value.ndim == 2)
    labels = next(value for value in flat if value.dtype.kind in "iu")
    mine = labels == person
    return boxes[mine], next(value for value in flat if value.dtype.kind == "f")[mine]


def _is_ours(probe: Probe) -> bool:
    return SPEC_KEY in probe.metadata and {"boxes", "scores"} <= set(probe.outputs)


def _is_mmdeploy(probe: Probe) -> bool:
    dets, labels = probe.outputs.get("dets"), probe.outputs.get("labels")
    return dets is not None and labels is not None and dets.shape[1:] == (5,) and labels.shape == dets.shape[:1]


def _is_mmdeploy_yolox(probe: Probe) -> bool:
    """By the file's name: MMDetection's YOLOX and RTMDet are exported alike, but want their pixels in another way."""
    return _is_mmdeploy(probe) and "yolox" in probe.stem.lower()


def _is_torchvision(probe: Probe) -> bool:
    kinds = sorted((value.ndim, value.dtype.kind, value.shape[1:]) for value in probe.outputs.values())
    return kinds == [(1, "f", ()), (1, "i", ()), (2, "f", (4,))]


def _is_end_to_end(probe: Probe) -> bool:
    """With a batch alone: of rows of six without one, projects differ in what is where."""
    shape, said = probe.first(), probe.metadata.get("end2end", "").lower() == "true"
    return (
        is_batched(probe.given)
        and len(shape) == 2
        and shape[0] not in probe.cells()
        and (shape[1] == 6 or (said and shape[1] > 6))
    )


def _is_yolov7_end_to_end(probe: Probe) -> bool:
    """By seven columns without a batch; PINTO's, which are in another order, are named after it."""
    (name, *more), shape = probe.given, probe.first()
    return not (is_batched(probe.given) or more) and shape[1:] == (7,) and "class" not in name.lower()


def _is_efficient_nms(probe: Probe) -> bool:
    shapes = [probe.outputs.get(name, np.zeros(())).shape for name in ("det_boxes", "det_scores", "det_classes")]
    count = probe.outputs.get("num_dets")
    whole = count is not None and count.size == 1 and count.dtype.kind in "iu"
    return whole and len(shapes[0]) == 2 and shapes[0][1] == 4 and shapes[1] == shapes[2] == shapes[0][:1]


def _is_transposed(probe: Probe) -> bool:
    shape = probe.first()
    return len(shape) == 2 and shape[1] in probe.cells() and shape[0] > 4


def _is_grid(probe: Probe, anchors: int = 1) -> bool:
    """Whether there is a row of centre, size, objectness and classes for each anchor of each place."""
    shape = probe.first()
    return len(shape) == 2 and shape[1] > 5 and shape[0] in {anchors * cells for cells in probe.cells()}


def _is_yolov5(probe: Probe) -> bool:
    return _is_grid(probe, anchors=3)


def _is_yolov6(probe: Probe) -> bool:
    """By the output's name: its rows are laid out as YOLOX's, but it wants its pixels in another way."""
    return _is_grid(probe) and list(probe.outputs) == ["outputs"]


def _is_raw_yolox(probe: Probe) -> bool:
    """Raw centres are offsets of a stride or two; others lie all over the input, in the mean at its middle."""
    rows = next(iter(probe.outputs.values()))
    return _is_grid(probe) and abs(float(rows[:, 0].mean())) < probe.input_hw[1] / 8


_PIXELS_BGR = Pixels("bgr", std=(1 / 255, 1 / 255, 1 / 255))
_PIXELS_MMDET = Pixels("bgr", (103.53 / 255, 116.28 / 255, 123.675 / 255), (57.375 / 255, 57.12 / 255, 58.395 / 255))

LAYOUTS = (
    Layout("lightpose", _is_ours, _ours),
    Layout("MMDeploy YOLOX", _is_mmdeploy_yolox, _mmdeploy, _PIXELS_BGR, suppressed=True),
    Layout("MMDeploy RTMDet", _is_mmdeploy, _mmdeploy, _PIXELS_MMDET, suppressed=True),
    Layout("torchvision", _is_torchvision, _torchvision, person=1, suppressed=True),
    Layout("YOLO with EfficientNMS", _is_efficient_nms, _efficient_nms, suppressed=True),
    Layout("YOLOv8 and later", _is_transposed, _transposed),
    Layout("YOLOv5, YOLOv7", _is_yolov5, _with_objectness),
    Layout("YOLOv6", _is_yolov6, _with_objectness),
    Layout("YOLOX", _is_raw_yolox, _yolox_raw, _PIXELS_BGR),
    Layout("YOLOX", _is_grid, _with_objectness, _PIXELS_BGR),
    Layout("YOLO end to end", _is_end_to_end, _end_to_end, suppressed=True),
    Layout("YOLOv7 end to end", _is_yolov7_end_to_end, _yolov7_end_to_end, suppressed=True),
)
"""The first that recognises a file is it."""
