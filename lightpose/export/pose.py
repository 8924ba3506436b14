"""Networks as graphs that other programs can run: uint8 RGB crops in, heatmaps and keypoints out."""

from __future__ import annotations

import io
import logging
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from lightpose.errors import MissingPackageError, WeightsError
from lightpose.export.opset import LEAST_OPSET, OPSETS, check_opset
from lightpose.io.files import write_aside, written_aside
from lightpose.models.fused import fold_batch_norm, fuse
from lightpose.ops.codec import soft_argmax
from lightpose.ops.geometry import heatmap_scale
from lightpose.runtime.onnx import OnnxRuntime
from lightpose.runtime.torch import CropNetwork, TorchRuntime
from lightpose.types import SPEC_KEY, FloatArray, ImageArray, ModelSpec, Spec

__all__ = [
    "FORMATS",
    "Parity",
    "check_parity",
    "check_plain_openvino",
    "export_checked",
    "export_onnx",
    "export_openvino",
    "export_torchscript",
    "fold_batch_norm",
    "onnx_model",
]

HEATMAP_BOUND, KEYPOINT_BOUND_PX = 1e-4, 0.05


@dataclass(frozen=True)
class Parity:
    """Largest differences between an exported graph and PyTorch, and what they are held against.

    heatmaps: of heatmap values. reach: the largest value of those. keypoints_px: of keypoints, in crop pixels.
    decoding_px: of keypoints from the graph's own heatmaps, so of the decoding in the graph alone: where two places of
    a map are nearly as high, as in untrained networks, a difference that rounding makes in the map moves the keypoint.
    """

    heatmaps: float
    keypoints_px: float
    reach: float
    decoding_px: float

    @property
    def holds(self) -> bool:
        """Whether heatmaps agree to 1e-4, or that share of their reach if it is above 1, and decoding to 0.05 px."""
        return self.heatmaps <= HEATMAP_BOUND * max(1, self.reach) and self.decoding_px <= KEYPOINT_BOUND_PX

    def to_text(self) -> str:
        """The differences, for people to read."""
        heatmaps = f"heatmaps {self.heatmaps:.1e} (they reach {self.reach:.2g})"
        return f"{heatmaps}, keypoints {self.keypoints_px:.1e} px"


class Graph(Protocol):
    """An exported graph, open."""

    def heatmaps(self, crops: ImageArray) -> FloatArray:
        """(N, H, W, 3) uint8 RGB → (N, K, h, w)."""

    def keypoints(self, crops: ImageArray) -> FloatArray:
        """The same → (N, K, 3)."""


def export_onnx(network: nn.Module, spec: ModelSpec, path: str | Path, opset: int = LEAST_OPSET) -> None:
    """Write a network as an ONNX graph with any batch size and the spec in its metadata, whole or not at all.

    Input `crops` (N, H, W, 3) uint8 RGB. Outputs `heatmaps` (N, K, h, w) and `keypoints` (N, K, 3): x, y in crop
    pixels, score, by β-soft-argmax. opset: ONNX's version of the operators, 17 to 20; each gives the same answers.
    """
    graph = CropNetwork(fuse(network).cpu(), spec).eval()
    write_aside(path, onnx_model(graph, spec, "crops", ("heatmaps", "keypoints"), opset).SerializeToString())


def onnx_model(graph: nn.Module, spec: Spec, pixels: str, outputs: tuple[str, ...], opset: int = LEAST_OPSET) -> Any:
    """A module as onnx.ModelProto with the spec in its metadata.

    pixels: name of its one input, (N, H, W, 3) uint8, N any number. outputs: names of what it gives. opset: 17 to 20.
    Raises WeightsError if an operator of the module cannot be written in that opset.
    """
    check_opset(opset)
    try:
        import onnx
        import onnxscript  # noqa: F401  (torch.onnx needs it)
    except ImportError as error:
        raise MissingPackageError("onnx", "train") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            graph,
            (_example(spec),),
            input_names=[pixels],
            output_names=list(outputs),
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            dynamo=True,
            verbose=False,
            opset_version=max(OPSETS),
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    model = _in_opset(program.model_proto, opset)
    for node in model.graph.node:  # the exporter's stack traces, some 0.8 MB of them
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    onnx.helper.set_model_props(model, {SPEC_KEY: spec.to_json()})
    onnx.checker.check_model(model)
    return model


def _in_opset(model: Any, opset: int) -> Any:
    """A model in another opset, with the oldest format of files that has it, so that old runtimes open it."""
    import onnx
    from onnx.version_converter import ConvertError, convert_version

    try:
        converted = convert_version(model, opset)
    except (ConvertError, RuntimeError) as error:
        raise WeightsError(
            f"the network has an operator that opset {opset} lacks; export it with --opset {max(OPSETS)}"
        ) from error
    converted.ir_version = onnx.helper.find_min_ir_version_for(list(converted.opset_import))
    return converted


def _example(spec: Spec) -> torch.Tensor:
    """An input to follow through the network."""
    return torch.zeros((2, *spec.input_hw, 3), dtype=torch.uint8)


def export_openvino(network: nn.Module, spec: ModelSpec, path: str | Path) -> None:
    """The same graph as OpenVINO's two files, path (.xml) and its .bin, the spec in the former's rt_info."""
    from lightpose.runtime.openvino import read_graph, save_graph

    with tempfile.TemporaryDirectory() as folder:
        export_onnx(network, spec, Path(folder) / "graph.onnx")
        save_graph(read_graph(Path(folder) / "graph.onnx")[0], spec, path)


def export_torchscript(network: nn.Module, spec: ModelSpec, path: str | Path) -> None:
    """The same for PyTorch's C++ library: it takes crops and gives (heatmaps, keypoints); the spec is an extra file."""
    graph = CropNetwork(fuse(network).cpu(), spec).eval()
    content = io.BytesIO()
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # of tracing, which the comparison on another batch makes up for
        traced = torch.jit.freeze(torch.jit.trace(graph, _example(spec)))  # type: ignore[no-untyped-call]
        torch.jit.save(traced, content, _extra_files={SPEC_KEY: spec.to_json()})
    write_aside(path, content.getvalue())


class _TorchScript:
    """A TorchScript file, open."""

    def __init__(self, path: Path) -> None:
        self._graph = torch.jit.load(str(path))  # type: ignore[no-untyped-call]

    def heatmaps(self, crops: ImageArray) -> FloatArray:
        return self._run(crops, 0)

    def keypoints(self, crops: ImageArray) -> FloatArray:
        return self._run(crops, 1)

    @torch.inference_mode()
    def _run(self, crops: ImageArray, output: int) -> FloatArray:
        result: FloatArray = self._graph(torch.from_numpy(crops))[output].numpy()
        return result


def _open_openvino(path: Path) -> Graph:
    from lightpose.runtime.openvino import OpenVinoRuntime

    return OpenVinoRuntime(path)


FORMATS: dict[str, tuple[Callable[..., None], Callable[[Path], Graph]]] = {
    ".onnx": (export_onnx, OnnxRuntime),
    ".xml": (export_openvino, _open_openvino),
    ".pt": (export_torchscript, _TorchScript),
}
"""How a network, its spec and a path become a file of each suffix, and how it is opened."""


def export_checked(
    network: nn.Module,
    spec: ModelSpec,
    path: str | Path,
    crops: ImageArray | None = None,
    opset: int | None = None,
) -> Parity:
    """Export in the format of the path's suffix, and compare with PyTorch before the file is kept.

    crops: what to compare on, (N, H, W, 3) uint8; random ones if not given. opset: of an .onnx file only. Raises
    WeightsError, and leaves no file, if they differ by more than `Parity.holds` allows.
    """
    path = Path(path)
    if path.suffix not in FORMATS:
        raise WeightsError(f"{path} must end in {', '.join(FORMATS)} or .safetensors")
    if crops is None:
        crops = np.random.default_rng(0).integers(0, 256, (4, *spec.input_hw, 3), dtype=np.uint8)
    files = [path.with_suffix(".bin"), path] if path.suffix == ".xml" else [path]
    with written_aside(*files) as (*_, aside):
        FORMATS[path.suffix][0](network, spec, aside, **({} if opset is None else {"opset": opset}))
        parity = check_parity(aside, network, spec, crops)
        if not parity.holds:  # NaN included
            raise WeightsError(
                f"the exported graph differs from PyTorch by {parity.heatmaps:.1e} in heatmaps of up to "
                f"{parity.reach:.1e} and {parity.decoding_px:.1e} px in decoding, so it was not kept"
            )
        if path.suffix == ".xml":
            check_plain_openvino(aside, spec, crops)
    return parity


def check_plain_openvino(path: str | Path, spec: ModelSpec, crops: ImageArray) -> None:
    """Run an .xml file as a program does that sets no precision, so in bfloat16 where the CPU can.

    Raises WeightsError if its keypoints are then more than 0.05 px off its own heatmaps.
    """
    import openvino

    found = openvino.Core().compile_model(openvino.Core().read_model(str(path)), "CPU")(crops)
    scale = heatmap_scale(spec.input_hw, spec.heatmap_hw, spec.geometry)
    points = soft_argmax(np.asarray(found["heatmaps"], np.float32), spec.beta)[..., :2] * scale
    off_px = float(np.abs(found["keypoints"][..., :2] - points).max())
    if not off_px <= KEYPOINT_BOUND_PX:
        raise WeightsError(
            f"in an OpenVINO program that sets no precision, keypoints are {off_px:.2f} px off the heatmaps, so the "
            "file was not kept; export to .onnx"
        )


def check_parity(path: str | Path, network: nn.Module, spec: ModelSpec, crops: ImageArray) -> Parity:
    """Compare an exported graph with PyTorch on crops (N, H, W, 3) uint8."""
    graph = FORMATS[Path(path).suffix][1](Path(path))
    expected = TorchRuntime(network, spec).heatmaps(crops)
    if not np.isfinite(expected).all():
        raise WeightsError(
            "the network gives heatmaps that are no numbers; its weights are damaged or training diverged"
        )
    scale = heatmap_scale(spec.input_hw, spec.heatmap_hw, spec.geometry)
    found, points = graph.heatmaps(crops), graph.keypoints(crops)[..., :2]
    points_of = [soft_argmax(maps, spec.beta)[..., :2] * scale for maps in (expected, found)]
    return Parity(
        heatmaps=float(np.abs(found - expected).max()),
        keypoints_px=float(np.abs(points - points_of[0]).max()),
        reach=float(np.abs(expected).max()),
        decoding_px=float(np.abs(points - points_of[1]).max()),
    )
