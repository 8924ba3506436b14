"""Feature distillation: maps learn to tell what a trained network's tell (Romero et al., FitNets, ICLR 2015).

They need no labels, and are compared by correlation, so that scale does not matter (Cao et al., PKD, NeurIPS 2022).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from lightpose.errors import ConfigError
from lightpose.runtime.onnx import Session

__all__ = ["FeatureStudent", "FeatureTeacher", "StudentOutputs", "feature_loss"]

Program = Callable[[Tensor], Sequence[Tensor]]
"""Normalised images (N, 3, H, W) → maps."""


@runtime_checkable
class Pyramid(Protocol):
    """A network whose answer is read off the last of its maps; each of those has its stride and its channels."""

    strides: Sequence[int]
    widths: Sequence[int]

    def pyramid(self, x: Tensor) -> list[Tensor]:
        """Normalised images (N, 3, H, W) → maps."""

    def read(self, x: Tensor) -> Any:
        """The last map → the answer."""


class StudentOutputs(NamedTuple):
    """answer: the network's. maps: (N, C, h, w), its guesses of the teacher's maps."""

    answer: Any
    maps: list[Tensor]


class FeatureTeacher:
    """A trained network's maps of images, from a file that torch.export.save wrote or an ONNX file.

    Its program takes images (N, 3, H, W), normalised as lightpose does, and gives maps, each of another stride; an
    ONNX file runs on the CPU, faster there than the other. The other can run any code that its maker put into it: see
    FeatureDistillationConfig. half: the type that the other computes in. Raises ConfigError if it does not.
    """

    def __init__(self, path: str, input_hw: tuple[int, int], device: torch.device, half: torch.dtype) -> None:
        try:
            program = _onnx_program(path) if Path(path).suffix == ".onnx" else _torch_program(path, device, half)
            self._program = program
            maps = self(torch.zeros(2, 3, *input_hw, device=device))
            self.channels = {round(input_hw[0] / seen.shape[2]): seen.shape[1] for seen in maps}
        except Exception as error:  # neither library has an error of its own for a file that is none
            raise ConfigError(
                f"feature_distillation.teacher {path} is no program that gives maps of crops: {error}"
            ) from error

    @torch.no_grad()
    def __call__(self, images: Tensor) -> list[Tensor]:
        """Maps of normalised images (N, 3, H, W), in the order of `channels`."""
        return [seen.to(images.device, torch.float32) for seen in self._program(images)]


def _torch_program(path: str, device: torch.device, half: torch.dtype) -> Program:
    network = torch.export.load(path).module()
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def run(images: Tensor) -> Sequence[Tensor]:
        images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, half, enabled=half != torch.float32):
            maps: Sequence[Tensor] = network(images)
        return maps

    return run


def _onnx_program(path: str) -> Program:
    session = Session(path)
    name = session.inputs[0].name

    def run(images: Tensor) -> Sequence[Tensor]:
        maps = session.run({name: images.contiguous().cpu().numpy()})
        return [torch.from_numpy(seen) for seen in maps]

    return run


class FeatureStudent(nn.Module):
    """A network in training, with a 1×1 convolution from each of its maps to the teacher's of the same stride.

    channels: of the teacher's maps, by stride. Raises ConfigError if the network has no map of such a stride.
    """

    def __init__(self, network: nn.Module, channels: dict[int, int]) -> None:
        super().__init__()
        if not isinstance(network, Pyramid):
            raise ConfigError(
                "feature_distillation.teacher needs an LPN or a person detector to teach; leave it empty for others"
            )
        widths = dict(zip(network.strides, network.widths, strict=True))
        if not set(channels) <= set(widths):
            raise ConfigError(
                f"feature_distillation.teacher has maps of strides {sorted(channels)}, the network {sorted(widths)}"
            )
        self.network = network
        self.guesses = nn.ModuleDict(
            {str(stride): nn.Conv2d(widths[stride], count, 1) for stride, count in channels.items()}
        )

    def forward(self, x: Tensor) -> StudentOutputs:
        maps = dict(zip(self.network.strides, self.network.pyramid(x), strict=True))
        answer = self.network.read(maps[self.network.strides[-1]])
        return StudentOutputs(answer, [guess(maps[int(stride)]) for stride, guess in self.guesses.items()])


def feature_loss(guesses: Sequence[Tensor], maps: Sequence[Tensor]) -> Tensor:
    """1 - Pearson's correlation of each channel over the batch, its mean over the channels of a map, and over maps.

    guesses, maps: (N, C, h, w) each. A scalar from 0 to 2.
    """
    pairs = zip(guesses, maps, strict=True)
    return torch.stack(
        [(_standard(guess.float()) - _standard(seen)).square().mean() / 2 for guess, seen in pairs]
    ).mean()


def _standard(maps: Tensor) -> Tensor:
    """Each channel with mean 0 and variance 1 over the batch."""
    variance, mean = torch.var_mean(maps, (0, 2, 3), keepdim=True, correction=0)
    return (maps - mean) * torch.rsqrt(variance + 1e-6)
