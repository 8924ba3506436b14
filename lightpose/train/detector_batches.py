"""Batches of images for a person detector: seen how, alone or four at a time, and where the people are then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightpose.data.augment import recolor
from lightpose.data.mosaic import LEAST_VISIBLE, Labels, SceneAugmentConfig, SceneViews, draw_scene_views, see
from lightpose.data.pictures import PictureStore, Ragged
from lightpose.train.detector_config import SceneSourceConfig
from lightpose.train.sampling import Pixels, Rows, Sampler, Share, epoch_batches
from lightpose.types import DetectorSpec, FloatArray

__all__ = ["SceneBatch", "SceneBatches"]

LEAST_PX = 5.0
"""Longer side, in input pixels, of the smallest people that are learned; smaller ones are left out of the loss."""


@dataclass(frozen=True)
class SceneBatch:
    """images: (N, 3, H, W) float32 in [0, 255], RGB. people: (N, B, 4), ignored: (N, I, 4), corners in input pixels.

    Boxes are filled up with zeros to as many as the fullest image has. fraction: the share of the step's whole batch,
    over all processes and parts, that this is.
    """

    images: Tensor
    people: Tensor
    ignored: Tensor
    fraction: float


class SceneBatches:
    """Draws the batches of an epoch from one or more image stores.

    sources: what the stores were made of. A mosaic takes three images more, at random from all that an epoch shows.
    """

    def __init__(
        self,
        stores: Sequence[PictureStore],
        sources: Sequence[SceneSourceConfig],
        spec: DetectorSpec,
        augment: SceneAugmentConfig,
        batch: int,
        seed: int,
        device: torch.device,
        on_device: bool = False,
    ) -> None:
        self._stores, self._sources, self._spec, self._augment = stores, sources, spec, augment
        self._seed, self._device = seed, device
        self._sampler = Sampler([*map(len, stores)], [source.repeat for source in sources], batch, seed, "no image")
        self._pixels = Pixels([store.pixels for store in stores], device, on_device)

    def __len__(self) -> int:
        return self._sampler.steps

    @property
    def shown(self) -> int:
        """Images shown in an epoch, those that fill up mosaics aside."""
        return self._sampler.shown

    def order(self, epoch: int) -> list[NDArray[np.intp]]:
        """For each step of an epoch, (N, 4, 2): store and row of the images shown; store -1 for none."""
        steps = self._sampler.order(epoch)
        everything = np.concatenate(steps)
        generator = np.random.default_rng([self._seed, epoch, len(steps)])
        return [self._with_partners(rows, everything, generator) for rows in steps]

    def _with_partners(self, rows: Rows, everything: Rows, generator: np.random.Generator) -> NDArray[np.intp]:
        partners = everything[generator.integers(0, len(everything), (len(rows), 3))]
        alone = generator.random(len(rows)) >= self._augment.mosaic_probability
        partners[alone] = -1
        return np.concatenate([rows[:, None], partners], 1)

    def epoch(self, epoch: int, first: int, share: Share, parts: int = 1) -> Iterator[list[SceneBatch]]:
        """A share of every batch from step `first` on, each in that many parts.

        The pixels of the next step are gathered while the present one is trained on.
        """
        return epoch_batches(self.order(epoch), (epoch, first), share, parts, self._gather, self.get)

    def get(
        self, rows: NDArray[np.intp], moment: tuple[int, ...], whole: int | None = None, pixels: Tensor | None = None
    ) -> SceneBatch:
        """The batch of those (N, 4, 2) stores and rows, augmented as seed and moment say.

        moment: (epoch, step, part). whole: size of the step's whole batch. pixels: those of `_tiles`, where already
        gathered.
        """
        generator = np.random.default_rng([self._seed, *moment])
        pixels = (self._gather([rows])[0] if pixels is None else pixels).to(self._device, non_blocking=True)
        images = torch.empty((len(rows), 3, *self._spec.input_hw), device=self._device)
        people: list[Labels] = []
        ignored: list[Labels] = []
        tiles, alone, start = _tiles(rows), rows[:, 1, 0] < 0, 0
        for chosen, across in ((np.flatnonzero(alone), 1), (np.flatnonzero(~alone), 2)):
            if len(chosen):
                end = start + len(chosen) * across**2
                seen, *labels = self._see(tiles[start:end], pixels[start:end], across, generator)
                images[torch.from_numpy(chosen).to(self._device)] = seen
                for into, found in zip((people, ignored), labels, strict=True):
                    into.append(Labels(found.boxes, chosen[found.views]))
                start = end
        boxes, unknown = (torch.from_numpy(_padded(parts, len(rows))).to(self._device) for parts in (people, ignored))
        return SceneBatch(images, boxes, unknown, len(rows) / (whole or len(rows)))

    def _see(
        self, shown: Rows, pixels: Tensor, across: int, generator: np.random.Generator
    ) -> tuple[Tensor, Labels, Labels]:
        """Stored images as they are seen, across² to an image (N, 3, H, W); whom to learn, and what to ignore."""
        height, width = (side // across for side in self._spec.input_hw)
        extents = np.stack([self._stores[store].extents[row] for store, row in shown])
        views = draw_scene_views(extents, self._pixels.side, (height, width), self._augment, generator)
        seen = recolor(see(pixels, views, self._spec.pad), self._augment.color, generator)
        people, ignored = (_placed(labels, across, (height, width)) for labels in self._labels(shown, views, extents))
        return _joined(seen, across), people, ignored

    def _labels(self, shown: Rows, views: SceneViews, extents: FloatArray) -> tuple[Labels, Labels]:
        """People to learn, and regions to ignore, in view coordinates."""
        people, ignored = (
            _take([getattr(store, kind) for store in self._stores], shown) for kind in ("people", "ignored")
        )
        whole = views.boxes(people)
        boxes = views.clip(whole)
        area, visible = ((each[:, 2:] - each[:, :2]).prod(1) for each in (whole, boxes))
        learned = (visible >= LEAST_VISIBLE * area) & ((boxes[:, 2:] - boxes[:, :2]).max(1, initial=0) >= LEAST_PX)
        complete = np.array([source.complete for source in self._sources])[shown[:, 0]]
        partial = np.flatnonzero(~complete)
        pictures = Labels(np.pad(extents[partial], ((0, 0), (2, 0))), partial)
        unknown = [(boxes[~learned], people.views[~learned])]
        unknown += [(views.clip(views.boxes(labels)), labels.views) for labels in (ignored, pictures)]
        return Labels(boxes[learned], people.views[learned]), Labels(
            np.concatenate([boxes for boxes, _ in unknown]), np.concatenate([view for _, view in unknown])
        )

    def _gather(self, pieces: Sequence[NDArray[np.intp]]) -> list[Tensor]:
        return self._pixels.gather([_tiles(rows) for rows in pieces])


def _tiles(rows: NDArray[np.intp]) -> Rows:
    """The images of a batch (N, 4, 2) one after the other: first those alone, then four for each mosaic."""
    alone = rows[:, 1, 0] < 0
    return np.concatenate([rows[alone, 0], rows[~alone].reshape(-1, 2)])


def _take(boxes: Sequence[Ragged], shown: Rows) -> Labels:
    """The boxes of some images, and which of those each is in."""
    parts = [boxes[store][row] for store, row in shown]
    return Labels(Ragged.of(parts).boxes, np.repeat(np.arange(len(parts)), [len(part) for part in parts]))


def _joined(views: Tensor, across: int) -> Tensor:
    """Views (N · across², 3, h, w) put together as images (N, 3, h · across, w · across), row by row."""
    count, channels, height, width = views.shape
    grid = views.view(count // across**2, across, across, channels, height, width)
    return grid.permute(0, 3, 1, 4, 2, 5).reshape(-1, channels, across * height, across * width)


def _placed(labels: Labels, across: int, view_hw: tuple[int, int]) -> Labels:
    """Labels of views as labels of the images that `_joined` makes of them."""
    row, column = divmod(labels.views % across**2, across)
    corner = np.stack([column * view_hw[1], row * view_hw[0]], 1)
    return Labels((labels.boxes + np.tile(corner, 2)).astype(np.float32), labels.views // across**2)


def _padded(parts: Sequence[Labels], count: int) -> FloatArray:
    """The boxes of each of `count` images, filled up with zeros: (count, B, 4)."""
    boxes = np.concatenate([part.boxes for part in parts])
    picture = np.concatenate([part.views for part in parts])
    order = np.argsort(picture, kind="stable")
    boxes, picture = boxes[order], picture[order]
    place = np.arange(len(picture)) - np.searchsorted(picture, picture)
    out = np.zeros((count, int(place.max(initial=-1)) + 1, 4), np.float32)
    out[picture, place] = boxes
    return out
