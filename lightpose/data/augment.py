"""Augmentation of a whole batch on the training device, one affine resample per crop (Section 4.1 of the paper)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from lightpose.limits import check_range
from lightpose.ops.geometry import crop_span, invert, region_matrices, transform_points
from lightpose.types import FloatArray, GeometryName

__all__ = ["AugmentConfig", "Regions", "Views", "draw_views", "erase", "half_bodies", "recolor", "resample"]

LOWER_BODY = ("hip", "knee", "ankle", "heel", "toe", "foot", "paw")
HALF_BODY_JOINTS, HALF_BODY_MARGIN = 8, 1.5
LARGEST_SCALE = 0.9
"""With which the nearest crop shows a tenth of the person."""
ERASED_AREA, ERASED_ASPECT = (0.02, 0.2), (0.3, 3.3)
"""Least and greatest share of the crop, and width over height, of what is erased."""


@dataclass(frozen=True)
class AugmentConfig:
    """How crops are varied. The defaults are the paper's, as its authors' code has them.

    scale: standard deviation and limit of the crop's enlargement around 1. rotation_deg: standard deviation, cut off at
    twice that. rotation_probability, flip_probability: in [0, 1]. color: standard deviation of contrast and brightness
    per channel, 0 in the paper. half_body_probability: how often a person with more than eight labelled joints is cut
    down to the upper or the lower half, 0 in the paper. erase_probability: how often a rectangle of one colour covers a
    part of the crop, 0 in the paper; the labels of the joints below it stay.
    """

    scale: float = 0.3
    rotation_deg: float = 40.0
    rotation_probability: float = 0.6
    flip_probability: float = 0.5
    color: float = 0.0
    half_body_probability: float = 0.0
    erase_probability: float = 0.0

    def __post_init__(self) -> None:
        check_range("augment.scale", self.scale, 0, LARGEST_SCALE)
        check_range("augment.rotation_deg", self.rotation_deg, 0, 180)
        probabilities = ("rotation_probability", "flip_probability", "half_body_probability", "erase_probability")
        for name in (*probabilities, "color"):
            check_range(f"augment.{name}", getattr(self, name), 0, 1)


@dataclass(frozen=True)
class Views:
    """Where each crop of a batch looks: matrices (N, 2, 3) from stored crop to network crop, mirrored (N,) bool."""

    matrices: NDArray[np.float64]
    mirrored: NDArray[np.bool_]

    def points(
        self, points: FloatArray, visibility: NDArray[np.int8], flip_order: tuple[int, ...]
    ) -> tuple[FloatArray, NDArray[np.int8]]:
        """Labels (N, K, 2) and (N, K) of the stored crops, as they are in the network crops."""
        moved = transform_points(points, self.matrices)
        flip = list(flip_order)
        return (
            np.where(self.mirrored[:, None, None], moved[:, flip], moved),
            np.where(self.mirrored[:, None], visibility[:, flip], visibility),
        )


@dataclass(frozen=True)
class Regions:
    """What of each stored crop is the unaugmented crop: centers and sizes (width, height), (N, 2) in its pixels."""

    centers: NDArray[np.float64]
    sizes: NDArray[np.float64]

    @classmethod
    def middle(cls, count: int, side: int, region: tuple[float, float]) -> Regions:
        """The same region in the middle of `count` stored crops."""
        return cls(np.full((count, 2), side / 2), np.tile(np.array(region), (count, 1)))


def half_bodies(
    regions: Regions,
    points: FloatArray,
    visibility: NDArray[np.int8],
    joints: tuple[str, ...],
    config: AugmentConfig,
    generator: np.random.Generator,
) -> Regions:
    """Some of the regions narrowed to the labelled joints of one half of the body, at random (Sun et al., HRNet).

    points: (N, K, 2) and visibility: (N, K) in stored crops. Skeletons without legs by name are left alone.
    """
    lower = np.array([any(part in joint for part in LOWER_BODY) for joint in joints])
    if config.half_body_probability == 0 or lower.all() or not lower.any():
        return regions
    count = len(points)
    half = np.where(generator.random(count)[:, None] < 0.5, lower, ~lower) & (visibility > 0)
    wanted = generator.random(count) < config.half_body_probability
    wanted &= ((visibility > 0).sum(1) > HALF_BODY_JOINTS) & (half.sum(1) > 2)
    inside = np.where(wanted[:, None], half, True)[..., None]  # where nothing is wanted, anything finite will do
    low = np.where(inside, points, np.inf).min(1)
    high = np.where(inside, points, -np.inf).max(1)
    extent = high - low
    height = HALF_BODY_MARGIN * np.maximum(extent[:, 1], extent[:, 0] * regions.sizes[:, 1] / regions.sizes[:, 0])
    wanted &= height > 1
    factor = np.where(wanted, height / regions.sizes[:, 1], 1.0)
    centers = np.where(wanted[:, None], (low + high) / 2, regions.centers)
    return Regions(centers, regions.sizes * factor[:, None])


def draw_views(
    regions: Regions,
    input_hw: tuple[int, int],
    geometry: GeometryName,
    config: AugmentConfig,
    generator: np.random.Generator,
) -> Views:
    """Random views of stored crops, around the regions that are the unaugmented crops."""
    count = len(regions.centers)
    scale = np.clip(generator.normal(1, config.scale, count), 1 - config.scale, 1 + config.scale)
    angle = np.clip(generator.normal(0, config.rotation_deg, count), -2 * config.rotation_deg, 2 * config.rotation_deg)
    angle = np.where(generator.random(count) < config.rotation_probability, angle, 0)
    mirrored = generator.random(count) < config.flip_probability
    matrices = region_matrices(regions.centers, regions.sizes * scale[:, None], input_hw, geometry, angle)
    width = crop_span(input_hw, geometry)[0]
    matrices[mirrored, 0] = np.array([0, 0, width]) - matrices[mirrored, 0]
    return Views(matrices, mirrored)


def resample(crops: Tensor, matrices: NDArray[np.float64], input_hw: tuple[int, int], fill: float = 0) -> Tensor:
    """Cut network crops out of stored ones, bilinear; outside they are black, or that grey.

    crops: (N, S, S, 3) uint8. matrices: (N, 2, 3) stored → network crop. Returns (N, 3, H, W) float32 in [0, 255].
    """
    height, width = input_hw
    side_h, side_w = crops.shape[1:3]
    to_pixels = np.array([[width / 2, 0, (width - 1) / 2], [0, height / 2, (height - 1) / 2], [0, 0, 1]])
    to_grid = np.array([[2 / side_w, 0, 1 / side_w - 1], [0, 2 / side_h, 1 / side_h - 1]])
    bottom = np.broadcast_to(np.array([[[0.0, 0.0, 1.0]]]), (len(matrices), 1, 3))
    theta = to_grid @ np.concatenate([invert(matrices), bottom], axis=1) @ to_pixels
    pixels = crops.permute(0, 3, 1, 2).float() - fill
    grid = functional.affine_grid(
        torch.from_numpy(theta).float().to(crops.device), [len(crops), 3, height, width], align_corners=False
    )
    found = functional.grid_sample(pixels, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return found + fill


def recolor(images: Tensor, color: float, generator: np.random.Generator) -> Tensor:
    """Contrast and brightness changed for each image and channel; images (N, 3, H, W) in [0, 255].

    color: standard deviation, see AugmentConfig.
    """
    if color == 0:
        return images
    shape = (len(images), 1, 1, 1)
    channels = (len(images), 3, 1, 1)
    gain = np.exp(generator.normal(0, color, shape) + generator.normal(0, color / 2, channels))
    lift = generator.normal(0, 100 * color, shape)
    gain_t, lift_t = (torch.from_numpy(value).float().to(images.device) for value in (gain, lift))
    return ((images - 128) * gain_t + 128 + lift_t).clamp(0, 255)


def erase(images: Tensor, probability: float, generator: np.random.Generator) -> Tensor:
    """A rectangle of one random colour over some of the images, at random (Zhong et al., Random Erasing).

    images: (N, 3, H, W) in [0, 255].
    """
    if probability == 0:
        return images
    count, _, height, width = images.shape
    wanted = generator.random(count) < probability
    area = generator.uniform(*ERASED_AREA, count) * wanted
    aspect = np.exp(generator.uniform(math.log(ERASED_ASPECT[0]), math.log(ERASED_ASPECT[1]), count))
    half_w = np.sqrt(area * height * width * aspect) / 2
    half_h = np.sqrt(area * height * width / aspect) / 2
    rows = np.abs(np.arange(height) + 0.5 - generator.uniform(0, height, (count, 1))) < half_h[:, None]
    columns = np.abs(np.arange(width) + 0.5 - generator.uniform(0, width, (count, 1))) < half_w[:, None]
    covered = torch.from_numpy(rows[:, None, :, None] & columns[:, None, None, :]).to(images.device)
    colors = torch.from_numpy(generator.uniform(0, 255, (count, 3, 1, 1))).float().to(images.device)
    return torch.where(covered, colors, images)
