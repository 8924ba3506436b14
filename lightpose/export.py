"""Networks as ONNX graphs that any program can run: uint8 RGB crops in, heatmaps and keypoints out."""

from __future__ import annotations

import copy
import logging
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lightpose.codec import soft_argmax
from lightpose.errors import MissingPackageError, WeightsError
from lightpose.geometry import heatmap_scale
from lightpose.images import write_aside
from lightpose.runtime.onnx import OnnxRuntime
from lightpose.runtime.torch import CropNetwork, TorchRuntime
from lightpose.types import SPEC_KEY, ImageArray, ModelSpec

__all__ = ["Parity", "check_parity", "export_checked", "export_onnx", "fold_batch_norm"]


HEATMAP_BOUND, KEYPOINT_BOUND_PX = 1e-4, 0.05


@dataclass(frozen=True)
class Parity:
    """Largest differences between an exported graph and PyTorch: of heatmap values, and of keypoints in crop pixels."""

    heatmaps: float
    keypoints_px: float


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """A copy of a network, in evaluation mode, with each batch norm folded into the convolution before it."""
    folded = copy.deepcopy(network).eval()
    for module in folded.modules():
        if not isinstance(module, nn.Sequential):
            continue
        for place in range(len(module) - 1):
            convolution, norm = module[place], module[place + 1]
            if isinstance(convolution, nn.Conv2d | nn.ConvTranspose2d) and isinstance(norm, nn.BatchNorm2d):
                _fold(convolution, norm)
                module[place + 1] = nn.Identity()
    return folded


def _fold(convolution: nn.Conv2d | nn.ConvTranspose2d, norm: nn.BatchNorm2d) -> None:
    """Take the batch norm after a convolution into its weight and bias (torch's own fails on grouped transposed)."""
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        raise WeightsError("a batch norm without running statistics cannot be folded")
    scale = norm.weight / torch.sqrt(variance + norm.eps)
    weight = convolution.weight
    if isinstance(convolution, nn.ConvTranspose2d):  # (inputs, outputs / groups, h, w)
        groups = convolution.groups
        per_input = scale.view(groups, 1, -1).expand(-1, len(weight) // groups, -1).reshape(*weight.shape[:2], 1, 1)
    else:
        per_input = scale.view(-1, 1, 1, 1)
    bias = torch.zeros_like(mean) if convolution.bias is None else convolution.bias
    convolution.weight = nn.Parameter(weight * per_input)
    convolution.bias = nn.Parameter((bias - mean) * scale + norm.bias)


def export_onnx(network: nn.Module, spec: ModelSpec, path: str | Path) -> None:
    """Write a network as an ONNX graph with any batch size and the spec in its metadata, whole or not at all.

    Input `crops` (N, H, W, 3) uint8 RGB. Outputs `heatmaps` (N, K, h, w) and `keypoints` (N, K, 3): x, y in crop
    pixels, score, by β-soft-argmax.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401  (torch.onnx needs it)
    except ImportError as error:
        raise MissingPackageError("onnx", "train") from error
    graph = CropNetwork(fold_batch_norm(network).cpu(), spec).eval()
    example = torch.zeros((2, *spec.input_hw, 3), dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            graph,
            (example,),
            input_names=["crops"],
            output_names=["heatmaps", "keypoints"],
            dynamic_shapes={"crops": {0: torch.export.Dim("batch", min=1)}},
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    model = program.model_proto
    for node in model.graph.node:  # the exporter's stack traces, some 0.8 MB of them
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    onnx.helper.set_model_props(model, {SPEC_KEY: spec.to_json()})
    onnx.checker.check_model(model)
    write_aside(path, model.SerializeToString())


def export_checked(network: nn.Module, spec: ModelSpec, path: str | Path) -> Parity:
    """`export_onnx`, compared with PyTorch on random crops before the file is kept.

    Raises WeightsError, and leaves no file, if heatmaps differ by more than 1e-4 or keypoints by 0.05 px.
    """
    aside = Path(path).with_name(f".{Path(path).name}.unchecked")
    crops = np.random.default_rng(0).integers(0, 256, (4, *spec.input_hw, 3), dtype=np.uint8)
    try:
        export_onnx(network, spec, aside)
        parity = check_parity(aside, network, spec, crops)
        if not (parity.heatmaps <= HEATMAP_BOUND and parity.keypoints_px <= KEYPOINT_BOUND_PX):  # NaN included
            raise WeightsError(
                f"the exported graph differs from PyTorch by {parity.heatmaps:.1e} in heatmaps and "
                f"{parity.keypoints_px:.1e} px in keypoints, so it was not kept"
            )
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    return parity


def check_parity(path: str | Path, network: nn.Module, spec: ModelSpec, crops: ImageArray) -> Parity:
    """Compare an exported graph with PyTorch on crops (N, H, W, 3) uint8."""
    engine = OnnxRuntime(path)
    expected = TorchRuntime(network, spec).heatmaps(crops)
    if not np.isfinite(expected).all():
        raise WeightsError(
            "the network gives heatmaps that are no numbers; its weights are damaged or training diverged"
        )
    points = soft_argmax(expected, spec.beta)[..., :2] * heatmap_scale(spec.input_hw, spec.heatmap_hw, spec.geometry)
    return Parity(
        heatmaps=float(np.abs(engine.heatmaps(crops) - expected).max()),
        keypoints_px=float(np.abs(engine.keypoints(crops)[..., :2] - points).max()),
    )
