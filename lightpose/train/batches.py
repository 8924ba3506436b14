"""Batches of crops for training: seen how, with which targets; all chance follows from (seed, epoch, step)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightpose.data.augment import AugmentConfig, Regions, draw_views, erase, half_bodies, recolor, resample
from lightpose.data.crops import CropStore
from lightpose.ops.codec import encode
from lightpose.ops.geometry import heatmap_scale
from lightpose.train.config import SourceConfig
from lightpose.train.sampling import Pixels, Rows, Sampler, Share, epoch_batches
from lightpose.types import FloatArray, ModelSpec

__all__ = ["Batch", "Batches"]


@dataclass(frozen=True)
class Batch:
    """images: (N, 3, H, W) float32 in [0, 255], RGB. targets: (N, K, h, w). weights: (N, K).

    fraction: the share of the step's whole batch, over all processes and parts, that this is.
    """

    images: Tensor
    targets: Tensor
    weights: Tensor
    fraction: float


class Batches:
    """Draws the batches of an epoch from one or more crop stores.

    sources: what the stores were made of; their `repeat` says how often each person is shown in an epoch. The persons
    are spread evenly over the steps, at most `batch` in each: nobody is left out, nobody shown twice for it.
    Raises DataError if an epoch has nobody.
    """

    def __init__(
        self,
        stores: Sequence[CropStore],
        sources: Sequence[SourceConfig],
        spec: ModelSpec,
        augment: AugmentConfig,
        batch: int,
        seed: int,
        exact_target: bool,
        device: torch.device,
        on_device: bool = False,
    ) -> None:
        self._stores, self._sources, self._spec, self._augment = stores, sources, spec, augment
        self._seed, self._exact, self._device = seed, exact_target, device
        self._points = [store.points for store in stores]
        self._visibility = [store.visibility for store in stores]
        self._sampler = Sampler([*map(len, stores)], [source.repeat for source in sources], batch, seed, "nobody")
        self._pixels = Pixels([store.crops for store in stores], device, on_device)

    def __len__(self) -> int:
        return self._sampler.steps

    @property
    def shown(self) -> int:
        """Persons shown in an epoch."""
        return self._sampler.shown

    def order(self, epoch: int) -> list[Rows]:
        """For each step of an epoch, store and row of the persons shown in it."""
        return self._sampler.order(epoch)

    def epoch(self, epoch: int, first: int, share: Share, parts: int = 1) -> Iterator[list[Batch]]:
        """A share of every batch from step `first` on, each in that many parts.

        The pixels of the next step are gathered while the present one is trained on.
        """
        return epoch_batches(self.order(epoch), (epoch, first), share, parts, self._pixels.gather, self.get)

    def get(self, rows: Rows, moment: tuple[int, ...], whole: int | None = None, crops: Tensor | None = None) -> Batch:
        """The batch of those (store, row) pairs, augmented as seed and moment say.

        moment: (epoch, step, part). whole: size of the step's whole batch. crops: their pixels, where already gathered.
        """
        spec, generator = self._spec, np.random.default_rng([self._seed, *moment])
        pixels = self._pixels.gather([rows])[0] if crops is None else crops
        points = np.stack([self._points[store][row] for store, row in rows])
        visibility = np.stack([self._visibility[store][row] for store, row in rows])
        regions = Regions.middle(len(rows), pixels.shape[1], self._stores[0].region)
        regions = half_bodies(regions, points, visibility, spec.skeleton.joints, self._augment, generator)
        views = draw_views(regions, spec.input_hw, spec.geometry, self._augment, generator)
        moved, seen = views.points(points, visibility, spec.skeleton.flip_order)
        moved /= np.array(heatmap_scale(spec.input_hw, spec.heatmap_hw, spec.geometry), np.float32)
        images = resample(pixels.to(self._device, non_blocking=True), views.matrices, spec.input_hw)
        targets, weights = encode(
            torch.from_numpy(moved).to(self._device),
            torch.from_numpy(self._weigh(rows, seen)).to(self._device),
            spec.heatmap_hw,
            spec.sigma,
            self._exact,
        )
        images = erase(recolor(images, self._augment.color, generator), self._augment.erase_probability, generator)
        return Batch(images, targets, weights, len(rows) / (whole or len(rows)))

    def _weigh(self, rows: Rows, seen: NDArray[np.int8]) -> FloatArray:
        """What each joint weighs: 0 if unlabelled, else as its source says for its visibility."""
        table = np.array([(0.0, *source.label_weights) for source in self._sources], np.float32)
        weights: FloatArray = table[rows[:, :1], np.clip(seen, 0, 2)]
        return weights
