"""What networks give for their joints, and how it is averaged over both views and read. One row of `FAMILIES` each.

What a network gives is one array (N, K, …): heatmaps (N, K, h, w); for SimCC the likelihoods of a joint's places along
x and then along y, W·bins and H·bins numbers in a row; for points x, y in crop pixels and a score.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lightpose.errors import ConfigError
from lightpose.ops.codec import decode, flip_shift, merge_flip
from lightpose.ops.geometry import heatmap_scale
from lightpose.types import DecoderName, FamilyName, FloatArray, ModelSpec

__all__ = ["FAMILIES", "Family", "check_heatmaps"]


@dataclass(frozen=True)
class Family:
    """merge: what is given for crops and for the mirrored crops → their mean, as the family's own code takes it.

    read: what is given → keypoints (N, K, 3): x, y in crop pixels, score.
    """

    merge: Callable[[FloatArray, FloatArray, ModelSpec], FloatArray]
    read: Callable[[FloatArray, ModelSpec, DecoderName, float], FloatArray]


def check_heatmaps(spec: ModelSpec, what: str) -> None:
    """Raise ConfigError, saying what needs heatmaps, if a network gives something else."""
    if spec.family != "heatmaps":
        raise ConfigError(f"{what} needs a network that gives heatmaps; this one gives {spec.family}")


def _merge_heatmaps(given: FloatArray, mirrored: FloatArray, spec: ModelSpec) -> FloatArray:
    merged: FloatArray = merge_flip(given, mirrored, spec.skeleton.flip_order, flip_shift(spec.geometry))
    return merged


def _read_heatmaps(given: FloatArray, spec: ModelSpec, decoder: DecoderName, beta: float) -> FloatArray:
    keypoints = decode(given, decoder, beta, spec.skeleton.sigmas, spec.sigma)
    keypoints[..., :2] *= heatmap_scale(spec.input_hw, spec.heatmap_hw, spec.geometry)
    return keypoints


def _columns(given: FloatArray, spec: ModelSpec) -> int:
    """How many of the numbers in a SimCC row are along x."""
    height, width = spec.input_hw
    return int(given.shape[2]) * width // (height + width)


def _merge_simcc(given: FloatArray, mirrored: FloatArray, spec: ModelSpec) -> FloatArray:
    """As flip_vectors of MMPose has it: x is turned round, without a shift."""
    columns = _columns(given, spec)
    back = np.concatenate([mirrored[..., :columns][..., ::-1], mirrored[..., columns:]], axis=-1)
    return np.asarray((given + back[:, list(spec.skeleton.flip_order)]) / 2, np.float32)


def _read_simcc(given: FloatArray, spec: ModelSpec, _: DecoderName, __: float) -> FloatArray:
    """The likeliest place along each axis, and the lesser of both likelihoods, as get_simcc_maximum of MMPose has it.

    (0, 0) where that is not above 0.
    """
    columns = _columns(given, spec)
    along = (given[..., :columns], given[..., columns:])
    scores = np.minimum(*(each.max(-1) for each in along))
    places = np.stack([each.argmax(-1) for each in along], axis=-1) * (scores > 0)[..., None]
    bins = given.shape[2] / sum(spec.input_hw)
    return np.concatenate([places / bins, scores[..., None]], axis=-1).astype(np.float32)


def _merge_points(given: FloatArray, mirrored: FloatArray, spec: ModelSpec) -> FloatArray:
    """As flip_coordinates of MMPose has it with shift_coords: pixel x of the mirrored crop is W - 1 - x."""
    back = mirrored[:, list(spec.skeleton.flip_order)].copy()
    back[..., 0] = spec.input_hw[1] - 1 - back[..., 0]
    return np.asarray((given + back) / 2, np.float32)


def _read_points(given: FloatArray, _: ModelSpec, __: DecoderName, ___: float) -> FloatArray:
    return given.astype(np.float32, copy=True)


FAMILIES: dict[FamilyName, Family] = {
    "heatmaps": Family(_merge_heatmaps, _read_heatmaps),
    "simcc": Family(_merge_simcc, _read_simcc),
    "points": Family(_merge_points, _read_points),
}
