"""What a run trains, as the loop sees it: a pose network on crops, or a person detector on images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from lightpose.train.sampling import Share
from lightpose.types import ImageArray, Spec

__all__ = ["AnyBatch", "B", "Feed", "Preparing", "Task"]

Preparing = Callable[[str, int, int], None]
"""Told a data set's name, and how many of its persons or images of how many are ready."""


class AnyBatch(Protocol):
    """Images to learn from, and whatever the task's loss compares with."""

    @property
    def images(self) -> Tensor:
        """(N, 3, H, W) float32 in [0, 255], RGB."""

    @property
    def fraction(self) -> float:
        """The share of the step's whole batch, over all processes and parts, that this is."""


B = TypeVar("B", bound=AnyBatch)


class Feed(Protocol[B]):
    """The batches of a run; its length is the steps of an epoch."""

    def __len__(self) -> int: ...

    @property
    def shown(self) -> int:
        """How much an epoch shows."""

    def epoch(self, epoch: int, first: int, share: Share, parts: int = 1) -> Iterator[list[B]]:
        """A share of every batch from step `first` on, each in that many parts."""


class Task(Protocol[B]):
    """A network to train, with its data, loss and measure."""

    @property
    def spec(self) -> Spec:
        """What the weights will say of themselves."""

    def network(self) -> nn.Module:
        """The network to start from, on the CPU; chance comes from torch's generator."""

    def feed(self, device: torch.device, preparing: Preparing, verify: bool) -> Feed[B]:
        """The training data. verify: compare what is stored with its checksums."""

    def loss(self, outputs: Any, batch: B) -> Tensor:
        """A scalar: the loss of the network's outputs for a batch."""

    def evaluate(self, network: nn.Module) -> Mapping[str, float]:
        """Figures in [0, 1] on the validation data, by name; `ap` chooses the best epoch."""

    def preview(self, network: nn.Module) -> ImageArray:
        """Labels beside predictions, RGB (H, W, 3) uint8."""
