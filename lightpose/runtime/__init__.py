"""Engines that run a network on crops, behind one protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from lightpose.errors import ShapeError, WeightsError
from lightpose.types import FloatArray, ImageArray, ModelSpec

__all__ = [
    "EngineName",
    "ModeName",
    "OutputName",
    "PrecisionName",
    "Runtime",
    "check_crops",
    "check_output",
    "notes_of",
]

EngineName = Literal["auto", "onnxruntime", "openvino", "torch"]
ModeName = Literal["latency", "throughput"]
"""latency: all cores on one batch. throughput: a batch is split, and the parts run side by side."""

PrecisionName = Literal["float32", "bf16", "int8"]
OutputName = Literal["heatmaps", "keypoints"]


class Runtime(Protocol):
    """A network ready to run. Normalisation is inside: crops go in as they are cut from an image."""

    @property
    def name(self) -> str:
        """The engine, as a report names it."""

    @property
    def path(self) -> Path | None:
        """The file that it was opened from; None for a network in memory."""

    @property
    def precision(self) -> PrecisionName:
        """The numbers that most of the network is computed in."""

    @property
    def spec(self) -> ModelSpec:
        """What the weights file says of itself."""

    def heatmaps(self, crops: ImageArray) -> FloatArray:
        """(N, H, W, 3) uint8 RGB, H and W of the spec → heatmaps (N, K, h, w), or what else the spec's family is."""


def notes_of(runtime: object) -> tuple[str, ...]:
    """A sentence on what was assumed of another project's file; nothing for files that say what they are."""
    notes: tuple[str, ...] = getattr(runtime, "notes", ())
    return notes


def check_output(output: FloatArray, name: OutputName, crops: ImageArray, spec: ModelSpec) -> FloatArray:
    """The output itself. Raises WeightsError unless it is of the shape that the spec promises."""
    wanted = (len(crops), *spec.output_shapes[name][1:])
    if output.shape != wanted:
        raise WeightsError(f"the network gives {name} of shape {output.shape}, not {wanted} as its description says")
    return output


def check_crops(crops: ImageArray, spec: ModelSpec) -> None:
    """Raise ShapeError unless crops are uint8 of the spec's size."""
    wanted = (*spec.input_hw, 3)
    if crops.shape[1:] != wanted or crops.dtype != np.uint8:
        raise ShapeError(f"crops must be uint8 of shape (N, {wanted[0]}, {wanted[1]}, 3); got {crops.shape}")
