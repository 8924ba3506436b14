"""Augmentation of images for a detector: each seen at another scale and place, or four joined to one.

As for crops, a view is one affine resample of a stored image, all of a batch at once on the training device. A mosaic
(Bochkovskiy et al., YOLOv4) is four views, each a quarter of the input: more people, and smaller ones, in an image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from lightpose.data.augment import resample
from lightpose.errors import ConfigError
from lightpose.limits import check_range
from lightpose.types import FloatArray

__all__ = ["LEAST_VISIBLE", "Labels", "SceneAugmentConfig", "SceneViews", "draw_scene_views", "see"]

SCALES = (0.01, 100.0)
LEAST_VISIBLE = 0.3
"""Share of a box that must be in view for it to be learned; else its part in view is left out of the loss."""


@dataclass(frozen=True)
class SceneAugmentConfig:
    """How images are varied.

    scale: least and most, of an image that just fits its place, spread evenly in logarithm. aspect: standard deviation
    of the logarithm of width to height. mosaic_probability, flip_probability: in [0, 1]. color: standard deviation of
    contrast and brightness per channel.
    """

    scale: tuple[float, float] = (0.5, 1.6)
    aspect: float = 0.1
    mosaic_probability: float = 0.5
    flip_probability: float = 0.5
    color: float = 0.15

    def __post_init__(self) -> None:
        for number, scale in enumerate(self.scale):
            check_range(f"augment.scale[{number}]", scale, *SCALES)
        if self.scale[0] > self.scale[1]:
            raise ConfigError(f"augment.scale must be two numbers, the least first, not {self.scale}")
        for name in ("aspect", "mosaic_probability", "flip_probability", "color"):
            check_range(f"augment.{name}", getattr(self, name), 0, 1)


@dataclass(frozen=True)
class Labels:
    """Boxes in view: (B, 4) left, top, right, bottom, and the view (B,) that each is in, in rising order."""

    boxes: FloatArray
    views: NDArray[np.intp]


@dataclass(frozen=True)
class SceneViews:
    """How stored images are seen: factors, shifts (N, 2) xy: place = factor · stored + shift; then mirrored (N,).

    Places are edges in the view, continuous from 0 to view_hw.
    """

    factors: NDArray[np.float64]
    shifts: NDArray[np.float64]
    mirrored: NDArray[np.bool_]
    view_hw: tuple[int, int]

    def boxes(self, labels: Labels) -> FloatArray:
        """Where boxes of the stored images are in their views; they may reach out."""
        view = labels.views
        moved = labels.boxes * np.tile(self.factors, 2)[view] + np.tile(self.shifts, 2)[view]
        width = self.view_hw[1]
        turned = np.stack([width - moved[:, 2], moved[:, 1], width - moved[:, 0], moved[:, 3]], 1)
        return np.where(self.mirrored[view, None], turned, moved).astype(np.float32)

    def clip(self, boxes: FloatArray) -> FloatArray:
        """Boxes (B, 4) cut off at the edges of the view."""
        height, width = self.view_hw
        return np.clip(boxes, 0, np.array([width, height, width, height], np.float32))

    def matrices(self) -> NDArray[np.float64]:
        """(N, 2, 3), from the middles of stored pixels to those of the view's."""
        sign = np.where(self.mirrored, -1.0, 1.0)
        out = np.zeros((len(self.factors), 2, 3))
        out[:, 0, 0], out[:, 1, 1] = sign * self.factors[:, 0], self.factors[:, 1]
        shift_x = np.where(self.mirrored, self.view_hw[1] - self.shifts[:, 0], self.shifts[:, 0])
        shifts = np.stack([shift_x, self.shifts[:, 1]], 1)
        out[:, :, 2] = 0.5 * out[:, :, :2].sum(2) + shifts - 0.5
        return out


def draw_scene_views(
    extents: FloatArray, side: int, view_hw: tuple[int, int], config: SceneAugmentConfig, generator: np.random.Generator
) -> SceneViews:
    """Random views of stored images: larger ones show a part, smaller ones lie anywhere on grey.

    extents: (N, 2) width and height of the images in their stored squares of that side.
    """
    count = len(extents)
    least, most = np.log(config.scale)
    scale = np.exp(generator.uniform(least, most, count)) * min(view_hw) / side
    stretch = np.exp(generator.normal(0, config.aspect, count) / 2)
    factors = np.stack([scale * stretch, scale / stretch], 1)
    room = np.array(view_hw[::-1]) - extents * factors
    shifts = room * generator.random((count, 2))
    return SceneViews(factors, shifts, generator.random(count) < config.flip_probability, view_hw)


def see(pixels: Tensor, views: SceneViews, pad: int) -> Tensor:
    """The views of stored images, bilinear, grey outside: (N, S, S, 3) uint8 → (N, 3, H, W) float32 in [0, 255].

    What is shrunk much is averaged by twos or fours first, so that it looks as prediction's images do.
    """
    level = np.clip(np.floor(-np.log2(1.3 * views.factors.min(1))), 0, 2).astype(int)
    matrices = views.matrices()
    out = torch.empty((len(pixels), 3, *views.view_hw), device=pixels.device)
    for power in np.unique(level).tolist():
        rows = np.flatnonzero(level == power)
        place = torch.from_numpy(rows).to(pixels.device)
        chosen, step = pixels[place], 2**power
        to_full = matrices[
            rows
        ].copy()  # pixel u of the averaged image is at step · u + (step - 1) / 2 of the stored one
        to_full[:, :, 2] += to_full[:, :, :2].sum(2) * (step - 1) / 2
        to_full[:, :, :2] *= step
        if power:
            chosen = functional.avg_pool2d(chosen.permute(0, 3, 1, 2).float(), step).permute(0, 2, 3, 1)
        out[place] = resample(chosen, to_full, views.view_hw, pad)
    return out
