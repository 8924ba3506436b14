"""Keypoints → heatmaps and back, the flip merge included.

Everything here is in heatmap pixels. `encode`, `soft_argmax` and `merge_flip` take numpy arrays or torch tensors alike
(through the array API), so that the training target, the exported graph and the numpy decoder are one piece of code.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, get_args

import array_api_compat
import cv2
import numpy as np
from numpy.typing import NDArray

from lightpose.errors import ConfigError, ShapeError
from lightpose.types import DecoderName, FloatArray, GeometryName

__all__ = ["TEMPERATURE", "decode", "encode", "flip_shift", "merge_flip", "soft_argmax"]

Array = Any
"""A numpy array or a torch tensor."""

TEMPERATURE = 20.0
"""softmax(TEMPERATURE · heatmap) is how likely a joint is to be at each pixel; a cross-entropy loss makes it so."""

PERSON_SHARE = 0.46
"""√(area of a person / area of their crop), by which OKS measures: the median of COCO's labelled persons."""


LEAST_SIMILARITY = 1e-12
"""Share of a joint's OKS below which it counts as none."""


def encode(
    points: Array, weights: Array, heatmap_hw: tuple[int, int], sigma: float = 2.0, exact: bool = False
) -> tuple[Array, Array]:
    """Gaussian target for each joint, cut off at ±3 sigma (Eq. 5 of the paper).

    points: (N, K, 2) xy. weights: (N, K), 0 for joints to leave out. exact: keep the sub-pixel centre, as Eq. 5 has it;
    otherwise it becomes the pixel int(x + 0.5), as in the authors' code. That is the nearest one; but int cuts towards
    0, so that centres left of or above the map land up to 1½ pixels further in. Returns heatmaps (N, K, h, w), of
    height 1 at the centre, and weights (N, K) with 0 where no pixel of the Gaussian is on the map.
    """
    xp = array_api_compat.array_namespace(points, weights)
    height, width = heatmap_hw
    here = xp.where((weights > 0)[..., None], points, xp.zeros_like(points))  # what is unlabelled may be NaN
    centers = here if exact else xp.trunc(here + 0.5)
    falls = []
    for axis, length in ((1, height), (0, width)):
        grid = xp.arange(length, dtype=points.dtype, device=array_api_compat.device(points))
        distance = grid - centers[..., axis, None]
        falls.append(xp.exp(distance**2 / (-2 * sigma**2)) * xp.astype(xp.abs(distance) <= 3 * sigma, points.dtype))
    rows, columns = falls
    touches = xp.any(rows > 0, axis=-1) & xp.any(columns > 0, axis=-1)
    kept = weights * xp.astype(touches, weights.dtype)
    seen = xp.astype(kept > 0, points.dtype)
    return rows[..., :, None] * (columns * seen[..., None])[..., None, :], kept


def soft_argmax(heatmaps: Array, beta: float = 160.0) -> Array:
    """β-Soft-Argmax (Eq. 7 of the paper): the expected position under softmax(β·H) over the whole map.

    heatmaps: (N, K, h, w). Returns (N, K, 3): x, y, and the heatmap's value at the pixel nearest to it.
    """
    xp = array_api_compat.array_namespace(heatmaps)
    count, joints, height, width = heatmaps.shape
    flat = xp.reshape(heatmaps, (count, joints, height * width))
    share = xp.exp((flat - xp.max(flat, axis=-1, keepdims=True)) * beta)
    share = share / xp.sum(share, axis=-1, keepdims=True)
    share = xp.reshape(share, (count, joints, height, width))
    device = array_api_compat.device(heatmaps)
    columns = xp.arange(width, dtype=heatmaps.dtype, device=device)
    rows = xp.arange(height, dtype=heatmaps.dtype, device=device)
    x = xp.sum(xp.sum(share, axis=-2) * columns, axis=-1)
    y = xp.sum(xp.sum(share, axis=-1) * rows, axis=-1)
    row, column = (xp.astype(xp.floor(axis + 0.5), xp.int64) for axis in (y, x))
    pixel = row * width + column
    start = xp.arange(count * joints, dtype=xp.int64, device=device) * (height * width)  # of each map in all pixels
    scores = xp.take(xp.reshape(heatmaps, (-1,)), start + xp.reshape(pixel, (-1,)), axis=0)
    scores = xp.reshape(scores, (count, joints))
    return xp.stack([x, y, scores], axis=-1)


def decode(
    heatmaps: FloatArray,
    decoder: DecoderName = "softargmax",
    beta: float = 160.0,
    sigmas: Sequence[float] | None = None,
    sigma: float = 2.0,
) -> FloatArray:
    """Find each joint on its heatmap.

    heatmaps: (N, K, h, w). decoder: `argmax` (the highest pixel), `quarter` (argmax moved ¼ pixel towards the higher
    neighbour), `softargmax` (the paper), `softargmax_quarter` (the authors' code), `dark` (Taylor step on the log of
    the blurred map), `dark_udp` (the same as MMPose has it for UDP), `expected_oks` (where the joint's OKS is likely to
    be highest). sigmas: the skeleton's K OKS constants, for `expected_oks` alone. sigma: of the Gaussians that the
    network was trained on, in heatmap pixels, by which the two of DARK blur. Returns (N, K, 3): x, y, score. A map with
    nothing above 0 gives (0, 0) under the argmax family. Raises ShapeError unless there are four axes and at least one
    pixel, ConfigError for an unknown decoder.
    """
    if heatmaps.ndim != 4 or 0 in heatmaps.shape[1:]:
        raise ShapeError(f"heatmaps must have shape (N, K, h, w) with K, h, w above 0; got {heatmaps.shape}")
    if decoder not in get_args(DecoderName):
        raise ConfigError(f"decoder {decoder!r} is unknown; use {', '.join(get_args(DecoderName))}")
    if decoder == "expected_oks":
        if sigmas is None or len(sigmas) != heatmaps.shape[1]:
            raise ShapeError(f"decoder expected_oks needs the OKS sigma of each of the {heatmaps.shape[1]} joints")
        return _most_similar(heatmaps, tuple(sigmas))
    found = soft_argmax(heatmaps, beta) if decoder.startswith("softargmax") else _argmax(heatmaps)
    keypoints: FloatArray = found.astype(np.float32)
    if decoder == "dark":
        keypoints[..., :2] += _taylor_offset(_blur(heatmaps, sigma), keypoints)
    elif decoder == "dark_udp":
        keypoints[..., :2] += _udp_offset(heatmaps, keypoints, sigma)
    elif decoder.endswith("quarter"):
        keypoints[..., :2] += _quarter_offset(heatmaps, keypoints)
    return keypoints


def merge_flip(heatmaps: Array, mirrored: Array, flip_order: Sequence[int], shift: int) -> Array:
    """Average heatmaps with those of the mirrored crops.

    heatmaps, mirrored: (N, K, h, w). flip_order: K numbers, see Skeleton.flip_order. shift: how many heatmap pixels the
    mirrored maps move right before averaging, see `flip_shift`. Raises ShapeError if the two differ in shape.
    """
    if tuple(heatmaps.shape) != tuple(mirrored.shape):
        raise ShapeError(f"heatmaps {tuple(heatmaps.shape)} and mirrored {tuple(mirrored.shape)} differ in shape")
    xp = array_api_compat.array_namespace(heatmaps, mirrored)
    order = xp.asarray(list(flip_order), dtype=xp.int64, device=array_api_compat.device(mirrored))
    back = xp.take(xp.flip(mirrored, axis=-1), order, axis=1)
    if shift:
        back = xp.concat([back[..., :shift], back[..., :-shift]], axis=-1)
    return (heatmaps + back) / 2


def flip_shift(geometry: GeometryName) -> int:
    """Heatmap pixels by which a mirrored map sits too far left: 1 under MSRA, whose centre is biased, 0 under UDP."""
    return 1 if geometry == "msra" else 0


def _argmax(heatmaps: FloatArray) -> FloatArray:
    """Highest pixel of each map, (N, K, 3); (0, 0) where nothing is above 0."""
    count, joints, height, width = heatmaps.shape
    flat = heatmaps.reshape(count, joints, height * width)
    best = flat.argmax(-1)
    scores = np.take_along_axis(flat, best[..., None], -1)[..., 0]
    points = np.stack([best % width, best // width], -1) * (scores > 0)[..., None]
    return np.concatenate([points, scores[..., None]], -1)


def _neighbours(maps: FloatArray, keypoints: FloatArray, margin: int, reach: int) -> tuple[Array, Array]:
    """Square patches around the rounded points, where there is room for them.

    Returns (M, side, side), side = 2·reach + 1, for the M points with 1 < x < w - margin and 1 < y < h - margin (bounds
    as in the originals' code), and which of the (N, K) those are.
    """
    height, width = maps.shape[2:]
    x, y = (np.floor(keypoints[..., axis] + 0.5).astype(np.intp) for axis in (0, 1))
    inside = (x > 1) & (x < width - margin) & (y > 1) & (y < height - margin)
    person, joint = np.nonzero(inside)
    step = np.arange(-reach, reach + 1)
    rows = y[inside][:, None, None] + step[:, None]
    columns = x[inside][:, None, None] + step
    return maps[person[:, None, None], joint[:, None, None], rows, columns], inside


def _quarter_offset(heatmaps: FloatArray, keypoints: FloatArray) -> FloatArray:
    """¼ pixel towards the higher neighbour along each axis, where 1 < x < w-1 and 1 < y < h-1; (N, K, 2)."""
    patch, inside = _neighbours(heatmaps, keypoints, margin=1, reach=1)
    offset = np.zeros((*keypoints.shape[:2], 2), np.float32)
    slope = np.stack([patch[:, 1, 2] - patch[:, 1, 0], patch[:, 2, 1] - patch[:, 0, 1]], -1)
    offset[inside] = 0.25 * np.sign(slope)
    return offset


def _taylor_offset(maps: FloatArray, keypoints: FloatArray) -> FloatArray:
    """Newton step to the maximum of a smooth map's logarithm, where 1 < x < w-2 and 1 < y < h-2; (N, K, 2).

    A step of over 2 pixels is left out: it would leave the neighbourhood that the derivatives were taken in.
    """
    patch, inside = _neighbours(maps, keypoints, margin=2, reach=2)
    p = np.log(np.maximum(patch, 1e-10)).astype(np.float64)
    dx, dy = (p[:, 2, 3] - p[:, 2, 1]) / 2, (p[:, 3, 2] - p[:, 1, 2]) / 2
    dxx = (p[:, 2, 4] - 2 * p[:, 2, 2] + p[:, 2, 0]) / 4
    dyy = (p[:, 4, 2] - 2 * p[:, 2, 2] + p[:, 0, 2]) / 4
    dxy = (p[:, 3, 3] - p[:, 1, 3] - p[:, 3, 1] + p[:, 1, 1]) / 4
    offset = np.zeros((*keypoints.shape[:2], 2), np.float32)
    offset[inside] = _newton(dx, dy, dxx, dyy, dxy)
    return offset


def _udp_offset(heatmaps: FloatArray, keypoints: FloatArray, sigma: float) -> FloatArray:
    """Newton step on the logarithm of the blurred map, (N, K, 2), as MMPose's refine_keypoints_dark_udp takes it.

    Unlike `_taylor_offset`: the blurred map regains its height and is kept in [0.001, 50], neighbours are one pixel
    off, and beyond the border the map goes on as at the border, so that joints there move half a pixel outwards. A step
    of over 2 pixels is left out here alone.
    """
    height, width = heatmaps.shape[2:]
    blurred = _blur(heatmaps, sigma)
    tops, blurred_tops = (maps.max((2, 3))[..., None, None] for maps in (heatmaps, blurred))
    near = np.arange(-1, 2)
    rows = np.clip(keypoints[..., 1, None, None].astype(np.intp) + near[:, None], 0, height - 1)
    columns = np.clip(keypoints[..., 0, None, None].astype(np.intp) + near, 0, width - 1)
    person, joint = np.ogrid[: len(heatmaps), : heatmaps.shape[1]]
    patch = blurred[person[..., None, None], joint[..., None, None], rows, columns].astype(np.float64)
    patch = patch * np.where(blurred_tops > 0, tops / np.where(blurred_tops > 0, blurred_tops, 1), 0)
    p = np.log(np.clip(patch, 1e-3, 50))
    middle, (up, down), (left, right) = p[..., 1, 1], (p[..., 0, 1], p[..., 2, 1]), (p[..., 1, 0], p[..., 1, 2])
    dx, dy = (right - left) / 2, (down - up) / 2
    softly = float(np.finfo(np.float32).eps)  # keeps a flat map's Hessian from being singular
    dxx, dyy = right - 2 * middle + left + softly, down - 2 * middle + up + softly
    dxy = (p[..., 2, 2] - right - down + 2 * middle - left - up + p[..., 0, 0]) / 2
    return _newton(dx, dy, dxx, dyy, dxy)


def _newton(dx: Array, dy: Array, dxx: Array, dyy: Array, dxy: Array) -> FloatArray:
    """-H⁻¹·g for each point, (..., 2); none where H is singular, or where it is over 2 pixels along an axis."""
    determinant = dxx * dyy - dxy**2
    safe = np.where(determinant == 0, 1, determinant)
    step = np.stack([(dxy * dy - dyy * dx) / safe, (dxy * dx - dxx * dy) / safe], -1)
    wild = (determinant == 0) | (np.abs(step) > 2).any(-1)
    return np.where(wild[..., None], 0, step).astype(np.float32)


def _blur(heatmaps: FloatArray, sigma: float) -> FloatArray:
    """Every map blurred with zeros around it, in one OpenCV call on a tall stack of padded maps.

    The kernel is DARK's (Zhang et al., Distribution-Aware Coordinate Representation), whose side goes by the sigma of
    the heatmaps: 11 for 2, 17 for 3. OpenCV takes a kernel of 11 for one of sigma 2, of 17 for one of 2.9.
    """
    pad = min(max(round(3 * sigma) - 1, 0), max(heatmaps.shape[2:]))
    padded = np.pad(heatmaps.astype(np.float32), ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    tall = padded.reshape(-1, padded.shape[3])
    if not len(tall):
        return heatmaps
    blurred = np.asarray(cv2.GaussianBlur(tall, (2 * pad + 1, 2 * pad + 1), 0), np.float32)
    height, width = heatmaps.shape[2:]
    return blurred.reshape(padded.shape)[:, :, pad : pad + height, pad : pad + width]


def _most_similar(heatmaps: FloatArray, sigmas: tuple[float, ...]) -> FloatArray:
    """The point of each map whose expected OKS is highest, and the heatmap's highest value; (N, K, 3).

    The expectation is over where the joint may be, as in ProbPose (Purkrabek and Matas, CVPR 2025): how likely each
    pixel is, blurred by the Gaussian by which OKS falls with the distance (see oks.py) on a person of usual size.
    """
    count, joints, height, width = heatmaps.shape
    flat = heatmaps.reshape(count, joints, height * width).astype(np.float32)
    top = flat.max(-1, keepdims=True)
    likely = np.exp((flat - top) * TEMPERATURE)
    likely = (likely / likely.sum(-1, keepdims=True)).reshape(heatmaps.shape)
    size = PERSON_SHARE * (height * width) ** 0.5
    similar = _oks_falls(height, sigmas, size) @ likely @ _oks_falls(width, sigmas, size)
    keypoints: FloatArray = _argmax(similar).astype(np.float32)
    keypoints[..., :2] += _taylor_offset(similar, keypoints)
    keypoints[..., 2:] = top
    return keypoints


@functools.lru_cache(maxsize=16)
def _oks_falls(length: int, sigmas: tuple[float, ...], size: float) -> NDArray[np.float32]:
    """A joint's similarity at every distance along an axis: (K, length, length), for a person of √area size.

    What is too small to change a float32 sum is 0: with numbers below float32's normal range, products take ten times
    as long.
    """
    distance = np.arange(length)[:, None] - np.arange(length)
    spread = (2 * size * np.array(sigmas))[:, None, None]
    falls = np.exp(-(distance**2) / (2 * spread**2))
    return np.where(falls < LEAST_SIMILARITY, 0, falls).astype(np.float32)
