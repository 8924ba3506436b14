"""Batches for training: which persons, seen how, with which targets; all chance follows from (seed, epoch, step)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightpose.codec import encode
from lightpose.data.augment import AugmentConfig, Regions, draw_views, half_bodies, recolor, resample
from lightpose.data.crops import CropStore
from lightpose.errors import DataError
from lightpose.geometry import heatmap_scale
from lightpose.train.config import SourceConfig
from lightpose.types import FloatArray, ModelSpec

__all__ = ["Batch", "Batches", "Share"]


@dataclass(frozen=True)
class Share:
    """A part of every batch: number `index` of `count`, cut as evenly as can be."""

    index: int = 0
    count: int = 1

    def of(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """The rows of a batch that are in this share."""
        return np.array_split(rows, self.count)[self.index]


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
        self._persons = sum(len(self._shown(number, np.random.default_rng(0))) for number in range(len(stores)))
        if self._persons == 0:
            raise DataError("an epoch of the training data shows nobody; raise `repeat` of a source")
        self._steps = -(-self._persons // batch)
        self._resident = _on_device(stores, device) if on_device and device.type == "cuda" else None

    def __len__(self) -> int:
        return self._steps

    @property
    def persons(self) -> int:
        """Persons shown in an epoch."""
        return self._persons

    def order(self, epoch: int) -> list[NDArray[np.intp]]:
        """For each step of an epoch, (N, 2): store and row of the persons shown in it."""
        generator = np.random.default_rng([self._seed, epoch])
        index = np.concatenate(
            [
                np.stack([np.full_like(rows, number), rows], -1)
                for number, rows in enumerate(self._shown(number, generator) for number in range(len(self._stores)))
            ]
        )
        return np.array_split(generator.permutation(index), self._steps)

    def epoch(self, epoch: int, first: int, share: Share, parts: int = 1) -> Iterator[list[Batch]]:
        """A share of every batch from step `first` on, each in that many parts.

        The pixels of the next step are gathered while the present one is trained on.
        """
        order = self.order(epoch)
        pieces = [
            [Share(share.index * parts + n, share.count * parts).of(rows) for n in range(parts)] for rows in order
        ]
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(self._gather, pieces[first]) if first < len(pieces) else None
            for step in range(first, len(pieces)):
                crops = waiting.result() if waiting is not None else []
                waiting = pool.submit(self._gather, pieces[step + 1]) if step + 1 < len(pieces) else None
                offsets = share.index * parts
                yield [
                    self.get(rows, (epoch, step, offsets + number), len(order[step]), pixels)
                    for number, (rows, pixels) in enumerate(zip(pieces[step], crops, strict=True))
                    if len(rows)
                ]

    def get(
        self, rows: NDArray[np.intp], moment: tuple[int, ...], whole: int | None = None, crops: Tensor | None = None
    ) -> Batch:
        """The batch of those (store, row) pairs, augmented as seed and moment say.

        moment: (epoch, step, part). whole: size of the step's whole batch. crops: their pixels, where already gathered.
        """
        spec, generator = self._spec, np.random.default_rng([self._seed, *moment])
        pixels = self._gather([rows])[0] if crops is None else crops
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
        return Batch(recolor(images, self._augment, generator), targets, weights, len(rows) / (whole or len(rows)))

    def _shown(self, number: int, generator: np.random.Generator) -> NDArray[np.intp]:
        """Rows of a store that an epoch shows, those of the broken part of `repeat` drawn at random."""
        count = len(self._stores[number])
        whole, part = divmod(self._sources[number].repeat, 1)
        extra = generator.choice(count, round(part * count), replace=False)
        return np.concatenate([np.tile(np.arange(count), int(whole)), extra])

    def _weigh(self, rows: NDArray[np.intp], seen: NDArray[np.int8]) -> FloatArray:
        """What each joint weighs: 0 if unlabelled, else as its source says for its visibility."""
        table = np.array([(0.0, *source.label_weights) for source in self._sources], np.float32)
        weights: FloatArray = table[rows[:, :1], np.clip(seen, 0, 2)]
        return weights

    def _gather(self, pieces: Sequence[NDArray[np.intp]]) -> list[Tensor]:
        """Stored crops (N, S, S, 3) uint8 of each piece: on the device if they live there, else in pinned memory."""
        if self._resident is not None:
            tensor, starts = self._resident
            places = [torch.from_numpy(starts[rows[:, 0]] + rows[:, 1]) for rows in pieces]
            return [tensor[place.to(self._device, non_blocking=True)] for place in places]
        side = self._stores[0].crops.shape[1]
        pinned = self._device.type == "cuda"
        out = []
        for rows in pieces:
            crops = torch.empty((len(rows), side, side, 3), dtype=torch.uint8, pin_memory=pinned)
            view = crops.numpy()
            for place, (store, row) in enumerate(rows):
                view[place] = self._stores[store].crops[row]
            out.append(crops)
        return out


def _on_device(stores: Sequence[CropStore], device: torch.device) -> tuple[Tensor, NDArray[np.intp]] | None:
    """All stored crops as one tensor on the GPU, and where each store starts in it; None if half the memory is less."""
    size = sum(store.crops.nbytes for store in stores)
    if size > torch.cuda.mem_get_info(device)[0] / 2:
        return None
    tensor = torch.empty((sum(map(len, stores)), *stores[0].crops.shape[1:]), dtype=torch.uint8, device=device)
    starts = np.cumsum([0, *map(len, stores)])
    for store, start in zip(stores, starts[:-1], strict=True):
        for first in range(0, len(store), 1024):
            part = torch.from_numpy(np.ascontiguousarray(store.crops[first : first + 1024]))
            tensor[start + first : start + first + len(part)] = part.to(device)
    return tensor, starts
