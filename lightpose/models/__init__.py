"""Every network, by name. Each takes the number of joints and its own options, and needs torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from lightpose.errors import ConfigError
from lightpose.models.blocks import initialise_kaiming
from lightpose.models.cpn import cpn50
from lightpose.models.detector import PersonDetector, lpn50_person
from lightpose.models.hourglass import hourglass8
from lightpose.models.hrnet import hrnet_w32, hrnet_w48
from lightpose.models.lpn import lpn50, lpn101, lpn152
from lightpose.models.simple_baseline import simple50, simple101, simple152
from lightpose.types import DetectorSpec, ModelSpec, TaskName

__all__ = ["BUILDERS", "DETECTORS", "MODELS", "build", "build_detector", "check_input", "initialise_kaiming"]

MODELS: dict[str, Callable[..., nn.Module]] = {
    "lpn50": lpn50,
    "lpn101": lpn101,
    "lpn152": lpn152,
    "simple50": simple50,
    "simple101": simple101,
    "simple152": simple152,
    "hrnet_w32": hrnet_w32,
    "hrnet_w48": hrnet_w48,
    "hourglass8": hourglass8,
    "cpn50": cpn50,
}
"""Each gives heatmaps (N, joints, H/4, W/4) of (N, 3, H, W); hourglass8 and cpn50 a tuple of them in training mode, the
last the answer."""

DETECTORS: dict[str, Callable[..., PersonDetector]] = {"lpn50_person": lpn50_person}
"""Person detectors; each takes its own options and gives a Detection of (N, 3, H, W)."""


def build(spec: ModelSpec) -> nn.Module:
    """The untrained network that a spec describes.

    Raises ConfigError if it names an unknown model or option, or an input size that the model does not take.
    """
    if spec.model not in MODELS:
        raise ConfigError(f"unknown model {spec.model!r}; use {', '.join(MODELS)}")
    try:
        network = MODELS[spec.model](joints=len(spec.skeleton), **spec.options)
    except TypeError as error:
        raise ConfigError(f"model {spec.model!r} does not take the options {spec.options}: {error}") from error
    check_input(spec.model, network, spec.input_hw)
    return network


def build_detector(spec: DetectorSpec) -> PersonDetector:
    """The untrained detector that a spec describes. Raises ConfigError if it names an unknown one or option."""
    if spec.model not in DETECTORS:
        raise ConfigError(f"unknown detector {spec.model!r}; use {', '.join(DETECTORS)}")
    try:
        return DETECTORS[spec.model](**spec.options)
    except TypeError as error:
        raise ConfigError(f"detector {spec.model!r} does not take the options {spec.options}: {error}") from error


BUILDERS: dict[TaskName, Callable[[Any], nn.Module]] = {"pose": build, "detector": build_detector}
"""How the network of a task's spec is built."""


def check_input(name: str, network: nn.Module, input_hw: tuple[int, int]) -> None:
    """Raise ConfigError unless the network of that name takes crops of that size (its `size_multiple`, else 16)."""
    multiple = getattr(network, "size_multiple", 16)
    if any(side < multiple or side % multiple for side in input_hw):
        raise ConfigError(
            f"{name} takes inputs whose sides are multiples of {multiple}, such as 256x192, not "
            f"{input_hw[0]}x{input_hw[1]}"
        )
