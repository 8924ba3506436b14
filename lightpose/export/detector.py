"""Person detectors as ONNX graphs that any program can run: uint8 RGB pictures in, boxes and scores out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from lightpose.errors import WeightsError
from lightpose.export.opset import LEAST_OPSET
from lightpose.export.pose import onnx_model
from lightpose.io.files import written_aside
from lightpose.models.fused import fuse
from lightpose.runtime.onnx import Session
from lightpose.runtime.torch import DetectorNetwork
from lightpose.types import DetectorSpec, FloatArray

__all__ = ["DetectorParity", "export_detector"]

SCORE_BOUND, BOX_BOUND_PX = 1e-4, 0.05
COMPARED = 200
"""Of the 300 boxes; the last ones may be others by a hair."""
LEAST_HALVED = 256
"""Numbers of a tensor from which on it is stored in half precision."""


@dataclass(frozen=True)
class DetectorParity:
    """Largest differences between an exported graph and PyTorch: of scores, and of boxes in input pixels."""

    scores: float
    boxes_px: float

    def to_text(self) -> str:
        """The differences, for people to read."""
        return f"scores {self.scores:.1e}, boxes {self.boxes_px:.1e} px"


def export_detector(
    network: nn.Module, spec: DetectorSpec, path: str | Path, opset: int = LEAST_OPSET
) -> DetectorParity:
    """Write a detector as an ONNX graph with any batch size and the spec in its metadata, whole or not at all.

    Input `images` (N, H, W, 3) uint8 RGB: pictures scaled to fit, at the top left, the rest grey `spec.pad`. Outputs
    `boxes` (N, 300, 4): left, top, right, bottom in input pixels; `scores` (N, 300) in [0, 1], falling. Weights are
    stored in half precision, at half the size, and used in single. opset: 17 to 20. Compared with PyTorch, weights
    rounded alike, on random pictures: raises WeightsError, and leaves no file, if scores differ by more than 1e-4 or
    boxes by 0.05 px.
    """
    fused = fuse(network).cpu()
    for tensor in [*fused.parameters(), *fused.buffers()]:
        if tensor.is_floating_point() and tensor.numel() >= LEAST_HALVED:
            tensor.data = tensor.data.half().float()
    graph = DetectorNetwork(fused, spec).eval()
    pictures = np.random.default_rng(0).integers(0, 256, (2, *spec.input_hw, 3), dtype=np.uint8)
    with torch.inference_mode():
        expected = tuple(value.numpy() for value in graph(torch.from_numpy(pictures)))
    if not all(np.isfinite(values).all() for values in expected):
        raise WeightsError("the detector gives boxes that are no numbers; its weights are damaged or training diverged")
    model = onnx_model(graph, spec, "images", ("boxes", "scores"), opset)
    _halve(model)
    with written_aside(Path(path)) as (aside,):
        aside.write_bytes(model.SerializeToString())
        parity = _compare(Session(aside).run({"images": pictures}, ["boxes", "scores"]), expected)
        if not (parity.scores <= SCORE_BOUND and parity.boxes_px <= BOX_BOUND_PX):  # NaN included
            raise WeightsError(
                f"the exported graph differs from PyTorch by {parity.scores:.1e} in scores and "
                f"{parity.boxes_px:.1e} px in boxes, so it was not kept"
            )
    return parity


def _halve(model: Any) -> None:
    """Store a model's weights as float16; a Cast node before the others makes each float32 again, once, at loading."""
    from onnx import TensorProto, helper, numpy_helper

    graph, casts = model.graph, []
    for weight in graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype == np.float32 and values.size >= LEAST_HALVED:
            casts.append(helper.make_node("Cast", [f"{weight.name}.half"], [weight.name], to=TensorProto.FLOAT))
            weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{weight.name}.half"))
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend([*casts, *nodes])


def _compare(found: Sequence[FloatArray], expected: Sequence[FloatArray]) -> DetectorParity:
    """Boxes (N, 300, 4) and scores (N, 300) of both. Boxes are matched by place, since two may score all but the same;
    those that score 0 are no local maxima, and any."""
    (boxes, scores), (wanted_boxes, wanted_scores) = found, expected
    apart = np.abs(boxes[:, :COMPARED, None] - wanted_boxes[:, None]).max(-1).min(-1)
    counted = apart[scores[:, :COMPARED] > 0]
    return DetectorParity(float(np.abs(scores - wanted_scores).max()), float(counted.max(initial=0)))
