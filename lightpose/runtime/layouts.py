"""How other projects' pose networks lay out their ONNX files: what goes in, what comes out, and how to tell.

A file is recognised by what it gives for a grey crop, as `detect/layouts.py` recognises detectors. To support another
kind, write a test and a reader for it, and add a row to `POSE_LAYOUTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightpose.errors import WeightsError
from lightpose.runtime.graph import Outputs
from lightpose.runtime.one_stage_layouts import ONE_STAGE_LAYOUTS
from lightpose.types import FamilyName, FloatArray

__all__ = ["OPEN_HW", "POSE_LAYOUTS", "PoseLayout", "Probe", "find_pose_layout"]

OPEN_HW = (256, 192)
"""Height and width of the input where the file leaves them open: what most top-down networks were trained with."""


@dataclass(frozen=True)
class Probe:
    """What an ONNX file shows of itself: its outputs for one grey crop of that size, the batch's dimension included."""

    input_hw: tuple[int, int]
    given: Outputs

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Of the outputs, without the batch's dimension."""
        return [value.shape[1:] for value in self.given.values()]

    def to_text(self) -> str:
        """The outputs and their shapes."""
        return ", ".join(f"{name} {value.shape}" for name, value in self.given.items()) or "nothing"


@dataclass(frozen=True)
class PoseLayout:
    """A kind of file.

    read: outputs for N crops, and the input size → one array (N, K, …) as the family has it, see `ops/families.py`.
    """

    name: str
    family: FamilyName
    recognise: Callable[[Probe], bool]
    read: Callable[[Outputs, tuple[int, int]], FloatArray]


def find_pose_layout(probe: Probe) -> PoseLayout:
    """The row of `POSE_LAYOUTS` that a file is of. Raises WeightsError, saying what it looks like, if of none."""
    found = next((layout for layout in POSE_LAYOUTS if layout.recognise(probe)), None)
    if found is None:
        known = ", ".join(dict.fromkeys(layout.name for layout in (*POSE_LAYOUTS, *ONE_STAGE_LAYOUTS)))
        looks = next((f" It looks like {what}." for mark, what in _LOOKS if mark(probe)), "")
        raise WeightsError(
            f"it is no pose network of a known kind: it gives {probe.to_text()}.{looks} Known are {known}"
        )
    return found


def _simcc_pair(outputs: Outputs, input_hw: tuple[int, int]) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Likelihoods along x and along y, by how many there are; if that does not tell, in the order of the outputs."""
    if len(outputs) != 2 or any(value.ndim != 3 for value in outputs.values()):
        return None
    first, second = outputs.values()
    height, width = input_hw
    for x, y in ((first, second), (second, first)):
        if x.shape[:2] == y.shape[:2] and x.shape[2] >= width and x.shape[2] * height == y.shape[2] * width:
            return x, y
    return None


def _is_simcc(probe: Probe) -> bool:
    return _simcc_pair(probe.given, probe.input_hw) is not None


def _read_simcc(outputs: Outputs, input_hw: tuple[int, int]) -> FloatArray:
    pair = _simcc_pair(outputs, input_hw)
    assert pair is not None
    return np.concatenate(pair, axis=-1).astype(np.float32, copy=False)


def _is_stride(sides: Sequence[int], input_hw: tuple[int, int]) -> bool:
    """Whether maps of that size have a pixel for every 2×2 to 16×16 of the input: at 1×1 it is a segmentation."""
    strides = {side / small if small else 0 for side, small in zip(input_hw, sides, strict=True)}
    return strides <= {2.0, 4.0, 8.0, 16.0} and len(strides) == 1


def _is_heatmaps(probe: Probe) -> bool:
    shapes = probe.shapes
    return len(shapes) == 1 and len(shapes[0]) == 3 and _is_stride(shapes[0][1:], probe.input_hw)


def _is_heatmaps_last(probe: Probe) -> bool:
    """Joints in the last dimension, as TensorFlow's exports have them."""
    shapes = probe.shapes
    return len(shapes) == 1 and len(shapes[0]) == 3 and _is_stride(shapes[0][:2], probe.input_hw)


def _read_heatmaps(outputs: Outputs, _: tuple[int, int]) -> FloatArray:
    return next(iter(outputs.values())).astype(np.float32, copy=False)


def _read_heatmaps_last(outputs: Outputs, _: tuple[int, int]) -> FloatArray:
    return np.ascontiguousarray(next(iter(outputs.values())).transpose(0, 3, 1, 2), dtype=np.float32)


def _is_movenet(probe: Probe) -> bool:
    """One person of (1, 17, 3): y, x, score, as shares of the sides."""
    return probe.shapes == [(1, 17, 3)]


def _read_movenet(outputs: Outputs, input_hw: tuple[int, int]) -> FloatArray:
    rows = next(iter(outputs.values()))[:, 0].astype(np.float32)
    return np.concatenate([rows[..., [1, 0]] * np.array(input_hw[::-1], np.float32), rows[..., 2:]], axis=-1)


def _is_points(probe: Probe) -> bool:
    """Rows of x, y, or x, y, score; fewer than a detector has boxes."""
    shapes = probe.shapes
    return len(shapes) == 1 and len(shapes[0]) == 2 and shapes[0][1] in (2, 3) and shapes[0][0] < 300


def _are_shares(probe: Probe) -> bool:
    """Whether the points of a grey crop are shares of its sides and not pixels."""
    points = next(iter(probe.given.values()))[..., :2]
    return bool(np.abs(points).max(initial=0) <= 2)


def _read_pixels(outputs: Outputs, _: tuple[int, int]) -> FloatArray:
    rows = next(iter(outputs.values())).astype(np.float32)
    return rows if rows.shape[-1] == 3 else np.concatenate([rows, np.ones_like(rows[..., :1])], axis=-1)


def _read_shares(outputs: Outputs, input_hw: tuple[int, int]) -> FloatArray:
    return _read_pixels(outputs, input_hw) * np.array([input_hw[1], input_hw[0], 1], np.float32)


POSE_LAYOUTS = (
    PoseLayout("SimCC", "simcc", _is_simcc, _read_simcc),
    PoseLayout("heatmaps", "heatmaps", _is_heatmaps, _read_heatmaps),
    PoseLayout("heatmaps with the joints last", "heatmaps", _is_heatmaps_last, _read_heatmaps_last),
    PoseLayout("MoveNet", "points", _is_movenet, _read_movenet),
    PoseLayout("points as shares", "points", lambda probe: _is_points(probe) and _are_shares(probe), _read_shares),
    PoseLayout("points in pixels", "points", _is_points, _read_pixels),
)
"""The first that recognises a file is it."""


def _is_detector(probe: Probe) -> bool:
    names = {name.lower() for name in probe.given}
    many = any(len(shape) == 2 and max(shape) >= 300 for shape in probe.shapes)
    return bool(names & {"dets", "boxes", "labels", "num_dets", "det_boxes"}) or many


def _is_one_stage(probe: Probe) -> bool:
    """A detector's rows, with 17 times x, y, visibility behind box and score."""
    return any(len(shape) == 2 and {56, 57} & set(shape) for shape in probe.shapes)


_LOOKS: tuple[tuple[Callable[[Probe], bool], str], ...] = (
    (_is_one_stage, "a network that finds boxes and joints at once, laid out as none that lightpose knows"),
    (_is_detector, "a detector: give it to --detector"),
    (lambda probe: len(probe.shapes) == 1 and len(probe.shapes[0]) == 1, "a network that classifies images"),
    (lambda probe: any(shape[1:] == probe.input_hw for shape in probe.shapes), "a segmentation network"),
    (
        lambda probe: len(probe.shapes) == 3 and all(len(each) == 2 for each in probe.shapes),
        "SimCC in three dimensions",
    ),
)
"""What people may take for a top-down pose network, the first that fits."""
