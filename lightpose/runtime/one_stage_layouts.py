"""How networks that find boxes and joints at once lay out their ONNX files. One row of `ONE_STAGE_LAYOUTS` for each.

A file is recognised by what it gives for a grey image, and by what Ultralytics' exporter wrote beside the graph. To
support another kind, write a test and a reader for it, and add a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightpose.errors import WeightsError
from lightpose.runtime.graph import Outputs, class_names, grid_cells, person_class, read_literal
from lightpose.types import FamilyName, FloatArray

__all__ = ["ONE_STAGE_LAYOUTS", "OneStageLayout", "OneStageProbe", "People", "find_one_stage_layout"]

MOST_ROWS = 1000
"""Of a graph that suppresses duplicates itself: exports have 20 to 300."""


class People(NamedTuple):
    """boxes_xyxy: (M, 4) left, top, right, bottom. scores: (M,). keypoints: (M, K, 3): x, y, score. Input pixels."""

    boxes_xyxy: FloatArray
    scores: FloatArray
    keypoints: FloatArray


@dataclass(frozen=True)
class OneStageProbe:
    """What an ONNX file shows of itself. given: its outputs for one grey image, the batch's dimension included."""

    input_hw: tuple[int, int]
    metadata: Mapping[str, str]
    given: Outputs

    @property
    def outputs(self) -> list[NDArray[Any]]:
        """Those of the one image, in order; none if there is a batch of another size."""
        values = list(self.given.values())
        batched = all(value.ndim > 2 and len(value) == 1 for value in values)
        return [value[0] for value in values] if batched else []

    def rows(self) -> NDArray[Any] | None:
        """The only output, if it is a table."""
        outputs = self.outputs
        return outputs[0] if len(outputs) == 1 and outputs[0].ndim == 2 else None

    def joint_shape(self) -> tuple[int, int] | None:
        """How many joints Ultralytics' exporter says that there are, and how many numbers there are for each."""
        told = read_literal(self.metadata, "kpt_shape")
        whole = isinstance(told, list | tuple) and len(told) == 2 and all(isinstance(each, int) for each in told)
        return (told[0], told[1]) if whole and told[0] > 0 and told[1] in (2, 3) else None

    @property
    def classes(self) -> int:
        """How many kinds of things it finds; one where it does not say."""
        return max(len(class_names(self.metadata)), 1)


@dataclass(frozen=True)
class OneStageLayout:
    """A kind of file.

    joints: how many joints the file of a probe finds, 0 if it is of another kind. read: one image's outputs, number of
    joints, number of the class of persons, number of classes → all that was found. threshold: least score that the
    project itself shows. nms_iou: overlap above which its own code takes two boxes for one person's; None: done in the
    graph.
    """

    name: str
    joints: Callable[[OneStageProbe], int]
    read: Callable[[list[NDArray[Any]], int, int, int], People]
    threshold: float
    nms_iou: float | None = None
    family: FamilyName = "people"

    def people(self, probe: OneStageProbe, joints: int) -> People:
        """What was found in an image. Raises WeightsError if outputs do not fit one another."""
        try:
            found = self.read(probe.outputs, joints, person_class(probe.metadata), probe.classes)
            whole = People(*(np.asarray(each, np.float32) for each in found))
        except (ValueError, IndexError) as error:
            shapes = ", ".join(f"{name} {value.shape}" for name, value in probe.given.items())
            raise WeightsError(f"what it gives does not fit its {joints} joints: {shapes}") from error
        count = len(whole.scores)
        if whole.boxes_xyxy.shape != (count, 4) or whole.keypoints.shape != (count, joints, 3):
            raise WeightsError(f"it gives {whole.boxes_xyxy.shape} for boxes and {whole.keypoints.shape} for joints")
        return whole


def find_one_stage_layout(probe: OneStageProbe) -> OneStageLayout | None:
    """The row of `ONE_STAGE_LAYOUTS` that a file is of, if it is of any."""
    return next((layout for layout in ONE_STAGE_LAYOUTS if layout.joints(probe)), None)


def _rest(probe: OneStageProbe, numbers: int) -> int:
    """How many joints so many numbers are, beside box and scores; 0 if they are none, or not those that are told."""
    told = probe.joint_shape()
    if told is not None:
        return told[0] if numbers == told[0] * told[1] else 0
    return numbers // 3 if numbers > 0 and numbers % 3 == 0 else 0


def _yolo_joints(probe: OneStageProbe) -> int:
    """A column for each place: centre, size, classes, joints. In pixels, unlike a detector's classes."""
    rows = probe.rows()
    if rows is None or rows.shape[1] not in grid_cells(probe.input_hw):
        return 0
    joints = _rest(probe, len(rows) - 4 - probe.classes)
    told = probe.joint_shape() is not None
    return joints if told or (joints and np.abs(rows[4 + probe.classes :]).max() > 2) else 0


def _read_yolo(outputs: list[NDArray[Any]], joints: int, person: int, classes: int) -> People:
    rows = outputs[0].T
    center, half = rows[:, :2], rows[:, 2:4] / 2
    return People(
        np.concatenate([center - half, center + half], axis=1),
        rows[:, 4 + person],
        _points(rows[:, 4 + classes :], joints),
    )


def _end_to_end_joints(probe: OneStageProbe) -> int:
    """A row for each person: corners, score, class, joints. Scores are shares, and classes whole numbers."""
    rows = probe.rows()
    if rows is None or len(rows) > MOST_ROWS or rows.shape[1] in grid_cells(probe.input_hw):
        return 0
    joints = _rest(probe, rows.shape[1] - 6)
    if not joints:
        return 0
    score, kind = rows[:, 4], rows[:, 5]
    plausible = (score >= 0) & (score <= 1) & (kind == np.round(kind)) & (kind >= 0)
    return joints if plausible.all() else 0


def _read_end_to_end(outputs: list[NDArray[Any]], joints: int, person: int, _: int) -> People:
    rows = outputs[0][outputs[0][:, 5].round() == person]
    return People(rows[:, :4], rows[:, 4], _points(rows[:, 6:], joints))


def _points(numbers: NDArray[Any], joints: int) -> FloatArray:
    """(M, K, 3) of joints in a row; those without a score score 1."""
    points = numbers.reshape(len(numbers), joints, numbers.shape[1] // joints).astype(np.float32)
    return points if points.shape[2] == 3 else np.concatenate([points, np.ones_like(points[..., :1])], axis=-1)


def _rtmo_joints(probe: OneStageProbe) -> int:
    """Boxes with scores (M, 5), and joints (M, K, 3), in any order."""
    shapes = sorted((value.shape for value in probe.outputs), key=len)
    fits = [len(shape) for shape in shapes] == [2, 3] and shapes[0] == (shapes[1][0], 5) and shapes[1][2] == 3
    return shapes[1][1] if fits else 0


def _read_rtmo(outputs: list[NDArray[Any]], _: int, __: int, ___: int) -> People:
    boxes, keypoints = sorted(outputs, key=lambda value: value.ndim)
    return People(boxes[:, :4], boxes[:, 4], keypoints)


ONE_STAGE_LAYOUTS = (
    OneStageLayout("RTMO", _rtmo_joints, _read_rtmo, threshold=0.3),
    OneStageLayout("YOLO-pose", _yolo_joints, _read_yolo, threshold=0.25, nms_iou=0.7),
    OneStageLayout("YOLO-pose end to end", _end_to_end_joints, _read_end_to_end, threshold=0.25),
)
"""The first that recognises a file is it. Ultralytics' predict keeps boxes from 0.25 on, and an IoU of 0.7 at most; of
RTMO the threshold is that of lightpose's detectors, as its own tools have 0.1 to 0.7."""
