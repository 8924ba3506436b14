"""Every network, by name. Each takes the number of joints and its own options, and needs torch."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from lightpose.errors import ConfigError
from lightpose.models.blocks import initialise_kaiming
from lightpose.models.lpn import lpn50, lpn101, lpn152
from lightpose.types import ModelSpec

__all__ = ["MODELS", "build", "initialise_kaiming"]

MODELS: dict[str, Callable[..., nn.Module]] = {"lpn50": lpn50, "lpn101": lpn101, "lpn152": lpn152}


def build(spec: ModelSpec) -> nn.Module:
    """The untrained network that a spec describes. Raises ConfigError if it names an unknown model or option."""
    if spec.model not in MODELS:
        raise ConfigError(f"unknown model {spec.model!r}; use {', '.join(MODELS)}")
    try:
        return MODELS[spec.model](joints=len(spec.skeleton), **spec.options)
    except TypeError as error:
        raise ConfigError(f"model {spec.model!r} does not take the options {spec.options}: {error}") from error
