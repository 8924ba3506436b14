"""Batches for training: which persons, seen how, with which targets; all chance follows from (seed, epoch, step)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightpose.codec import encode
from lightpose.data.augment import AugmentConfig, draw_views, recolor, resample
from lightpose.data.crops import CropStore
from lightpose.errors import DataError
from lightpose.geometry import heatmap_scale
from lightpose.types import ModelSpec

__all__ = ["Batch", "Batches"]


@dataclass(frozen=True)
class Batch:
    """images: (N, 3, H, W) float32 in [0, 255], RGB. targets: (N, K, h, w). weights: (N, K)."""

    images: Tensor
    targets: Tensor
    weights: Tensor


class Batches:
    """Draws the batches of an epoch from one or more crop stores.

    repeats: how often each store's persons are shown in an epoch. A last, incomplete batch is left out.
    Raises DataError if there is not one whole batch.
    """

    def __init__(
        self,
        stores: Sequence[CropStore],
        repeats: Sequence[int],
        spec: ModelSpec,
        augment: AugmentConfig,
        batch: int,
        seed: int,
        exact_target: bool,
        device: torch.device,
    ) -> None:
        self._stores, self._spec, self._augment = stores, spec, augment
        self._batch, self._seed, self._exact, self._device = batch, seed, exact_target, device
        self._index = np.concatenate(
            [
                np.tile(np.stack([np.full(len(store), number), np.arange(len(store))], -1), (repeat, 1))
                for number, (store, repeat) in enumerate(zip(stores, repeats, strict=True))
            ]
        )
        if len(self) == 0:
            raise DataError(f"the training data hold {len(self._index)} persons, fewer than a batch of {batch}")
        self._points = [store.points for store in stores]
        self._visibility = [store.visibility for store in stores]

    def __len__(self) -> int:
        return len(self._index) // self._batch

    def order(self, epoch: int) -> NDArray[np.intp]:
        """(len(self), batch, 2): store and row of every person of an epoch, in batches."""
        shuffled = np.random.default_rng([self._seed, epoch]).permutation(self._index)
        return shuffled[: len(self) * self._batch].reshape(len(self), self._batch, 2)

    def get(self, rows: NDArray[np.intp], epoch: int, step: int) -> Batch:
        """The batch of those (store, row) pairs, augmented as (seed, epoch, step) says."""
        spec, generator = self._spec, np.random.default_rng([self._seed, epoch, step])
        crops = np.stack([self._stores[store].crops[row] for store, row in rows])
        points = np.stack([self._points[store][row] for store, row in rows])
        visibility = np.stack([self._visibility[store][row] for store, row in rows])
        region = self._stores[0].region
        views = draw_views(len(rows), crops.shape[1], region, spec.input_hw, spec.geometry, self._augment, generator)
        moved, seen = views.points(points, visibility, spec.skeleton.flip_order)
        moved /= np.array(heatmap_scale(spec.input_hw, spec.heatmap_hw, spec.geometry), np.float32)
        images = resample(torch.from_numpy(crops).to(self._device), views.matrices, spec.input_hw)
        targets, weights = encode(
            torch.from_numpy(moved).to(self._device),
            torch.from_numpy((seen > 0).astype(np.float32)).to(self._device),
            spec.heatmap_hw,
            spec.sigma,
            self._exact,
        )
        return Batch(recolor(images, self._augment, generator), targets, weights)
