"""Start of a pose network: the ImageNet weights of its backbone, as torchvision, timm and HRNet's authors name them."""

from __future__ import annotations

import re
from pathlib import Path

from torch import nn

from lightpose.errors import ConfigError, WeightsError
from lightpose.weights.foreign.checkpoint import read_checkpoint
from lightpose.weights.foreign.convert import CAFFE, fit_tensors
from lightpose.weights.foreign.names import plain_names

__all__ = ["check_backbone", "load_backbone"]

_FAMILIES = ("simple", "cpn", "hrnet")
"""Beginnings of the names of networks whose backbones are those of ImageNet classifiers."""

_CLASSIFIER = {
    "resnet": re.compile(r"(fc|head\.fc|classifier)\."),
    "hrnet": re.compile(
        r"(incre_modules|downsamp_modules|final_layer|classifier|fc|head\.fc)\.|stage4\.2\.fuse_layers\.[123]\."
    ),
}
"""What is left out: the classifier, and of HRNet what only leads to it, the last exchange's coarser outputs."""


def check_backbone(model: str, init: str) -> None:
    """Raise ConfigError unless a network can start from a classifier's backbone, and starts from nothing else."""
    if not model.startswith(_FAMILIES):
        raise ConfigError(f"model.backbone is for SimpleBaseline, CPN and HRNet; {model} has none of its own")
    if init.endswith(".safetensors"):
        raise ConfigError("model.backbone and model.init are both files to start from; leave one out")


def load_backbone(path: str | Path, network: nn.Module, model: str) -> int:
    """Put the backbone of an ImageNet classifier into a network in place; returns how many tensors those are.

    path: a state dict as torchvision or timm saves ResNets, or HRNet's authors or timm theirs. network: one of
    SimpleBaseline, CPN and HRNet. What comes after the backbone stays as it is. Raises WeightsError if the file cannot
    be read without running code, lacks a tensor of the backbone, or holds any besides it and its classifier.
    """
    path = Path(path)
    if "caffe" in path.name.lower():
        raise WeightsError(CAFFE.format(path=path))
    checkpoint = read_checkpoint(path)
    hrnet = model.startswith("hrnet")
    state = network.state_dict()
    wanted = {
        name: value for name, value in state.items() if name.startswith("backbone.") or (hrnet and name[:5] != "head.")
    }
    spare = _CLASSIFIER["hrnet" if hrnet else "resnet"]
    found = fit_tensors(
        wanted, checkpoint.tensors, plain_names(checkpoint.tensors), path, f"the backbone of {model}", spare
    )
    network.load_state_dict({**state, **found})
    return len(found)
